package memory

import (
	"math"
	"testing"
)

func TestMachinesThatFit(t *testing.T) {
	if n, err := MachinesThatFit(32<<20, 1<<30); n != 0 || err != nil {
		t.Errorf("without a limit: %d, %v", n, err)
	}
	if free := freeAddresses(); free != math.MaxUint64 {
		t.Errorf("without a limit %d bytes are free", free)
	}
}
