package vmdk

import (
	"bytes"

	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// parent finds the name of the backing file in a text that begins at a device offset. qemu also
// looks for two numbers, which do not change the map: if strict, they must be there.
//
// The text is a string of C, which ends at a NUL. qemu skips the characters after a key without
// looking at them, and so may read past the NUL.
func parent(text []byte, off uint64, strict bool) (name string, f *fault.Fault) {
	const hint = "parentFileNameHint"
	s := format.CString(text)
	if i := bytes.Index(s, []byte(hint)); i >= 0 {
		value := format.CString(text[min(i+len(hint)+len(`="`), len(text)):])
		end := bytes.IndexByte(value, '"')
		if end < 0 || end > maxHint {
			return "", fault.New(fault.VmdkParentHint, off+uint64(i))
		}
		name = string(value[:end])
	}
	if !strict {
		return name, nil
	}
	text = text[:len(text)-1] // qemu puts a NUL there
	if !hasNumber(text, "CID") {
		return "", fault.New(fault.VmdkNoCID, off)
	}
	if !hasNumber(text, "parentCID") {
		return "", fault.New(fault.VmdkNoParentCID, off)
	}
	return name, nil
}

// hasNumber reports whether a hexadecimal number follows a key and one more character.
func hasNumber(text []byte, key string) bool {
	i := bytes.Index(format.CString(text), []byte(key))
	if i < 0 {
		return false
	}
	s := scanner{text: format.CString(text[min(i+len(key)+1, len(text)):])}
	s.blanks()
	if c := s.peek(); c == '+' || c == '-' {
		s.pos++
	}
	c := s.peek() | 0x20
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
}
