package vmdk

import "math"

// scanner reads a text the way scanf of C does.
type scanner struct {
	text []byte // without a zero
	pos  int
}

// peek is the next character, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

// blanks passes over white space, line ends too.
func (s *scanner) blanks() {
	for s.pos < len(s.text) && blank(s.text[s.pos]) {
		s.pos++
	}
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// word takes up to maxWord characters that are not white space. There is at least one if ok.
func (s *scanner) word() (w []byte, ok bool) {
	s.blanks()
	start := s.pos
	for s.pos < len(s.text) && s.pos-start < maxWord && !blank(s.text[s.pos]) {
		s.pos++
	}
	return s.text[start:s.pos], s.pos > start
}

// number takes a signed decimal number. Beyond 64 bits it is the largest or smallest there is.
func (s *scanner) number() (n int64, ok bool) {
	s.blanks()
	negative := s.peek() == '-'
	if negative || s.peek() == '+' {
		s.pos++
	}
	start := s.pos
	for ; s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9'; s.pos++ {
		digit := int64(s.text[s.pos] - '0')
		switch {
		case !negative && n > (math.MaxInt64-digit)/10:
			n = math.MaxInt64
		case negative && n < (math.MinInt64+digit)/10:
			n = math.MinInt64
		case negative:
			n = 10*n - digit
		default:
			n = 10*n + digit
		}
	}
	return n, s.pos > start
}

// quoted takes a name of 1 to maxName characters behind a quote. Whether another quote ends it
// decides closed alone.
func (s *scanner) quoted() (name []byte, closed, ok bool) {
	s.blanks()
	if s.peek() != '"' {
		return nil, false, false
	}
	s.pos++
	start := s.pos
	for s.pos < len(s.text) && s.pos-start < maxName {
		if c := s.text[s.pos]; c == '\n' || c == '\r' || c == '"' {
			break
		}
		s.pos++
	}
	name = s.text[start:s.pos]
	closed = s.peek() == '"'
	if closed {
		s.pos++
	}
	return name, closed, len(name) > 0
}

// fields are those of the line that describes an extent, and how many of them were found.
type fields struct {
	access, kind, name []byte
	sectors, offset    int64
	found              int
}

// scan reads fields in order, as far as there are any.
func (s *scanner) scan() (f fields) {
	var ok, closed bool
	if f.access, ok = s.word(); !ok {
		return f
	}
	f.found = 1
	if f.sectors, ok = s.number(); !ok {
		return f
	}
	f.found = 2
	if f.kind, ok = s.word(); !ok {
		return f
	}
	f.found = 3
	if f.name, closed, ok = s.quoted(); !ok {
		return f
	}
	f.found = 4
	if !closed {
		return f
	}
	if f.offset, ok = s.number(); ok {
		f.found = 5
	}
	return f
}
