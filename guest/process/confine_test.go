package process

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestConfineStaysOutOfTheRuntime reads what the compiler makes of confine, and of all that it
// calls: no function checks its stack, where it could be preempted, and none calls the runtime but
// to panic.
func TestConfineStaysOutOfTheRuntime(t *testing.T) {
	// The go command takes the outcome from its cache unless a file changed that this test looks
	// at.
	for _, name := range []string{"confine_unsafe.go", "sys_unsafe.go"} {
		if _, err := os.Stat(name); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("go", "build", "-gcflags=-S", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const pkg = "instarfs/guest/process."
	header := regexp.MustCompile(`^(\S+) STEXT (.*)size=`)
	call := regexp.MustCompile(`R_CALL\w* (\S+)\+0`)
	nosplit, calls := map[string]bool{}, map[string][]string{}
	var name string
	for line := range strings.Lines(string(out)) {
		if m := header.FindStringSubmatch(line); m != nil {
			name = m[1]
			nosplit[name] = strings.Contains(m[2], "nosplit")
		} else if m := call.FindStringSubmatch(line); m != nil {
			calls[name] = append(calls[name], m[1])
		}
	}
	// The assembly, and what the compiler calls where an index is out of range.
	fine := regexp.MustCompile(`^(runtime\.(panic\w+|gopanic)|` +
		regexp.QuoteMeta(pkg) + `syscall6)$`)
	seen := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		if seen[name] || fine.MatchString(name) {
			return
		}
		seen[name] = true
		if !nosplit[name] {
			t.Errorf("%s checks its stack, or is not of this package", name)
		}
		for _, to := range calls[name] {
			visit(to)
		}
	}
	visit(pkg + "confine")
	for _, name := range []string{"fork", "transfer", "carryOut"} {
		if !seen[pkg+name] {
			t.Errorf("confine does not call %s: this test sees too little", name)
		}
	}
}
