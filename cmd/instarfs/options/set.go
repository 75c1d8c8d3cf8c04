package options

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"instarfs/guest/img"
)

// The functions of this file return a Set function of an option, which stores the value in *to.

// Bool takes true or false.
func Bool(to *bool) func(string) error {
	return func(s string) error {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("must be true or false")
		}
		*to = b
		return nil
	}
}

// List adds every value to a list.
func List(to *[]string) func(string) error {
	return func(s string) error {
		*to = append(*to, s)
		return nil
	}
}

// Globs is List for globs of package names of the mount.
func Globs(to *[]string) func(string) error {
	return func(s string) error {
		if !doublestar.ValidatePattern(s) {
			return errors.New("not a glob: a [ needs its ], and a \\ needs a character after it")
		}
		*to = append(*to, s)
		return nil
	}
}

// Choice is one of the words that an option takes, and what it stands for.
type Choice[T any] struct {
	word  string
	value T
}

// Word makes a Choice.
func Word[T any](word string, value T) Choice[T] { return Choice[T]{word, value} }

// OneOf takes one of the words of at least two choices.
func OneOf[T any](to *T, choices ...Choice[T]) func(string) error {
	return func(s string) error {
		var words []string
		for _, c := range choices {
			if c.word == s {
				*to = c.value
				return nil
			}
			words = append(words, c.word)
		}
		return noneOf(words)
	}
}

// noneOf says that a value is none of the words that an option takes.
type noneOf []string

func (words noneOf) Error() string {
	last := len(words) - 1
	return "must be " + strings.Join(words[:last], ", ") + " or " + words[last]
}

// Bytes takes a number of bytes that is at least the given one.
func Bytes(to *uint64, least uint64) func(string) error {
	return func(s string) error {
		n, _, err := ParseNumber(s, false)
		switch {
		case err != nil:
			return err
		case n < least:
			return fmt.Errorf("must be at least %d", least)
		}
		*to = n
		return nil
	}
}

// Count takes a number from 1 to most.
func Count(to *int, most int) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > most {
			return fmt.Errorf("must be a number from 1 to %d", most)
		}
		*to = n
		return nil
	}
}

// Time takes a duration of more than 0: 90 (seconds), 1.5m, 1h30m.
func Time(to *time.Duration) func(string) error {
	return func(s string) (err error) {
		d, err := parseTime(s)
		if err == nil {
			*to = d
		}
		return err
	}
}

var errTime = errors.New("not a time: use a number of seconds, or numbers with h, m, s or ms, " +
	"more than 0")

func parseTime(s string) (time.Duration, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		s = strconv.FormatUint(n, 10) + "s"
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return d, nil
	}
	return 0, errTime
}

// Release takes a release of qemu-img.
func Release(to *img.Release) func(string) error {
	return func(s string) (err error) {
		*to, err = img.ParseRelease(s)
		return err
	}
}

// SectorSize takes the size of a block of a device, bytes: a power of two from 512 to 65536.
func SectorSize(to *uint32) func(string) error {
	return func(s string) error {
		n, _, err := ParseNumber(s, false)
		if err != nil || n < 512 || n > 65536 || n&(n-1) != 0 {
			return errors.New("must be a power of two from 512 to 65536")
		}
		*to = uint32(n)
		return nil
	}
}

// ID takes the number of a user or group.
func ID(to **uint32) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n == math.MaxUint32 {
			return errors.New("must be a number from 0 to 4294967294")
		}
		id := uint32(n)
		*to = &id
		return nil
	}
}

// Mask takes permission bits that are taken away, in octal digits.
func Mask(to ...**uint32) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseUint(s, 8, 32)
		if err != nil || n > 0o777 {
			return errors.New("must be an octal number from 0 to 777")
		}
		for _, p := range to {
			mask := uint32(n)
			*p = &mask
		}
		return nil
	}
}

// Text takes any text but none.
func Text(to *string) func(string) error {
	return func(s string) error {
		if s == "" {
			return errors.New("must not be empty")
		}
		*to = s
		return nil
	}
}
