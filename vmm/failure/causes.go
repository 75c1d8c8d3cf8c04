package failure

import (
	"errors"
	"fmt"
	"time"

	"instarfs/guest/show"
)

var (
	// ErrChanging says that the file changed during each of several runs.
	ErrChanging = errors.New(
		"the file changes while it is mapped: try again when its writer is done")
	// ErrFormat says that no format has the name that was asked for.
	ErrFormat = errors.New("unknown format")
	// ErrSlow says that a limit of time was met which is not a limit of a guest.
	ErrSlow = errors.New("the image takes too long to map")
)

// maxQuoted is how many bytes of a name from an image or an option an error shows.
const maxQuoted = 200

// Format is ErrFormat with the name that was asked for.
type Format struct{ Name string }

func (e Format) Error() string { return ErrFormat.Error() + " " + show.Quote(e.Name, maxQuoted) }
func (e Format) Unwrap() error { return ErrFormat }

// Limit says which time was used up, and what raises the limit. It matches ErrSlow.
type Limit struct {
	What   string
	Limit  time.Duration
	Option string
}

func (e Limit) Error() string {
	return fmt.Sprintf("%s takes more than %v (%s allows more)", e.What, e.Limit, e.Option)
}

// Is implements the interface of errors.Is.
func (e Limit) Is(target error) bool { return target == ErrSlow }
