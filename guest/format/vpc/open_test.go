package vpc_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/qemutest"
	"instarfs/guest/format/vpc"
	"instarfs/guest/format/vpc/vpctest"
	"instarfs/guest/img"
)

func spoil32(off int, v uint32) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.BigEndian.PutUint32(b[off:], v)
		vpctest.Sum(b)
		return b
	}
}

func spoil64(off int, v uint64) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.BigEndian.PutUint64(b[off:], v)
		vpctest.Sum(b)
		return b
	}
}

const truncated = "block-vpc: free_data_block_offset points after the end of file. The image " +
	"has been truncated."

// vectors are dynamic images of 8 blocks of 4 KiB, of which one is present, with one thing
// wrong, or nothing.
var vectors = []struct {
	name   string
	spoil  func(b []byte) []byte
	reason fault.Reason
	text   string
}{
	{"sound", func(b []byte) []byte { return b }, fault.None, ""},
	{"empty file", func([]byte) []byte { return nil }, fault.VpcTooShort,
		"File too small for a VHD header"},
	{"a byte", func([]byte) []byte { return []byte{1} }, fault.VpcCookie, "invalid VPC image"},
	{"no cookie", func(b []byte) []byte { b[7] = 'X'; return b }, fault.VpcCookie,
		"invalid VPC image"},
	{"neither cookie", func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("conectix"),
			[]byte("connectX"))
	}, fault.VpcCookie, "invalid VPC image"},
	{"fixed", func(b []byte) []byte { return append(make([]byte, 1<<15), fixed()...) }, fault.None,
		""},
	{"fixed, nothing but a footer of 511 bytes after data",
		func(b []byte) []byte { return append(make([]byte, 512), fixed()[:511]...) }, fault.None,
		""},
	{"fixed, checksum", func(b []byte) []byte {
		f := fixed()
		f[100] = 1
		return append(make([]byte, 1<<15), f...)
	}, fault.VpcChecksum, "Incorrect header checksum"},
	{"dynamic footer at the end alone", func(b []byte) []byte {
		return append(make([]byte, 512),
			b[:512]...)
	}, fault.VpcCookie, "invalid VPC image"},
	{"checksum", func(b []byte) []byte { b[200] ^= 1; return b }, fault.VpcChecksum,
		"Incorrect header checksum"},
	{"footer at the end damaged", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, fault.None,
		""},
	{"too large", spoil64(vpctest.CurrentSize, 0xff000001*512), fault.VpcTooLarge,
		"File too large"},
	{"as large as can be", spoil64(vpctest.CurrentSize, 0xff000000*512+511), fault.VpcTableTooSmall,
		"Page table too small"},
	{"header far away", spoil64(vpctest.DataOffset, 1<<63-1<<30-1023), fault.VpcHeaderRead,
		"Error reading dynamic VHD header"},
	{"header nowhere", spoil64(vpctest.DataOffset, 1<<64-1), fault.VpcHeaderRead,
		"Error reading dynamic VHD header"},
	{"header past the end", spoil64(vpctest.DataOffset, 1<<63-1<<30-1024), fault.VpcHeaderCookie,
		"Invalid header magic"},
	{"header's cookie", spoil32(vpctest.Header, 0), fault.VpcHeaderCookie, "Invalid header magic"},
	{"block size 256", spoil32(vpctest.BlockSize, 256), fault.VpcBlockSize,
		"Invalid block size 256"},
	{"block size 0", spoil32(vpctest.BlockSize, 0), fault.VpcBlockSize, "Invalid block size 0"},
	{"block size no power of two", spoil32(vpctest.BlockSize, 4097), fault.VpcBlockSize,
		"Invalid block size 4097"},
	{"block size 2 GiB", spoil32(vpctest.BlockSize, 1<<31), fault.VpcTruncated, truncated},
	{"table small", spoil32(vpctest.MaxEntries, 7), fault.VpcTableTooSmall, "Page table too small"},
	{"table of no entries", spoil32(vpctest.MaxEntries, 0), fault.VpcTableTooSmall,
		"Page table too small"},
	{"table large", spoil32(vpctest.MaxEntries, 1<<29), fault.VpcTableTooLarge,
		"Max Table Entries too large (536870912)"},
	{"table of a negative number", spoil32(vpctest.MaxEntries, 1<<31+1), fault.VpcTableTooLarge,
		"Max Table Entries too large (-2147483647)"},
	{"table beyond the end", spoil32(vpctest.MaxEntries, 1<<20), fault.VpcTruncated, truncated},
	{"table longer than a read", spoil32(vpctest.MaxEntries, 1<<29-127), fault.VpcTableRead,
		"Error reading pagetable"},
	{"table far away", spoil64(vpctest.TableOffset, 1<<63-1<<30-31), fault.VpcTableRead,
		"Error reading pagetable"},
	{"table nowhere", spoil64(vpctest.TableOffset, 1<<64-1), fault.VpcTableRead,
		"Error reading pagetable"},
	{"table past the end", spoil64(vpctest.TableOffset, 1<<40), fault.VpcTruncated, truncated},
	{"table at the end", func(b []byte) []byte {
		return spoil64(vpctest.TableOffset, uint64(len(b))-28)(b)
	}, fault.VpcTruncated, truncated},
	{"table up to the end", func(b []byte) []byte {
		return spoil64(vpctest.TableOffset, uint64(len(b))-32)(b)
	}, fault.None, ""},
	{"table at an odd place", spoil64(vpctest.TableOffset, 8), fault.VpcTruncated, truncated},
	{"block beyond the end", func(b []byte) []byte {
		return spoil32(vpctest.Table+4*7, uint32(len(b)-4608)/512+1)(b)
	}, fault.VpcTruncated, truncated},
	{"block up to the end", func(b []byte) []byte {
		return spoil32(vpctest.Table+4*7, uint32(len(b)-4608)/512)(b)
	}, fault.None, ""},
	{"last block", spoil32(vpctest.Table, 0xfffffffe), fault.VpcTruncated, truncated},
	{"cut within the last sector", func(b []byte) []byte { return b[:len(b)-512-511] }, fault.None,
		""},
	{"cut", func(b []byte) []byte { return b[:len(b)-512-512] }, fault.VpcTruncated, truncated},
	{"table too large for the disk", func(b []byte) []byte {
		spoil64(vpctest.CurrentSize, 4096)(b)
		return spoil32(vpctest.Table+4*7, 1<<20)(b)
	}, fault.VpcTruncated, truncated},
}

