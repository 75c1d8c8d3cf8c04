package vmdk_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"instarfs/guest/fault"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vmdk/vmdktest"
	"instarfs/guest/img"
)

// qemuSays is why the installed qemu-img does not open a VMDK, beside which the files a and b are; empty if it does.
func qemuSays(t *testing.T, b []byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"disk": b, "a": make([]byte, 4096), "b": nil, strings.Repeat("x", 255): nil} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(formattest.Tool(t, "qemu-img"), "map", "-f", "vmdk", "disk")
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	text, _ := strings.CutPrefix(stderr.String(), "qemu-img: Could not open 'disk': ")
	return strings.TrimSuffix(text, "\n")
}

// said is what we say of a fault in qemu-img's words.
func said(f *fault.Fault) string {
	if f == nil {
		return ""
	}
	return f.Told("disk")
}

// TestAgainstQemuImg compares what is said of the vectors with the installed qemu-img, where that does not crash and says it at
// once: what is wrong with the files that a text names is said in front of what is wrong with the lines behind.
func TestAgainstQemuImg(t *testing.T) {
	for _, v := range headers {
		if v.kind != "KDMV" || v.text == "" {
			continue
		}
		s := vmdktest.NewSparse(v.kind, 1000, 128)
		v.spoil(s)
		_, f := walk(t, driverOf(v.kind), s.Bytes(), qemu, img.Whole)
		if got := qemuSays(t, s.Bytes()); said(f) != got {
			t.Errorf("%s: %q, but qemu-img %q", v.name, said(f), got)
		}
	}
	for _, v := range texts {
		r, f := walk(t, driverOf("KDMV"), []byte(intro+v.text), qemu, img.Whole)
		alone := f == nil || f.Reason != fault.VmdkFlatOffset
		if f == nil {
			for _, ref := range r.References {
				alone = alone && ref.Kind == img.DataFile && len(ref.Name) < 256
			}
		}
		if got := qemuSays(t, []byte(intro+v.text)); alone && said(f) != got {
			t.Errorf("%s: %q, but qemu-img %q", v.name, said(f), got)
		}
	}
}
