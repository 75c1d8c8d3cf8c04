package vmm

import "sync"

// alarm kicks a machine, from any goroutine, until it is turned off. A kick that came later would
// hit the machine's next run, or its remains.
type alarm struct {
	mu   sync.Mutex // held during a kick, so that none is under way once off has returned
	kick func()     // nil when the alarm is off
}

func (a *alarm) ring() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kick != nil {
		a.kick()
	}
}

func (a *alarm) off() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kick = nil
}