// sample returns the image that vectors change.
func sample() []byte {
	v := vpctest.New(vpctest.Dynamic, 1<<15, 4096)
	v.Block(2, []byte{0xff})
	return v.Bytes()
}

func fixed() []byte { return vpctest.New(vpctest.Fixed, 1<<15, 4096).Bytes() }

// TestOpen opens images with one fault each, with this package and with qemu-img.
func TestOpen(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			b := v.spoil(sample())
			for _, qemu := range []img.Release{0, qemu72} {
				_, f := walk(t, b, qemu, window(0, 1<<20))
				switch {
				case f == nil && v.reason != fault.None:
					t.Error("no fault")
				case f != nil && (f.Reason != v.reason || f.Message() != v.text):
					t.Errorf("fault %q, want %q", f, v.text)
				}
				if qemu == 0 {
					continue
				}
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, "x"), b, 0o666); err != nil {
					t.Fatal(err)
				}
				qemutest.CompareRefusal(t, dir, "x", "vpc", f)
			}
		})
	}
}

// TestSize checks which of its two sizes an image has: its creator decides, and releases of
// qemu differ.
func TestSize(t *testing.T) {
	const bytes, geometry = 1 << 20, 100 * 4 * 17 * 512
	for _, test := range []struct {
		creator   string
		old, next uint64
	}{
		{"vpc ", geometry, geometry}, {"qemu", geometry, geometry}, {"win ", bytes, bytes},
		{"qem2", bytes, bytes},
		{"d2v ", bytes, bytes}, {"CTXS", bytes, bytes}, {"tap\x00", bytes, bytes},
		{"tap ", geometry, bytes},
		{"vbox", geometry, bytes}, {"wa\x00\x00", geometry, bytes}, {"\x00\x00\x00\x00", geometry,
			bytes}, {"d2v\x00", geometry, bytes},
	} {
		v := vpctest.New(vpctest.Dynamic, bytes, 1<<21)
		v.Table = append(v.Table, make([]uint32, 2)...)
		v.Table[1], v.Table[2] = vpctest.Unallocated, vpctest.Unallocated
		v.Creator, v.CHS = test.creator, [3]uint16{100, 4, 17}
		for qemu, want := range map[img.Release]uint64{qemu72: test.old, 9<<16 | 2: test.old,
			qemu100: test.next, 11<<16 | 1: test.next, 0: test.next} {
			res, f := walk(t, v.Bytes(), qemu, img.Whole)
			if f != nil || res.Size != want {
				t.Errorf("%q for %#x: %v, %v; want %d", test.creator, qemu, res, f, want)
			}
		}
		v.CHS = [3]uint16{65535, 16, 255}
		for _, qemu := range []img.Release{0, qemu72, qemu100} {
			if res, f := walk(t, v.Bytes(), qemu, img.Whole); f != nil || res.Size != bytes {
				t.Errorf("%q of the largest geometry for %#x: %v, %v", test.creator, qemu, res, f)
			}
		}
	}
}

