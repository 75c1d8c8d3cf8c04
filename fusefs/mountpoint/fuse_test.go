package mountpoint

import (
	"errors"
	"testing"
)

func TestReason(t *testing.T) {
	for text, want := range map[string]string{
		"fusermount exited with code 256\n": "fusermount3 failed with status 1, and said why",
		"operation not permitted\n":         "operation not permitted",
	} {
		if got := Reason(errors.New(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
