package session

import (
	"errors"
	"sync"
	"testing"
)

func TestShelf(t *testing.T) {
	s := NewShelf[int](2)
	if !s.PromiseFirst() {
		t.Fatal("nobody has asked yet")
	}
	s.Put(nil)
	if g, err := s.Take(); g != nil || err != nil {
		t.Fatal(g, err)
	}
	if s.PromiseFirst() {
		t.Fatal("somebody has asked")
	}
	if g, err := s.Take(); g != nil || err != nil {
		t.Fatal(g, err)
	}
	one, two := 1, 2
	first, second, third := s.Promise(), s.Promise(), s.Promise()
	if !first || !second || third {
		t.Fatal("two are promised, and no third")
	}
	s.Put(&one)
	s.Put(nil)
	if g, err := s.Take(); g != &one || err != nil {
		t.Error(g, err)
	}
	if g, err := s.Take(); g != nil || err != nil {
		t.Error(g, err)
	}
	// One that is on its way is waited for.
	if !s.Promise() {
		t.Fatal("there is room again")
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if g, err := s.Take(); g != &two || err != nil {
			t.Error(g, err)
		}
	})
	s.Put(&two)
	wg.Wait()

	if !s.Promise() {
		t.Fatal("there is room again")
	}
	wg.Go(func() { s.Put(&one) })
	var ended []*int
	if s.Closed() || !s.Close(func(g *int) { ended = append(ended, g) }) || !s.Closed() {
		t.Error("closed at the wrong time")
	}
	wg.Wait()
	if len(ended) != 1 || ended[0] != &one {
		t.Error(ended)
	}
	if g, err := s.Take(); g != nil || !errors.Is(err, ErrClosed) || s.Promise() {
		t.Error(g, err)
	}
	if s.Close(func(*int) { t.Error("a second end") }) {
		t.Error("closed twice")
	}
}
