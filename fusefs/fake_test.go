package fusefs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"instarfs/fusefs/view"
	"instarfs/guest/extent"
)

// fakeSource mirrors a directory in which every file says what its map is to be: "SEED SIZE". Its
// maps take delay to make.
type fakeSource struct {
	root  string
	delay atomic.Int64 // time.Duration of a run
	runs  atomic.Int64 // runs that were started
	// during stands in for delay: a run goes on when it returns. Tests set it before they mount.
	during func(ctx context.Context, path string)

	mu      sync.Mutex
	cached  map[Generation]*extent.Map
	flights map[string]*fakeFlight // by path
	// fail makes the run of a path end with the error; panics makes a stat or a run of it panic.
	fail map[string]error
	// unseen makes a stat of a path end with the error.
	unseen map[string]error
	panics map[string]bool
}

func newFakeSource(t testing.TB, delay time.Duration) *fakeSource {
	return fakeSourceAt(t.TempDir(), delay)
}

// fakeSourceAt mirrors a directory that exists already.
func fakeSourceAt(root string, delay time.Duration) *fakeSource {
	s := &fakeSource{root: root, cached: map[Generation]*extent.Map{},
		flights: map[string]*fakeFlight{}, fail: map[string]error{}, unseen: map[string]error{},
		panics: map[string]bool{}}
	s.delay.Store(int64(delay))
	return s
}

// put makes or replaces an image whose JSON view has that seed and size.
func (s *fakeSource) put(t testing.TB, path, seed string, size int64) {
	t.Helper()
	file := filepath.Join(s.root, path)
	if err := os.MkdirAll(filepath.Dir(file), 0755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", fmt.Appendf(nil, "%s %d", seed, size), 0640); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func (s *fakeSource) break_(path string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[path] = err
}

func (s *fakeSource) hide(path string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unseen[path] = err
}

func (s *fakeSource) ReadDir(ctx context.Context, who *Caller, dir string) ([]Entry, error) {
	list, err := os.ReadDir(filepath.Join(s.root, dir))
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, e := range list {
		if strings.HasSuffix(e.Name(), ".new") { // about to be renamed
			continue
		}
		path := e.Name()
		if dir != "." {
			path = dir + "/" + path
		}
		switch info, err := s.look(path); {
		case err == nil && !info.Regular() && !info.Dir() && info.Link == "":
		case err == nil:
			entries = append(entries, Entry{Name: e.Name(),
				Type: info.Mode & syscall.S_IFMT, Known: true, Info: info})
		case !errors.Is(err, os.ErrNotExist):
			entries = append(entries, Entry{Name: e.Name(), Type: syscall.S_IFREG})
		}
	}
	return entries, nil
}

func (s *fakeSource) CheckDir(context.Context, *Caller, string) error { return nil }

func (s *fakeSource) Public(context.Context, string) bool { return true }

func (s *fakeSource) Check(
	_ context.Context, who *Caller, path string, g Generation,
) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.cached[g]
	return known, s.denies(who, path)
}

// denies goes by the last bits of the mode, and by nothing else.
func (s *fakeSource) denies(who *Caller, path string) error {
	info, err := os.Stat(filepath.Join(s.root, path))
	if err == nil && who != nil && info.Mode()&4 == 0 {
		err = syscall.EACCES
	}
	return err
}

func (s *fakeSource) Stat(_ context.Context, _ *Caller, path string) (Info, error) {
	s.mu.Lock()
	p := s.panics["stat "+path]
	s.mu.Unlock()
	if p {
		panic("stat of " + path)
	}
	return s.look(path)
}

