package dmg

import "instarfs/guest/fault"

const (
	openTag  = "<data>"
	closeTag = "</data>"
)

// plist finds block tables in a property list. It decodes every <data> element; only block
// tables look like one.
type plist struct {
	c       *chunks
	inside  bool // a <data> element
	matched int  // bytes of the next tag
	base64
}

// readPlist reads the block tables in a property list, which is length bytes at off, or less if
// there is a NUL.
func readPlist(s *stream, c *chunks, off, length uint64) *fault.Fault {
	switch {
	case c.p.Release.IsQemu() && length > maxPlist:
		return fault.New(fault.DmgPlistLength, off)
	case length > maxTables:
		return fault.New(fault.DmgTables, off, length, maxTables)
	}
	p := &plist{c: c}
	s.rewind(off, length)
	for ended := false; !ended; {
		at := s.pos
		b := s.take(length)
		if s.failed != nil {
			return s.failed
		}
		ended = len(b) == 0
		for i, x := range b {
			if x == 0 {
				ended = true
				break
			}
			if f := p.add(x, at+uint64(i)); f != nil {
				return f
			}
		}
	}
	if p.inside {
		return fault.New(fault.DmgPlist, s.pos)
	}
	return nil
}

// add takes the next character, which is at device offset at. In both tags only the first
// character is a <. So after a mismatch, a match can only start again at this character. The
// fault is that of an element that ends here.
func (p *plist) add(x byte, at uint64) *fault.Fault {
	tag := openTag
	if p.inside {
		tag = closeTag
	}
	if x != tag[p.matched] {
		for i := range p.matched {
			p.decode(tag[i], at)
		}
		p.matched = 0
	}
	switch {
	case x != tag[p.matched]:
		p.decode(x, at)
	case p.matched == len(tag)-1:
		p.inside, p.matched, p.base64 = !p.inside, 0, base64{}
		if !p.inside {
			return p.c.end()
		}
		p.c.begin()
	default:
		p.matched++
	}
	return nil
}

func (p *plist) decode(x byte, at uint64) {
	if p.inside {
		b, n := p.base64.add(x)
		for i := range n {
			p.c.add(b[i], at)
		}
	}
}

// base64 decodes like GLib: it skips characters that are not digits, takes = for a digit of
// value 0, and drops up to three digits at the end.
type base64 struct {
	bits uint32
	n    int     // digits in bits
	last [2]byte // digits, the latest first
}

// add takes a character and returns the bytes that it completes.
func (d *base64) add(x byte) (b [3]byte, n int) {
	v := byte(0)
	switch {
	case x >= 'A' && x <= 'Z':
		v = x - 'A'
	case x >= 'a' && x <= 'z':
		v = x - 'a' + 26
	case x >= '0' && x <= '9':
		v = x - '0' + 52
	case x == '+':
		v = 62
	case x == '/':
		v = 63
	case x != '=':
		return b, 0
	}
	d.bits, d.last = d.bits<<6|uint32(v), [2]byte{x, d.last[0]}
	if d.n++; d.n < 4 {
		return b, 0
	}
	b[0], n, d.n = byte(d.bits>>16), 1, 0
	if d.last[1] != '=' {
		b[n] = byte(d.bits >> 8)
		n++
	}
	if d.last[0] != '=' {
		b[n] = byte(d.bits)
		n++
	}
	return b, n
}
