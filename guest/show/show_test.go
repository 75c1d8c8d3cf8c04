package show

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func Example() {
	fmt.Println(Line("disk\x1b[31m.img\n"))
	fmt.Print(Lines("größe 日本\r\nnext\n"))
	fmt.Println(Quote(`a "b" c`, 5))
	// Output:
	// disk\x1b[31m.img\x0a
	// größe 日本\x0d
	// next
	// "a \"b\""...
}

func TestLine(t *testing.T) {
	for s, want := range map[string]string{
		"":                   "",
		"plain 'name'.raw":   "plain 'name'.raw",
		`a"b\c`:              `a"b\c`,
		"größe 日本 🙂":         "größe 日本 🙂",
		"\x00\t\n\x1b\x7f":   `\x00\x09\x0a\x1b\x7f`,
		"a\u009b31mX":        `a\xc2\x9b31mX`,
		"\xff\x9b\xe6\x97":   `\xff\x9b\xe6\x97`,
		"\u202egpj.exe":      `\xe2\x80\xaegpj.exe`,                  // right to left from here on
		"\u2066\u200b\ufeff": `\xe2\x81\xa6\xe2\x80\x8b\xef\xbb\xbf`, // isolate, no width, no width
		"\u2028\u2029":       `\xe2\x80\xa8\xe2\x80\xa9`,             // line, paragraph
		"\u00a0":             `\xc2\xa0`,
		"\ufffd":             "\ufffd", // a character like others, if it stands there
	} {
		if got := Line(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	if got, want := Lines("a\nb\x1b\r\n\n"), "a\nb\\x1b\\x0d\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestQuote(t *testing.T) {
	for _, test := range []struct {
		s     string
		limit int
		want  string
	}{
		{"", 0, `""`},
		{"abc", 3, `"abc"`},
		{"abcd", 3, `"abc"...`},
		{`a"\`, 10, `"a\"\\"`},
		{"ä\n", 10, `"ä\x0a"`},
		{"ä", 1, `"\xc3"...`},
	} {
		if got := Quote(test.s, test.limit); got != test.want {
			t.Errorf("%q, %d: %s, want %s", test.s, test.limit, got, test.want)
		}
	}
}

// FuzzLine: whatever a text is, a line of it is UTF-8 without controls, and as such stays the same.
func FuzzLine(f *testing.F) {
	f.Add("a\n\u009b\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		line := Line(s)
		bad := func(r rune) bool {
			return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)
		}
		if !utf8.ValidString(line) || strings.ContainsFunc(line, bad) || Line(line) != line {
			t.Errorf("%q becomes %q", s, line)
		}
		if Lines(s) != strings.ReplaceAll(Lines(s), "\r", "") ||
			strings.Count(Lines(s), "\n") != strings.Count(s, "\n") {
			t.Errorf("%q becomes %q", s, Lines(s))
		}
	})
}