// look is Stat without what tests make of it.
func (s *fakeSource) look(path string) (Info, error) {
	s.mu.Lock()
	err := s.unseen[path]
	s.mu.Unlock()
	if err != nil {
		return Info{}, err
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(filepath.Join(s.root, path), &st); err != nil {
		return Info{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	g := Generation{st.Ino, uint64(st.Mtim.Nano()) ^ uint64(st.Ctim.Nano())<<1 ^ uint64(st.Size)<<2}
	i := Info{Mode: st.Mode, UID: st.Uid, GID: st.Gid, MTime: time.Unix(st.Mtim.Unix()),
		Generation: g, Alone: true}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		i.Generation[1] = 0
	case syscall.S_IFLNK:
		target, err := os.Readlink(filepath.Join(s.root, path))
		if err != nil {
			return Info{}, err
		}
		i.Link = target
		to, err := os.Stat(filepath.Join(s.root, path))
		switch {
		case err == nil && to.IsDir():
			i.LinkType = syscall.S_IFDIR
		case err == nil:
			i.LinkType = syscall.S_IFREG
		}
	}
	return i, nil
}

func (s *fakeSource) Cached(_ string, g Generation) (*extent.Map, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.cached[g]
	return m, ok
}

// fakeFlight is a run that several callers may wait for.
type fakeFlight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int // guarded by fakeSource.mu
	m       *extent.Map
	g       Generation
	err     error
}

func (s *fakeSource) Map(
	ctx context.Context, who *Caller, path string,
) (*extent.Map, Generation, error) {
	if err := s.denies(who, path); err != nil {
		return nil, Generation{}, err
	}
	info, err := s.look(path)
	s.mu.Lock()
	f := s.flights[path]
	if m := s.cached[info.Generation]; m != nil && f == nil && err == nil {
		s.mu.Unlock()
		return m, info.Generation, nil // a run has ended since the caller looked
	}
	if f == nil {
		runCtx, cancel := context.WithCancel(context.Background())
		f = &fakeFlight{done: make(chan struct{}), cancel: cancel}
		s.flights[path] = f
		s.runs.Add(1)
		go s.fly(runCtx, path, f)
	}
	f.waiters++
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.m, f.g, f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiters--; f.waiters == 0 {
		f.cancel()
		s.land(path, f)
	}
	return nil, Generation{}, context.Cause(ctx)
}

// land makes the next caller start a run of its own. Precondition: s.mu is held.
func (s *fakeSource) land(path string, f *fakeFlight) {
	if s.flights[path] == f {
		delete(s.flights, path)
	}
}

func (s *fakeSource) fly(ctx context.Context, path string, f *fakeFlight) {
	defer func() {
		if p := recover(); p != nil {
			f.err = fmt.Errorf("run panicked: %v", p)
		}
		s.mu.Lock()
		s.land(path, f)
		s.mu.Unlock()
		f.cancel()
		close(f.done)
	}()
	f.m, f.g, f.err = s.run(ctx, path)
}

func (s *fakeSource) run(ctx context.Context, path string) (*extent.Map, Generation, error) {
	for {
		before, err := s.Stat(ctx, nil, path)
		if err != nil {
			return nil, Generation{}, err
		}
		text, err := os.ReadFile(filepath.Join(s.root, path))
		if err != nil {
			return nil, before.Generation, err
		}
		s.take(ctx, path)
		if ctx.Err() != nil {
			return nil, before.Generation, ctx.Err()
		}
		s.mu.Lock()
		err, p := s.fail[path], s.panics[path]
		s.mu.Unlock()
		if p {
			panic("map of " + path)
		}
		if err != nil {
			return nil, before.Generation, err
		}
		after, err := s.Stat(ctx, nil, path)
		if err != nil {
			return nil, Generation{}, err
		}
		if after.Generation != before.Generation {
			continue
		}
		seed, number, _ := strings.Cut(string(text), " ")
		size, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return nil, before.Generation, err
		}
		m, err := fakeMap(seed, size)
		if err != nil {
			return nil, before.Generation, err
		}
		s.mu.Lock()
		s.cached[before.Generation] = m
		s.mu.Unlock()
		return m, before.Generation, nil
	}
}

// take takes the time of a run.
func (s *fakeSource) take(ctx context.Context, path string) {
	if s.during != nil {
		s.during(ctx, path)
		return
	}
	select {
	case <-time.After(time.Duration(s.delay.Load())):
	case <-ctx.Done():
	}
}

// underWay is how many runs are under way.
func (s *fakeSource) underWay() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flights)
}

// waiting is how many callers wait for the run of a path.
func (s *fakeSource) waiting(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[path]; f != nil {
		return f.waiters
	}
	return 0
}

// fakeMap carries a seed as the name of a file and a size as that of the disk.
func fakeMap(seed string, size uint64) (*extent.Map, error) {
	b := extent.NewBuilder(0, size, 0)
	if size > 0 {
		if err := b.Add(extent.Extent{Length: size}); err != nil {
			return nil, err
		}
	}
	return b.Finish([]string{seed})
}

// errNoText is what a seed of "notext" makes of the text view.
var errNoText = errors.New("the text view cannot show this; read the .map.json")

func fakeRender(m *extent.Map, v view.View) (Rendering, error) {
	if v == view.Text && m.Files()[0] == "notext" {
		return nil, errNoText
	}
	return m.Memo(v,
		func() any {
			return bytes.NewReader(fakeContent(m.Files()[0], int(m.End()),
				v))
		}).(*bytes.Reader), nil
}

// fakeContent is what a view shows: lines that all say which seed they belong to.
func fakeContent(seed string, size int, v view.View) []byte {
	line := fmt.Sprintf("%s%s %d\n", seed, v, size)
	return bytes.Repeat([]byte(line), size/len(line)+1)[:size]
}
