package bug

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func deeper(n int, f func() error) error {
	if n == 0 {
		return f()
	}
	return deeper(n-1, f)
}

func TestGuard(t *testing.T) {
	if err := Guard(func() error { return nil }); err != nil {
		t.Error(err)
	}
	if err := Guard(func() error { return io.EOF }); err != io.EOF {
		t.Error(err)
	}
	var none []int
	for text, f := range map[string]func() error{
		"panic: on purpose (":                           func() error { panic("on purpose") },
		"panic: runtime error: index out of range [7] ": func() error { _ = none[7]; return nil },
		"panic: EOF (":                                  func() error { panic(io.EOF) },
		"panic: panic called with nil argument":         func() error { panic(nil) },
	} {
		err := Guard(func() error { return deeper(50, f) })
		var bug *Error
		if !errors.As(err, &bug) || !strings.Contains(err.Error(), text) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, text)
			continue
		}
		places := strings.Split(bug.Where, " < ")
		if len(places) != maxFrames || !strings.HasPrefix(places[0], "bug_test.go:") {
			t.Errorf("it happened at %q", bug.Where)
		}
	}
}

func ExampleGuard() {
	err := Guard(func() error {
		list := []string{"only one"}
		list = list[:len(list)-1]
		return errors.New(list[0])
	})
	var bug *Error
	fmt.Println(errors.As(err, &bug), bug.Value)
	// Output: true runtime error: index out of range [0] with length 0
}
