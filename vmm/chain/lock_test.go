package chain

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/guest/img"
	"instarfs/needs"
	"instarfs/vmm/failure"
	"instarfs/vmm/vmmtest"
)

// held has a process of QEMU keep an image open as long as the test runs.
func held(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(needs.QemuTool(t, "qemu-io"), args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	// When it answers, it has the image.
	if _, err := in.Write([]byte("length\n")); err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(out); s.Scan(); {
		if strings.Contains(s.Text(), "iB") {
			return
		}
	}
	t.Fatalf("qemu-io %q does not answer", args)
}

// TestLocks: an image that QEMU has open for writing is in use, unless nobody minds; and so is
// what lies over it. What reads it, and a raw file that somebody writes, are no hindrance.
// qemu-img answers the same.
func TestLocks(t *testing.T) {
	for _, tc := range []struct {
		name   string
		hold   []string // qemu-io's command line
		format string   // that the base is mapped in
		base   error    // what comes of mapping the base
		over   error    // and the overlay
	}{
		{"writer", []string{"-f", "qcow2"}, "qcow2", unix.EBUSY, unix.EBUSY},
		{"reader", []string{"-r", "-f", "qcow2"}, "qcow2", nil, nil},
		{"reader who lets nobody write", []string{"-r", "-f", "raw"}, "qcow2", nil, nil},
		{"writer who shares", []string{"-U", "-r", "-f", "qcow2"}, "qcow2", nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			qcow2(t, dir+"/base", "", "", 1)
			qcow2(t, dir+"/over", "base", "qcow2", 2)
			held(t, append(tc.hold, dir+"/base")...)
			for name, want := range map[string]error{"/base": tc.base, "/over": tc.over} {
				e := NewEngine(vmmtest.Walker{}, Access{}, Limits{})
				_, err := e.MapFile(t.Context(), dir+name, whole)
				var failed *failure.Error
				if (err == nil) != (want == nil) ||
					errors.As(err, &failed) && failed.Errno() != want {
					t.Errorf("%s: %v, want %v", name, err, want)
				}
				qemu := exec.Command(needs.QemuTool(t, "qemu-img"), "map", dir+name)
				out, qemuErr := qemu.CombinedOutput()
				if (qemuErr == nil) != (want == nil) {
					t.Errorf("qemu-img of %s: %v: %s", name, qemuErr, out)
				}
				if failed != nil && saidOf(dir+name, failed) != string(out) {
					t.Errorf("%s: %s\nqemu-img says: %s", name, failed.QemuText(), out)
				}
				e = NewEngine(vmmtest.Walker{}, Access{ForceShare: true}, Limits{})
				if _, err := e.MapFile(t.Context(), dir+name, whole); err != nil {
					t.Errorf("%s, shared by force: %v", name, err)
				}
			}
		})
	}
}

// saidOf is what qemu-img prints of an image with an error.
func saidOf(name string, err *failure.Error) string {
	return "qemu-img: Could not open '" + name + "': " + err.QemuText() + "\n"
}

// TestLocksOfRaw: the bytes of a raw image mean themselves, so a writer does no harm that a reader
// could see.
func TestLocksOfRaw(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/raw", make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	held(t, "-f", "raw", dir+"/raw")
	for _, format := range []string{"", "raw"} {
		_, err := NewEngine(vmmtest.Walker{}, Access{}, Limits{}).MapFile(t.Context(), dir+"/raw",
			Options{Window: img.Whole, Format: format})
		args := []string{"map", dir + "/raw"}
		if format != "" {
			args = append(args, "-f", format)
		}
		out, qemuErr := exec.Command(needs.QemuTool(t, "qemu-img"), args...).CombinedOutput()
		if (err == nil) != (qemuErr == nil) {
			t.Errorf("-f %q: %v, qemu-img: %s", format, err, out)
		}
	}
}

// TestLooksAtLocksOnly: to look takes no lock: a writer who comes meanwhile, or afterwards, gets
// the image.
func TestLooksAtLocksOnly(t *testing.T) {
	dir := t.TempDir()
	qcow2(t, dir+"/base", "", "", 1)
	e := NewEngine(vmmtest.Walker{}, Access{}, Limits{Cache: 1 << 20})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = e.MapFile(t.Context(), dir+"/base", whole)
			}
		}
	}()
	for range 20 {
		out, err := exec.Command(needs.QemuTool(t, "qemu-io"), "-f", "qcow2", "-c", "write 0 64k",
			dir+"/base").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	close(stop)
	<-done
}

// TestLocksOfDataFiles: whoever has the data file of an image is minded as much as qemu-img minds
// him.
func TestLocksOfDataFiles(t *testing.T) {
	for _, hold := range [][]string{{"-f", "qcow2", "top"}, {"-f", "raw", "data"},
		{"-r", "-f", "raw", "data"}, {"-f", "raw", "-n", "data"}} {
		t.Run(strings.Join(hold, " "), func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			create := exec.Command(needs.QemuTool(t, "qemu-img"), "create", "-q", "-f", "qcow2",
				"-o", "data_file=data", "top", "1M")
			if out, err := create.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			held(t, hold...)
			_, err := NewEngine(vmmtest.Walker{}, Access{}, Limits{}).MapFile(t.Context(),
				"top", whole)
			out, qemuErr := exec.Command(needs.QemuTool(t, "qemu-img"), "map",
				"top").CombinedOutput()
			if (err == nil) != (qemuErr == nil) {
				t.Errorf("%v, qemu-img: %s", err, out)
			}
			var failed *failure.Error
			if errors.As(err, &failed) && saidOf("top", failed) != string(out) {
				t.Errorf("%s\nqemu-img says: %s", failed.QemuText(), out)
			}
		})
	}
}
