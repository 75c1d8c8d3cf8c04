package jail

import (
	"errors"
	"strings"
	"testing"

	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// TestNoWeakerChild: a child that is confined by less than the first one gets no job.
func TestNoWeakerChild(t *testing.T) {
	before, books := inUse(t), ledger.New(1<<30)
	p := newPool(t, session.Options{Memory: books})
	mustMap(t, p)
	p.mu.Lock()
	p.level = bare
	p.mu.Unlock()
	for range 3 { // one or two children are ready
		_, err := p.Run(t.Context(), does{}.good().job())
		if err == nil {
			continue
		}
		if !errors.Is(err, session.ErrNoGuest) || strings.Contains(err.Error(), "\n") ||
			!strings.Contains(err.Error(), "without: user namespace, namespaces, empty root") {
			t.Error(err)
		}
		p.Close()
		settled(t, before, books)
		return
	}
	t.Error("three runs were served")
}
