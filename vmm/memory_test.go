package vmm

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"instarfs/guest/abi"
	"instarfs/vmm/space"
)

// TestGuestMemoryIsNotDumped: the kernel's own list of mappings has the flag "dd", do not dump, for
// all of a machine's memory; see proc_pid_smaps(5).
func TestGuestMemoryIsNotDumped(t *testing.T) {
	m, err := space.NewMemory(abi.RAMLen)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	start := fmt.Sprintf("%p", &m.Bytes[0])
	_, mapping, found := strings.Cut(string(smaps), "\n"+strings.TrimPrefix(start, "0x")+"-")
	if !found {
		t.Fatalf("no mapping at %s", start)
	}
	_, flags, _ := strings.Cut(mapping, "VmFlags: ")
	flags, _, _ = strings.Cut(flags, "\n")
	var end uint64
	if _, err := fmt.Sscanf(mapping, "%x ", &end); err != nil ||
		!strings.Contains(flags+" ", "dd ") {
		t.Errorf("mapping has flags %q, %v", flags, err)
	}
	var from uint64
	fmt.Sscanf(start, "0x%x", &from)
	if end-from < abi.RAMLen {
		t.Errorf("the mapping with the flag has %d bytes, of %d", end-from, abi.RAMLen)
	}
}
