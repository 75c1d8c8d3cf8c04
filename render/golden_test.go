package render

import (
	"errors"
	"strings"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/img"
)

// The wanted bytes are what qemu-img 7.2 printed, unless a case names another profile. See
// docs/qemu-img-map.md.
func TestGolden(t *testing.T) {
	for _, tc := range []struct {
		name    string
		profile img.Release
		start   uint64
		runs    []run
		cut     bool
		json    string
		text    string // the lines after the head
		err     error
	}{
		{
			name:    "empty image",
			profile: img.NewRelease(7, 2),
			json:    `[{ "start": 0, "length": 0, "depth": 0, "present": false, "zero": false, "data": false}]` + "\n",
		}, {
			name:    "empty window past the end",
			profile: img.NewRelease(7, 2), start: 5242880,
			json: `[{ "start": 5242880, "length": 0, "depth": 0, "present": false, "zero": false, "data": false}]` + "\n",
		}, {
			name: "empty window of the newest layout",
			json: `[{ "start": 0, "length": 0, "depth": 0, "present": false, "zero": false, "data": false, "compressed": false}]` + "\n",
		}, {
			name:    "empty window before present was told",
			profile: img.NewRelease(6, 0),
			json: `[{ "start": 0, "length": 0, "depth": 0, "zero": false, "data": false}]` +
				"\n",
		}, {
			name:    "window within one cluster",
			profile: img.NewRelease(7, 2), start: 65537,
			runs: []run{{length: 3, flags: data, offset: 327681}},
			json: `[{ "start": 65537, "length": 3, "depth": 0, "present": true, "zero": false, "data": true, "offset": 327681}]` + "\n",
			text: "0x10001         0x3             0x50001         a.qcow2\n",
		}, {
			name:    "window over the borders of a cluster",
			profile: img.NewRelease(7, 2), start: 60000,
			runs: []run{{length: 5536, flags: hole}, {length: 65536, flags: data, offset: 327680},
				{length: 28928, flags: hole}},
			json: `[{ "start": 60000, "length": 5536, "depth": 0, "present": false, "zero": true, "data": false},
{ "start": 65536, "length": 65536, "depth": 0, "present": true, "zero": false, "data": true, "offset": 327680},
{ "start": 131072, "length": 28928, "depth": 0, "present": false, "zero": true, "data": false}]
`,
			text: "0x10000         0x10000         0x50000         a.qcow2\n",
		}, {
			name:    "compressed clusters end the table of qemu-img",
			profile: img.NewRelease(7, 2),
			// Before 8.2 whoever composes the map leaves the flag out, see Profile.HasCompressed.
			runs: []run{{length: 65536, flags: data, offset: 327680},
				{length: 131072, flags: comp &^ extent.Compressed},
				{length: 851968, flags: hole}},
			json: `[{ "start": 0, "length": 65536, "depth": 0, "present": true, "zero": false, "data": true, "offset": 327680},
{ "start": 65536, "length": 131072, "depth": 0, "present": true, "zero": false, "data": true},
{ "start": 196608, "length": 851968, "depth": 0, "present": false, "zero": true, "data": false}]
`,
			text: "0               0x10000         0x50000         a.qcow2\n",
			err:  ErrNotPlain,
		}, {
			name: "compressed and encrypted extents have rows by default",
			runs: []run{{length: 65536, flags: comp}, {length: 512, flags: zero},
				{length: 512, flags: crypt, depth: 1}},
			json: `[{ "start": 0, "length": 65536, "depth": 0, "present": true, "zero": false, "data": true, "compressed": true},
{ "start": 65536, "length": 512, "depth": 0, "present": true, "zero": true, "data": false, "compressed": false},
{ "start": 66048, "length": 512, "depth": 1, "present": true, "zero": false, "data": true, "compressed": false}]
`,
			text: "0               0x10000         compressed      a.qcow2\n" +
				"0x10200         0x200           encrypted       d/b\n",
		}, {
			name:    "a walk that failed leaves the list open",
			profile: img.NewRelease(7, 2), cut: true,
			runs: []run{{length: 65536, flags: data, offset: 327680}, {length: 65536, flags: hole}},
			json: `[{ "start": 0, "length": 65536, "depth": 0, "present": true, "zero": false, "data": true, "offset": 327680},
{ "start": 65536, "length": 65536, "depth": 0, "present": false, "zero": true, "data": false},
`,
			text: "0               0x10000         0x50000         a.qcow2\n",
		}, {
			name:    "a walk that failed at once",
			profile: img.NewRelease(7, 2), cut: true,
			json: "[",
		}, {
			name:    "raw file of one byte",
			profile: img.NewRelease(7, 2),
			runs:    []run{{length: 1, flags: data}, {length: 511, flags: rawz, offset: 1}},
			json: `[{ "start": 0, "length": 1, "depth": 0, "present": true, "zero": false, "data": true, "offset": 0},
{ "start": 1, "length": 511, "depth": 0, "present": true, "zero": true, "data": false, "offset": 1}]
`,
			text: "0               0x1             0               a.qcow2\n",
		}, {
			name:    "preallocated space is no row of the table",
			profile: img.NewRelease(6, 0),
			runs: []run{{length: 512, flags: prez, offset: 1024},
				{length: 512, flags: data, offset: 1 << 62, file: 1}},
			json: `[{ "start": 0, "length": 512, "depth": 0, "zero": true, "data": true, "offset": 1024},
{ "start": 512, "length": 512, "depth": 0, "zero": false, "data": true, "offset": 4611686018427387904}]
`,
			text: "0x200           0x200           0x4000000000000000d/b\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mapOf(t, tc.start, []string{"a.qcow2", "d/b"}, tc.runs...)
			render := New
			if tc.cut {
				render = NewCut
			}
			r, err := render(m, JSON, tc.profile)
			if got := written(t, r); err != nil || got != tc.json {
				t.Errorf("json, error %v:\n%s\nwant:\n%s", err, got, tc.json)
			}
			r, err = render(m, Text, tc.profile)
			want := "Offset          Length          Mapped to       File\n" + tc.text
			if got := written(t, r); !errors.Is(err, tc.err) || got != want {
				t.Errorf("text, error %v:\n%s\nwant:\n%s", err, got, want)
			}
		})
	}
}

func written(t *testing.T, r *Rendering) string {
	t.Helper()
	var b strings.Builder
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
