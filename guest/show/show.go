// Package show makes text fit to be shown to people. Names of files, bytes of images and what a
// guest logs may hold anything: characters that move the cursor of a terminal, that end a line of
// a log, or that reverse the order of what follows them. Everything that prints such text passes
// it through this package, and nothing else escapes text. The package is a leaf and does without
// fmt: the guest links it.
package show

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Line returns s as one line that a terminal shows as it is. Printable characters stay, those
// outside of ASCII too. Every byte of any other character, and every byte that is not UTF-8,
// becomes \xHH: controls of C0 and C1, ends of lines, controls of the direction of text and of
// other formatting, spaces that are not the ASCII space. The shell reads the result between $' and
// '. Line of a Line is the same text.
func Line(s string) string { return escape(s, "", "") }

// Lines is Line of each line of s. Ends of lines stay.
func Lines(s string) string { return escape(s, "\n", "") }

// Quote returns the first limit bytes of s between double quotes, as Line shows them. Quotes and
// backslashes of s get a backslash in front. Three dots after the quotes stand for what is cut off.
func Quote(s string, limit int) string {
	more := ""
	if len(s) > limit {
		s, more = s[:limit], "..."
	}
	return `"` + escape(s, "", `"\`) + `"` + more
}

// escape shows every character of s that is neither printable nor in keep as \xHH. Those in slashed
// get a backslash in front.
func escape(s, keep, slashed string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		char := s[:n]
		s = s[n:]
		valid := r != utf8.RuneError || n > 1
		switch {
		case valid && strings.Contains(slashed, char):
			b.WriteString(`\` + char)
		case valid && (strconv.IsPrint(r) || strings.Contains(keep, char)):
			b.WriteString(char)
		default:
			for _, c := range []byte(char) {
				b.Write([]byte{'\\', 'x', hex[c>>4], hex[c&15]})
			}
		}
	}
	return b.String()
}
