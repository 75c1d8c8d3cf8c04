package vmdk

import "math"

// scanner reads a text like scanf of C.
type scanner struct {
	text []byte // without a NUL
	pos  int
}

// peek returns the next character, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

// blanks skips white space, line ends included.
func (s *scanner) blanks() {
	for s.pos < len(s.text) && blank(s.text[s.pos]) {
		s.pos++
	}
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// word takes up to maxWord characters that are not white space. ok reports whether there was at
// least one.
func (s *scanner) word() (w []byte, ok bool) {
	s.blanks()
	start := s.pos
	for s.pos < len(s.text) && s.pos-start < maxWord && !blank(s.text[s.pos]) {
		s.pos++
	}
	return s.text[start:s.pos], s.pos > start
}

// number takes a signed decimal number. If it does not fit in 64 bits it becomes the largest or
// smallest that does.
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

// quoted takes a name of 1 to maxName characters after a quote. Only closed depends on whether
// another quote follows.
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

// fields are the fields of a line that describes an extent. found is how many there were.
type fields struct {
	access, kind, name []byte
	sectors, offset    int64
	found              int
}

// scan reads fields in order, up to the first that is missing.
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
