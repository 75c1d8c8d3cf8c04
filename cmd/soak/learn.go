package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Kinds of subjects, by what happens to them.
const (
	renamed   = "image replaced by a rename"
	inPlace   = "image written in place"
	overBase  = "overlay whose base is replaced"
	coming    = "image in a directory that comes and goes"
	secret    = "image that only root may read"
	closing   = "image that is closed to others and opened again"
	closedDir = "image in a directory that is closed and opened"
	published = "open overlay of such an image"
	onNet     = "image on a file system that hangs"
)

func (w *world) addSubjects() error {
	for kind, name := range map[string]string{
		renamed: "renamed%d.qcow2", inPlace: "written%d.qcow2", overBase: "over%d.qcow2",
		coming: "come/%d.qcow2", secret: "secret%d.qcow2", closing: "closing%d.qcow2",
		closedDir: "closing/%d.qcow2", published: "open%d.qcow2",
	} {
		for i := range perKind {
			s := &subject{kind: kind, name: fmt.Sprintf(name, i), busy: kind == inPlace}
			s.base = s.name
			if kind == overBase || kind == published {
				s.base = "base-of-" + s.name
				b, err := fileBytes(overlay(s.base))
				if err != nil {
					return err
				}
				if err := replace(w.path(s.name), b, 0o644); err != nil {
					return err
				}
			}
			if err := w.learn(s); err != nil {
				return err
			}
			w.kinds[kind] = append(w.kinds[kind], s)
			w.all = append(w.all, s)
		}
	}
	return nil
}

func (w *world) path(name string) string { return filepath.Join(w.source, name) }

// learn gives a subject each content, and asks `instarfs map` for its maps. Other tests check
// that these are correct.
func (w *world) learn(s *subject) error {
	for i := variants - 1; i >= 0; i-- {
		if err := replace(w.path(s.base), w.contents[i], 0o644); err != nil {
			return err
		}
		if err := w.mapsOf(s, i); err != nil {
			return err
		}
	}
	mode, closed := os.FileMode(0o644), s.kind == secret
	if closed {
		mode = 0o600
	}
	s.now.Store(&moment{closed: closed, since: time.Now()})
	return os.Chmod(w.path(s.base), mode)
}

func (w *world) mapsOf(s *subject, variant int) error {
	s.maps[variant] = map[string][]byte{}
	for view, output := range map[string]string{views[0]: "json", views[1]: "human"} {
		b, err := exec.Command(w.binary, "map", "--output", output, w.path(s.name)).Output()
		if err != nil {
			return fmt.Errorf("map %s: %w", s.name, err)
		}
		s.maps[variant][view] = b
	}
	return nil
}

// addNet mounts, in the source, a file system whose program can be stopped. Its files are maps.
func (w *world) addNet(dir string) (err error) {
	for i := range nets {
		name := filepath.Join(dir, fmt.Sprintf("%d.qcow2", i))
		if err := replace(name, w.contents[i%variants], 0o644); err != nil {
			return err
		}
	}
	if w.below, err = mountAt(w.binary, dir, w.path("net")); err != nil {
		return err
	}
	// The kernel knows the exact size of a file of a mount only after a stat.
	for i := range nets {
		s := &subject{kind: onNet, name: fmt.Sprintf("net/%d.qcow2.map.txt", i)}
		s.now.Store(&moment{since: time.Now()})
		for v := range variants {
			if err := w.mapsOf(s, v); err != nil {
				return err
			}
		}
		w.net = append(w.net, s)
	}
	return nil
}
