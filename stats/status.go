package stats

import "time"

// StatusFile is the name of the file with a Status.
const StatusFile = "status.json"

// Status is what a mount says of itself, in status.json. Texts that name files have been made fit
// to be shown.
type Status struct {
	Version    string            `json:"version"`
	Source     string            `json:"source"`
	Mountpoint string            `json:"mountpoint"`
	PID        int               `json:"pid"`
	Since      time.Time         `json:"since"`
	Carrier    string            `json:"carrier"` // kvm or process
	Options    map[string]string `json:"options"` // those that were given
	Images     Images            `json:"images"`
	Runs       Runs              `json:"runs"`
	Guests     Guests            `json:"guests"`
	Cache      Cache             `json:"cache"`
	Memory     Memory            `json:"memory"`
	OpenFiles  int64             `json:"open-files"`
	Errors     []Failure         `json:"errors"` // the newest of errors.json, that first
}

// Images are what became of attempts to map images.
type Images struct {
	Mapped     int64 `json:"mapped"`      // maps that were made, or found in the cache
	WithoutMap int   `json:"without-map"` // images whose last attempt failed
	Forgotten  int64 `json:"forgotten"`   // failures that errors.json has no room for
}

// Guests are the children or machines of a mount.
type Guests struct {
	Busy  int64 `json:"busy"`  // with a run
	Ready int   `json:"ready"` // started ahead
}

// Cache is what is kept of maps.
type Cache struct {
	Bytes     int64 `json:"bytes"`
	Limit     int64 `json:"limit"` // bytes
	Maps      int   `json:"maps"`
	Hits      int64 `json:"hits"`
	Misses    int64 `json:"misses"`
	Evictions int64 `json:"evictions"`
}

// Memory is that of guests and maps.
type Memory struct {
	Bytes int64 `json:"bytes"`
	Limit int64 `json:"limit"` // bytes
}

// shownErrors is how many failures a status has.
const shownErrors = 10
