package options

import (
	"fmt"
	"slices"
	"strings"
)

// ignoredByMounts are those that mount(8) hands to every file system, or other FUSE file
// systems take. A mount of ours is always read-only, nosuid, nodev and noexec, whatever they say,
// has no times of access, and checks permissions itself.
var ignoredByMounts = map[string]bool{
	"ro": true, "dev": true, "nodev": true, "suid": true, "nosuid": true, "exec": true,
	"noexec": true, "atime": true, "noatime": true, "diratime": true, "nodiratime": true,
	"relatime": true, "norelatime": true, "strictatime": true, "nostrictatime": true,
	"lazytime": true, "nolazytime": true, "async": true, "auto": true, "noauto": true,
	"user": true, "nouser": true, "users": true, "nousers": true, "group": true, "nogroup": true,
	"owner": true, "noowner": true, "nofail": true, "_netdev": true, "defaults": true,
	"default_permissions": true,
}

// refusedByMounts are those that mean something else than what would happen.
var refusedByMounts = map[string]string{
	"rw":      "a mount of instarfs is read-only; leave it out",
	"remount": "a mount of instarfs cannot be changed; unmount it, and mount again",
	"auto_unmount": "is not supported; when a mount of instarfs ends, however that comes about, " +
		"the next one at its place clears up",
	"auto-unmount": "is not supported; when a mount of instarfs ends, however that comes about, " +
		"the next one at its place clears up",
}

// Tolerance is what else ApplyMountOptions takes.
type Tolerance struct {
	Writable bool // rw: mount(8) adds it by itself
	Unknown  bool // options that nobody knows: mount -s
}

// ApplyMountOptions sets the options that a list of mount options names, with _ or - as other mount
// options are written.
func ApplyMountOptions(all []Option, list string, t Tolerance) error {
	for word := range strings.SplitSeq(list, ",") {
		key, value, joined := strings.Cut(word, "=")
		if key == "" || ignoredByMounts[word] || strings.HasPrefix(word, "x-") ||
			strings.HasPrefix(word, "X-") || key == "comment" || word == "rw" && t.Writable {
			continue
		}
		if why := refusedByMounts[word]; why != "" {
			return fmt.Errorf("%s: %s", word, why)
		}
		name := strings.ReplaceAll(key, "_", "-")
		i := slices.IndexFunc(all, func(o Option) bool { return o.Long == name })
		if i < 0 && t.Unknown {
			continue
		}
		if i < 0 {
			return fmt.Errorf("%s: unknown mount option", word)
		}
		takes := all[i].Arg != ""
		switch {
		case takes && !joined:
			return fmt.Errorf("%s: a value is missing", word)
		case !takes && joined:
			return fmt.Errorf("%s: takes no value", word)
		case !takes:
			value = "true"
		}
		if err := all[i].Set(value); err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
	}
	return nil
}