func TestProbe(t *testing.T) {
	head := [format.HeadLen]byte(fixed())
	if vpc.Driver.Probe(&head, 512, false) != format.Certain {
		t.Error("not recognised")
	}
	head[7] = 0
	if vpc.Driver.Probe(&head, 512, false) != 0 {
		t.Error("recognised without its cookie")
	}
}

// TestParent checks that the best name of a parent is used, and that an image without one is
// refused.
func TestParent(t *testing.T) {
	long := strings.Repeat("n", 4096)
	for _, test := range []struct {
		name     string
		locators [][2]string
		unicode  string
		want     string
		spoil    func(b []byte) []byte
		reason   fault.Reason
	}{
		{"relative first", [][2]string{{"W2ku", `C:\a.vhd`}, {"W2ru", `.\b.vhd`}}, "c.vhd", "b.vhd",
			nil, 0},
		{"relative upwards", [][2]string{{"W2ru", `..\d\b.vhd`}}, "", "../d/b.vhd", nil, 0},
		{"absolute second", [][2]string{{"MacX", "file:x"}, {"W2ku", `C:\d\a.vhd`}}, "c.vhd",
			"C:/d/a.vhd", nil, 0},
		{"header last", [][2]string{{"MacX", "file:x"}, {"Wi2r", "x"}}, "dé\U0001f600.vhd",
			"dé\U0001f600.vhd", nil, 0},
		{"terminated", [][2]string{{"W2ru", ".\\b.vhd\x00x"}}, "", "b.vhd", nil, 0},
		{"a lone surrogate", nil, "a", "\ufffd",
			func(b []byte) []byte { return spoil32(vpctest.ParentName, 0xd8000000)(b) }, 0},
		{"empty relative", [][2]string{{"W2ru", ""}, {"W2ku", "/a"}}, "", "/a", nil, 0},
		{"second relative", [][2]string{{"W2ru", "\x00"}, {"W2ru", "b"}}, "", "b", nil, 0},
		{"of odd length", [][2]string{{"W2ru", "bc"}}, "", "b",
			func(b []byte) []byte { return spoil32(vpctest.Locators+8, 3)(b) }, 0},
		{"past the end", [][2]string{{"W2ru", "b"}}, "c", "c",
			func(b []byte) []byte { return spoil64(vpctest.Locators+16, 1<<64-1)(b) }, 0},
		{"too long", [][2]string{{"W2ru", "b"}}, "", "",
			func(b []byte) []byte { return spoil32(vpctest.Locators+8, 8191)(b) },
			fault.VpcParentLength},
		{"none", [][2]string{{"MacX", "file:x"}}, "", "", nil, fault.VpcNoParent},
		{"longest", [][2]string{{"W2ru", "b"}}, "", "b" + long[1:4095], func(b []byte) []byte {
			// The name is after the image.
			at := uint64(len(b))
			for _, c := range "b" + long[1:4095] {
				b = append(b, byte(c), 0)
			}
			spoil64(vpctest.Locators+16, at)(b)
			return spoil32(vpctest.Locators+8, 8190)(b)
		}, 0},
	} {
		v := vpctest.New(vpctest.Differencing, 1<<14, 4096)
		v.Locators, v.Unicode = test.locators, test.unicode
		b := v.Bytes()
		if test.spoil != nil {
			b = test.spoil(b)
		}
		res, f := walk(t, b, 0, img.Whole)
		switch want := (img.Reference{Kind: img.Backing, Name: test.want, Format: "vpc"}); {
		case test.reason != 0:
			if f == nil || f.Reason != test.reason {
				t.Errorf("%s: fault %v", test.name, f)
			}
		case f != nil:
			t.Errorf("%s: fault %v", test.name, f)
		case len(res.References) != 1 || res.References[0] != want:
			t.Errorf("%s: %+v, want %+v", test.name, res.References, want)
		}
		if res, f := walk(t, b, qemu72, img.Whole); f != nil || len(res.References) != 0 {
			t.Errorf("%s: to qemu it has a parent, or the fault %v", test.name, f)
		}
	}
}
