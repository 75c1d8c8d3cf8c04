package fusefs

import (
	"context"
	"sync"
	"testing"
	"time"

	"instarfs/fusefs/view"
	"instarfs/guest/extent"
)

// layeredSource learns with the first map of an image which layers lie under it; from then on its
// generation is that of all of them.
type layeredSource struct {
	*fakeSource
	mu    sync.Mutex
	known map[string]bool
}

func (s *layeredSource) whole(path string, g Generation) Generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[path] {
		g[0]++
	}
	return g
}

func (s *layeredSource) Stat(ctx context.Context, who *Caller, path string) (Info, error) {
	info, err := s.fakeSource.Stat(ctx, who, path)
	info.Generation = s.whole(path, info.Generation)
	return info, err
}

func (s *layeredSource) Cached(path string, g Generation) (*extent.Map, bool) {
	g[0]--
	return s.fakeSource.Cached(path, g)
}

func (s *layeredSource) Check(
	ctx context.Context, who *Caller, path string, g Generation,
) (bool, error) {
	g[0]--
	return s.fakeSource.Check(ctx, who, path, g)
}

func (s *layeredSource) Map(
	ctx context.Context, who *Caller, path string,
) (*extent.Map, Generation, error) {
	m, g, err := s.fakeSource.Map(ctx, who, path)
	if err == nil {
		s.mu.Lock()
		s.known[path] = true
		s.mu.Unlock()
	}
	return m, s.whole(path, g), err
}

// A generation that changes because more is known of it must not show.
func TestGenerationLearntWithTheMap(t *testing.T) {
	src := newFakeSource(t, 5*time.Millisecond)
	src.put(t, "a.img", "a", 5000)
	for _, how := range []string{"cat", "read", "sendfile", "splice", "mmap-stat", "mmap-fstat",
		"copy", "pread"} {
		fresh := fakeSourceAt(src.root, 5*time.Millisecond)
		m := mountFake(t, fresh, func(o *Options) {
			o.Source = &layeredSource{fakeSource: fresh, known: map[string]bool{}}
		})
		program, args := clientCommand(how, m.path("a.img.map.json"))
		for range 3 {
			want := string(fakeContent("a", 5000, view.JSON))
			if got := command(t, program, args...); got != want {
				t.Errorf("%s: %d bytes, or the wrong ones", how, len(got))
			}
		}
		if n := fresh.runs.Load(); n != 1 {
			t.Errorf("%s: %d runs", how, n)
		}
	}
}
