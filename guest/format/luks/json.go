package luks

import (
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

const (
	// bufferLen is the memory for JSON, bytes.
	bufferLen = 64 << 10
	// maxDepth is how deeply values may be nested. LUKS2 nests them five deep.
	maxDepth = 16
	// maxText is how many bytes of a string are kept. All strings that matter are shorter.
	maxText = 32
)

// parser reads JSON from a device, each byte once. It accepts all JSON, and some input that is
// not JSON: it does not check closely the values that it skips.
type parser struct {
	bytes  format.Table // the device as a table of bytes, up to the end of the JSON area
	at     uint64       // device offset of the next byte
	depth  int
	failed *fault.Fault // the first fault; all bytes are 0 from there on
	text   [maxText]byte
}

// fail sets the fault that the JSON is invalid here.
func (p *parser) fail() {
	if p.failed == nil {
		p.failed = fault.New(fault.LuksJSON, p.at)
	}
}

// peek returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.failed != nil || p.at >= p.bytes.Limit {
		return 0
	}
	b, f := p.bytes.From(p.at, 1)
	if f != nil {
		p.failed = f
		return 0
	}
	return b[0]
}

// next takes the next byte. It fails at the end.
func (p *parser) next() byte {
	c := p.peek()
	if c == 0 {
		p.fail()
		return 0
	}
	p.at++
	return c
}

// token returns the next byte that is not white space, without taking it.
func (p *parser) token() byte {
	for {
		switch c := p.peek(); c {
		case ' ', '\t', '\n', '\r':
			p.next()
		default:
			return c
		}
	}
}

// take takes the next byte that is not white space, which must be c.
func (p *parser) take(c byte) {
	if p.token() != c {
		p.fail()
		return
	}
	p.next()
}

// members calls f for each member of an object, or element of an array with an empty name. f
// must read the value.
func (p *parser) members(open, end byte, f func(name string)) {
	p.depth++
	if p.depth > maxDepth {
		p.fail()
	}
	p.take(open)
	for first := true; p.failed == nil && p.token() != end; first = false {
		if !first {
			p.take(',')
		}
		name := ""
		if open == '{' {
			name = p.str()
			p.take(':')
		}
		if p.failed == nil {
			f(name)
		}
	}
	p.take(end)
	p.depth--
}

// object reads an object.
func (p *parser) object(f func(name string)) { p.members('{', '}', f) }

// str reads a string: its first bytes, with escapes as they are written.
func (p *parser) str() string {
	p.take('"')
	n := 0
	for escaped := false; ; {
		c := p.next()
		if c == 0 || c == '"' && !escaped {
			return string(p.text[:n])
		}
		escaped = c == '\\' && !escaped
		if n < maxText {
			p.text[n] = c
			n++
		}
	}
}

// skip reads any value.
func (p *parser) skip() {
	switch c := p.token(); {
	case c == '{':
		p.object(func(string) { p.skip() })
	case c == '[':
		p.members('[', ']', func(string) { p.skip() })
	case c == '"':
		p.str()
	case plain(c):
		for plain(p.peek()) {
			p.next()
		}
	default:
		p.fail()
	}
}

// plain reports whether c may be in a number, true, false or null.
func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' ||
		c == 'E'
}
