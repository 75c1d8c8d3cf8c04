package turns

import "testing"

// BenchmarkPause is a turn given away and taken again while nobody waits.
func BenchmarkPause(b *testing.B) {
	turn, err := New(2).Enter(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		turn.Pause()
		if err := turn.Resume(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	turn.Leave()
}
