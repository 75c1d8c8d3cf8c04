package vmm

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
	"instarfs/vmm/guestcache"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
)

// Kept says where the snapshot of the booted guest is kept for other processes.
type Kept struct {
	Dir    *guestcache.Dir   // nil if it is not kept
	Digest [sha256.Size]byte // SHA-256 of the program
	// Log gets a line when something is wrong with what is kept. The guest is booted then.
	Log func(line string)
}

// kept returns the snapshot that is kept, or nil.
func (p *Pool) kept() (s *snapshot) {
	k := p.opts.Kept
	if k.Dir == nil {
		return nil
	}
	b, err := k.Dir.Load(p.key())
	if b != nil {
		if s, err = keptSnapshot(b); err != nil {
			err = fmt.Errorf("guest cache: %w", err)
		}
	}
	k.say(err)
	return s
}

// store keeps a snapshot. Nobody waits for that but Close.
func (p *Pool) store(s *snapshot) {
	if k := p.opts.Kept; k.Dir != nil {
		p.storing.Go(func() { k.say(k.Dir.Store(p.key(), s.keep())) })
	}
}

// doubt drops what is kept if a run ended as none should. The image is to blame, most likely, but
// if it was the snapshot the next process starts from a new one.
func (p *Pool) doubt(err error) {
	var g *session.GuestError
	if errors.As(err, &g) && !g.Kind.Budget() {
		p.drop()
	}
}

// drop removes what is kept.
func (p *Pool) drop() {
	if k := p.opts.Kept; k.Dir != nil {
		k.Dir.Drop(p.key())
	}
}

func (k Kept) say(err error) {
	if err != nil && k.Log != nil {
		k.Log(err.Error())
	}
}

// keptVersion is raised when what a snapshot holds means something else to this program, in a way
// that key does not see.
const keptVersion = 1

// key says what a kept snapshot relies on: the guest and how it was started, the pages that the
// host puts into it, the processor, and the kernel that runs it.
func (p *Pool) key() guestcache.Key {
	h := sha256.New()
	fmt.Fprintf(h, "%d %x %d ", keptVersion, p.opts.Kept.Digest, abi.Version)
	h.Write(space.Layout())
	h.Write(p.sys.Identity())
	var u unix.Utsname
	_ = unix.Uname(&u) // it cannot fail
	h.Write(u.Release[:])
	h.Write(u.Version[:])
	return guestcache.Key(h.Sum(nil))
}
