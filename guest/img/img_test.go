package img

import "testing"

func TestParseRelease(t *testing.T) {
	for s, want := range map[string]Release{
		"5.1": NewRelease(5, 1), "7.2": NewRelease(7, 2), "7.2.22": NewRelease(7, 2),
		"8.2.0": NewRelease(8, 2), "11.1": NewRelease(11, 1),
	} {
		if got, err := ParseRelease(s); got != want || err != nil {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"5.0":     "qemu-img 5.0 is not reproduced, only 5.1 and newer are",
		"0.0":     "qemu-img 0.0 is not reproduced, only 5.1 and newer are",
		"":        `"" is not a version of the form X.Y`,
		"7":       `"7" is not a version of the form X.Y`,
		"7.x":     `"7.x" is not a version of the form X.Y`,
		"-7.2":    `"-7.2" is not a version of the form X.Y`,
		"7.70000": `"7.70000" is not a version of the form X.Y`,
		"7.2.1.1": `"7.2.1.1" is not a version of the form X.Y`,
	} {
		if _, err := ParseRelease(s); err == nil || err.Error() != want {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestReleases(t *testing.T) {
	for _, test := range []struct {
		r                         Release
		qemu, present, compressed bool
	}{
		{0, false, true, true},
		{NewRelease(5, 1), true, false, false},
		{NewRelease(6, 0), true, false, false},
		{NewRelease(6, 1), true, true, false},
		{NewRelease(8, 1), true, true, false},
		{NewRelease(8, 2), true, true, true},
		{NewRelease(11, 1), true, true, true},
	} {
		r := test.r
		if r.IsQemu() != test.qemu || r.HasPresent() != test.present ||
			r.HasCompressed() != test.compressed {
			t.Errorf("%d.%d: %v, %v, %v", r>>16, r&0xffff, r.IsQemu(), r.HasPresent(),
				r.HasCompressed())
		}
	}
	if Release(0).Since(0, 0) || NewRelease(7, 2).Since(7, 3) || !NewRelease(7, 2).Since(7, 2) ||
		!NewRelease(10, 0).Since(7, 2) {
		t.Error("Since")
	}
}

// TestFormats checks that each number has a name of its own, which leads back to it.
func TestFormats(t *testing.T) {
	for f := Raw; f < Formats; f++ {
		if !f.Known() || f.String() == "" || ParseFormat(f.String()) != f {
			t.Errorf("format %d: name %q leads to %d", uint32(f), f, ParseFormat(f.String()))
		}
		if f.IsPart() != (f == VmdkSparse || f == VmdkSESparse) {
			t.Errorf("%s: part %v", f, f.IsPart())
		}
	}
	for _, f := range []Format{Unknown, Formats, 1 << 31} {
		if f.Known() || f.String() != "" || f.IsPart() {
			t.Errorf("%d is a format", uint32(f))
		}
	}
	for _, name := range []string{"", "bogus", "RAW"} {
		if f := ParseFormat(name); f != Unknown {
			t.Errorf("%q is %s", name, f)
		}
	}
}

func TestHasExtension(t *testing.T) {
	for name, want := range map[string]bool{
		"disk.qcow2": true, "DISK.VHD": true, "a.b.avhdx": true, ".img": true, "dir.d/x.hds": true,
		"disk": false, "disk.": false, "qcow2": false, "disk.qcow2.txt": false, "disk.iso": false,
		"": false,
	} {
		if HasExtension(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestWindow(t *testing.T) {
	const size = 100
	for _, test := range []struct {
		w, want Window
		empty   bool
	}{
		{Whole, Window{0, size}, false},
		{Window{}, Window{}, true},
		{Window{10, 20}, Window{10, 20}, false},
		{Window{10, 1000}, Window{10, size}, false},
		{Window{20, 10}, Window{20, 20}, true},
		{Window{size, 1000}, Window{size, size}, true},
		{Window{200, 300}, Window{200, 200}, true},
	} {
		got := test.w.Clip(size)
		if got != test.want || got.Empty() != test.empty || got.Len() != got.End-got.Start {
			t.Errorf("%v: %v, %d bytes", test.w, got, got.Len())
		}
	}
}
