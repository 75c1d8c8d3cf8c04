package format

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// CString returns b up to its first NUL.
func CString(b []byte) []byte {
	s, _, _ := bytes.Cut(b, []byte{0})
	return s
}

// UTF16 converts UTF-16 to text, up to its first NUL.
func UTF16(b []byte, order binary.ByteOrder) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := order.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// UnixPath converts a path of Windows. A path relative to the image does not start with "./".
func UnixPath(windows string) string {
	return strings.TrimPrefix(strings.ReplaceAll(windows, `\`, "/"), "./")
}
