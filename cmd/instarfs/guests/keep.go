package guests

import (
	"os"
	"path/filepath"

	"instarfs/guest/payload"
	"instarfs/vmm"
	"instarfs/vmm/guestcache"
)

// Cache says where the booted guest of virtual machines is kept for other processes. The zero value
// is CacheDir.
type Cache struct {
	Dir string // empty is CacheDir
	Off bool
	// Log gets a line when what is kept cannot be used, or nothing can be kept; it may be nil.
	Log func(line string)
}

// CacheDir is where a guest is kept unless somebody wants another place: below the user's
// directory for such files (XDG Base Directory Specification), for root below the system's. It is
// empty if there is none.
func CacheDir() string {
	const name = "instarfs"
	if dir := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, name)
	}
	if os.Geteuid() == 0 {
		return filepath.Join("/var/cache", name)
	}
	if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".cache", name)
	}
	return ""
}

// kept is what a pool of virtual machines needs to know of it.
func (c Cache) kept() (vmm.Kept, error) {
	if c.Dir == "" {
		c.Dir = CacheDir()
	}
	if c.Off || c.Dir == "" {
		return vmm.Kept{}, nil
	}
	digest, err := payload.Digest()
	return vmm.Kept{Dir: guestcache.At(c.Dir), Digest: digest, Log: c.Log}, err
}
