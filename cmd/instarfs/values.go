package main

import (
	"errors"
	"fmt"
	"instarfs/guest/img"
	"path"
	"strconv"
	"strings"
	"time"
)

// The functions of this file make the set function of an option out of where its value goes.

func setBool(to *bool) func(string) error {
	return func(s string) error {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("must be true or false")
		}
		*to = b
		return nil
	}
}

// setList adds every value to a list.
func setList(to *[]string) func(string) error {
	return func(s string) error {
		*to = append(*to, s)
		return nil
	}
}

// setGlobs is setList for globs as path.Match knows them.
func setGlobs(to *[]string) func(string) error {
	return func(s string) error {
		if _, err := path.Match(s, ""); err != nil {
			return errors.New("not a glob: a [ needs its ], and a \\ needs a character after it")
		}
		*to = append(*to, s)
		return nil
	}
}

// choice is one of the names that an option takes, and what it stands for.
type choice[T any] struct {
	name  string
	value T
}

func setOneOf[T any](to *T, choices ...choice[T]) func(string) error {
	return func(s string) error {
		var names []string
		for _, c := range choices {
			if c.name == s {
				*to = c.value
				return nil
			}
			names = append(names, c.name)
		}
		last := len(names) - 1
		return errors.New("must be " + strings.Join(names[:last], ", ") + " or " + names[last])
	}
}

// setBytes takes a number of bytes, at least so many.
func setBytes(to *uint64, least uint64) func(string) error {
	return func(s string) error {
		n, _, err := parseNumber(s, false)
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

// setCount takes a number from 1 to most.
func setCount(to *int, most int) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > most {
			return fmt.Errorf("must be a number from 1 to %d", most)
		}
		*to = n
		return nil
	}
}

func setTime(to *time.Duration) func(string) error {
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

// parseTime reads a time: 90, 1.5m, 1h30m.
func parseTime(s string) (time.Duration, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		s = strconv.FormatUint(n, 10) + "s"
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return d, nil
	}
	return 0, errTime
}

func setVersion(to *img.Release) func(string) error {
	return func(s string) (err error) {
		*to, err = img.ParseRelease(s)
		return err
	}
}

// setSectorSize takes the sizes of a block that a device may have, bytes.
func setSectorSize(to *uint32) func(string) error {
	return func(s string) error {
		n, _, err := parseNumber(s, false)
		if err != nil || n < 512 || n > 65536 || n&(n-1) != 0 {
			return errors.New("must be a power of two from 512 to 65536")
		}
		*to = uint32(n)
		return nil
	}
}
