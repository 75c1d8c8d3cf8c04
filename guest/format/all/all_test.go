package all_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"instarfs/guest/format"
	"instarfs/guest/format/all"
	"instarfs/guest/img"
	"instarfs/needs"
)

const cloop = "#!/bin/sh\n#V2.0 Format\n" +
	"modprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"

// at returns bytes that are zero except for s at an offset.
func at(off int, s string) string { return strings.Repeat("\x00", off) + s }

// probed is the first bytes of a file, and the format that qemu's probes find.
type probed struct {
	name, head string
	dmg        bool
	want       string
}

var heads = []probed{
	{"nothing", "\x00", false, "raw"},
	{"qcow2", "QFI\xfb\x00\x00\x00\x03", false, "qcow2"},
	{"qcow2 of a later version", "QFI\xfb\x00\x00\x00\x07", false, "qcow2"},
	{"qcow", "QFI\xfb\x00\x00\x00\x01", false, "qcow"},
	{"qcow version 0", "QFI\xfb\x00\x00\x00\x00", false, "raw"},
	{"qed", "QED\x00", false, "qed"},
	{"vdi", at(64, "\x7f\x10\xda\xbe"), false, "vdi"},
	{"vhd", "conectix", false, "vpc"},
	{"vhdx", "vhdxfile", false, "vhdx"},
	{"parallels", "WithoutFreeSpace\x02\x00\x00\x00", false, "parallels"},
	{"parallels, extended", "WithouFreSpacExt\x02\x00\x00\x00", false, "parallels"},
	{"parallels version 3", "WithoutFreeSpace\x03\x00\x00\x00", false, "raw"},
	{"luks", "LUKS\xba\xbe\x00\x01", false, "luks"},
	{"luks2", "LUKS\xba\xbe\x00\x02", false, "raw"},
	{"dmg", "\x00", true, "dmg"},
	{"cloop", cloop, false, "cloop"},
	{"cloop named dmg", cloop, true, "dmg"},
	{"qcow2 named dmg", "QFI\xfb\x00\x00\x00\x03", true, "qcow2"},
	{"bochs", "Bochs Virtual HD Image" + at(10, "Redolog") + at(9, "Growing") +
		at(9, "\x00\x00\x02\x00"), false, "bochs"},
	{"bochs version 1", "Bochs Virtual HD Image" + at(10, "Redolog") + at(9, "Growing") +
		at(9, "\x00\x00\x01\x00"), false, "bochs"},
	{"bochs of another type", "Bochs Virtual HD Image" + at(10, "Undoable") + at(8, "Growing") +
		at(9, "\x00\x00\x02\x00"), false, "raw"},
	{"vmdk sparse", "KDMV", false, "vmdk"},
	{"vmdk cowd", "COWD", false, "vmdk"},
	{"vmdk text", "# Disk DescriptorFile\nversion=1\n", false, "vmdk"},
	{"vmdk text version 2, CRLF", "# Disk DescriptorFile\r\nversion=2\r\n", false, "vmdk"},
	{"vmdk text version 3 alone", "version=3\n", false, "vmdk"},
	{"vmdk text version 4", "version=4\n", false, "raw"},
	{"vmdk text without line end", at(0, "version=1"), false, "raw"},
	{"vmdk text after blanks", "#\n  \n \r\n#x\nversion=1\n", false, "vmdk"},
	{"vmdk text after an empty line", "#\n\nversion=1\n", false, "raw"},
	{"vmdk text after a tab", "#\n\t\nversion=1\n", false, "raw"},
	{"vmdk text after something", "#\n x\nversion=1\n", false, "raw"},
	{"vmdk text indented", " version=1\n", false, "raw"},
	{"vmdk text beyond the head", "#" + strings.Repeat("x", 505) + "\nversion=1\n", false, "raw"},
	{"vmdk text at the head's end", "#" + strings.Repeat("x", 500) + "\nversion=1\n", false,
		"vmdk"},
	{"comment that never ends", strings.Repeat("#", 600), false, "raw"},
	{"blanks that never end", strings.Repeat(" ", 600), false, "raw"},
}

func head(s string) *[format.HeadLen]byte {
	var h [format.HeadLen]byte
	copy(h[:], s)
	return &h
}

// TestEveryFormatHasAHead: no format is left out of the heads.
func TestEveryFormatHasAHead(t *testing.T) {
	for f := img.Raw; f < img.Formats; f++ {
		has := slices.ContainsFunc(heads, func(p probed) bool { return p.want == f.String() })
		if has == f.IsPart() {
			t.Errorf("%s has a head: %v", f, has)
		}
	}
}

// TestProbe probes by the table. It checks that qemu-img prints the same for the bytes with and
// without the format.
func TestProbe(t *testing.T) {
	for _, v := range heads {
		if got := all.Probe(head(v.head), 4096, v.dmg).Format.String(); got != v.want {
			t.Errorf("%s: %s, want %s", v.name, got, v.want)
		}
		name := "image"
		if v.dmg {
			name = "image.dmg"
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(v.head), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 4096); err != nil {
			t.Fatal(err)
		}
		probed, told := info(t, path), info(t, "-f", v.want, path)
		if probed != told {
			t.Errorf("%s: qemu-img says %s, and of %s %s", v.name, probed, v.want, told)
		}
	}
}

// info returns the output of qemu-img info, also if it fails: it shows the driver in either
// case.
func info(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(needs.QemuTool(t, "qemu-img"),
		append([]string{"info"}, args...)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

// TestEmpty checks that an empty device is raw, whatever its name.
func TestEmpty(t *testing.T) {
	if d := all.Probe(head(""), 0, true); d.Format != img.Raw {
		t.Errorf("%s", d.Format)
	}
}

// TestTable finds every format under its own number.
func TestTable(t *testing.T) {
	for id := img.Raw; id < img.Formats; id++ {
		d := all.ByFormat(id)
		if d == nil || d.Format != id || d.Probe == nil || d.Open == nil {
			t.Fatalf("driver %d: %+v", id, d)
		}
	}
	if all.ByFormat(img.Unknown) != nil || all.ByFormat(img.Formats) != nil ||
		all.ByFormat(1<<31) != nil {
		t.Error("a number without a format has a driver")
	}
}

// FuzzProbe probes arbitrary bytes: there is always a driver, and its score is the highest.
func FuzzProbe(f *testing.F) {
	for _, v := range heads {
		f.Add([]byte(v.head), uint64(4096), v.dmg)
	}
	f.Fuzz(func(t *testing.T, b []byte, size uint64, dmg bool) {
		h := head(string(b))
		d := all.Probe(h, size, dmg)
		if d == nil {
			t.Fatal("no driver")
		}
		for id := img.Raw; id < img.Formats; id++ {
			o := all.ByFormat(id)
			score, best := o.Probe(h, size, dmg), d.Probe(h, size, dmg)
			if size > 0 && (score > best || score == best && id < d.Format) {
				t.Fatalf("%s scores %d, %s was chosen with %d", o.Format, score, d.Format, best)
			}
		}
	})
}
