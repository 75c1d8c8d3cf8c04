package qcow2_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qcow2"
	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/format/qemutest"
	"instarfs/guest/img"
)

// vector is an image with one thing wrong, or nothing.
type vector struct {
	name   string
	build  func(q *qcow2test.Image)
	reason fault.Reason
	text   string // Fault.Message; the output of qemu-img is compared in any case
}

// extension returns an Extension with numbers and strings.
func extension(kind uint32, parts ...any) qcow2test.Extension {
	var b []byte
	for _, p := range parts {
		switch v := p.(type) {
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, v)
		case uint8:
			b = append(b, v)
		case string:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("%T", p))
		}
	}
	return qcow2test.Extension{Type: kind, Data: b}
}

func spoil32(off uint64, v uint32) func(*qcow2test.Image) {
	return func(q *qcow2test.Image) { q.Spoil32(off, v) }
}

func spoil64(off uint64, v uint64) func(*qcow2test.Image) {
	return func(q *qcow2test.Image) { q.Spoil64(off, v) }
}

func extend(e ...qcow2test.Extension) func(*qcow2test.Image) {
	return func(q *qcow2test.Image) { q.Extensions = e }
}

// feature returns a record of the feature name table.
func feature(kind, bit uint8, name string) string {
	return string([]byte{kind, bit}) + name + strings.Repeat("\x00", 46-len(name))
}

var headerVectors = []vector{
	{"sound", func(*qcow2test.Image) {}, fault.None, ""},
	{"magic", spoil32(qcow2test.OffMagic, 0x514649fa), fault.Qcow2Magic,
		"Image is not in qcow2 format"},
	{"version 1", spoil32(qcow2test.OffVersion, 1), fault.Qcow2Version,
		"Unsupported qcow2 version 1"},
	{"version 4", spoil32(qcow2test.OffVersion, 4), fault.Qcow2Version,
		"Unsupported qcow2 version 4"},
	{"cluster bits 8", spoil32(qcow2test.OffClusterBits, 8), fault.Qcow2ClusterBits,
		"Unsupported cluster size: 2^8"},
	{"cluster bits 22", spoil32(qcow2test.OffClusterBits, 22), fault.Qcow2ClusterBits,
		"Unsupported cluster size: 2^22"},
	{"cluster bits all", spoil32(qcow2test.OffClusterBits, 1<<32-1), fault.Qcow2ClusterBits,
		"Unsupported cluster size: 2^4294967295"},
	{"header short", spoil32(qcow2test.OffHeaderLength, 103), fault.Qcow2HeaderShort,
		"qcow2 header too short"},
	{"header long", spoil32(qcow2test.OffHeaderLength, 65537), fault.Qcow2HeaderLong,
		"qcow2 header exceeds cluster size"},
	{"header of a cluster", spoil32(qcow2test.OffHeaderLength, 65536), fault.None, ""},
	{"backing offset", spoil64(qcow2test.OffBackingFileOffset, 65537), fault.Qcow2BackingOffset,
		"Invalid backing file offset"},
	{"compression type 2", func(q *qcow2test.Image) { q.Compression = 2 },
		fault.Qcow2CompressionType, "qcow2: unknown compression type: 2"},
	{"zstd", func(q *qcow2test.Image) { q.Compression = 1 }, fault.None, ""},
	{"zlib with bit", func(q *qcow2test.Image) { q.Incompatible = 8 }, fault.Qcow2CompressionBitSet,
		"qcow2: Compression type incompatible feature bit must not be set"},
	{"zstd without bit", func(q *qcow2test.Image) { q.Spoil(qcow2test.OffCompressionType, 1) },
		fault.Qcow2CompressionBitMissing,
		"qcow2: Compression type incompatible feature bit must be set"},
	{"compression type in a short header", func(q *qcow2test.Image) {
		q.Spoil32(qcow2test.OffHeaderLength, 104)
		q.Spoil64(104, 0)
	}, fault.None, ""},
	{"dirty and corrupt", func(q *qcow2test.Image) { q.Incompatible = 3 }, fault.None, ""},
	{"feature 5", func(q *qcow2test.Image) { q.Incompatible = 0x20 }, fault.Qcow2Features,
		"Unsupported qcow2 feature(s): Unknown incompatible feature: 20"},
	{"named features", func(q *qcow2test.Image) {
		q.Incompatible = 1<<5 | 1<<7 | 1<<8 | 1<<63
		q.Extensions = []qcow2test.Extension{{Type: qcow2test.ExtensionFeatures, Data: []byte(
			feature(1, 7, "compatible") + feature(0, 5, "five") + feature(0, 0, "dirty") +
				feature(0, 72, "eight"))}}
	}, fault.Qcow2Features, "Unsupported qcow2 feature(s): five, eight, Unknown incompatible " +
		"feature: 8000000000000080"},
	{"named feature after a faulty extension", func(q *qcow2test.Image) {
		q.Incompatible = 1 << 5
		q.Extensions = []qcow2test.Extension{extension(qcow2test.ExtensionCrypto, uint64(0),
			uint64(0)),
			{Type: qcow2test.ExtensionFeatures, Data: []byte(feature(0, 5, "five"))}}
	}, fault.Qcow2Features, "Unsupported qcow2 feature(s): Unknown incompatible feature: 20"},
	{"feature name of 46 bytes", func(q *qcow2test.Image) {
		q.Incompatible = 1 << 5
		q.Extensions = []qcow2test.Extension{{Type: qcow2test.ExtensionFeatures,
			Data: []byte(feature(0, 5, strings.Repeat("n", 46)))}}
	}, fault.Qcow2Features, "Unsupported qcow2 feature(s): " + strings.Repeat("n", 46)},
	{"subclusters of 256", func(q *qcow2test.Image) { q.ExtendedL2, q.ClusterBits = true, 13 },
		fault.Qcow2SubclusterSize, "Unsupported subcluster size: 256"},
	{"refcount order 7", spoil32(qcow2test.OffRefcountOrder, 7), fault.Qcow2RefcountOrder,
		"Reference count entry width too large; may not exceed 64 bits"},
	{"no refcount table", spoil32(qcow2test.OffRefcountTableSize, 0), fault.Qcow2NoRefcountTable,
		"Image does not contain a reference count table"},
	{"refcount table large", spoil32(qcow2test.OffRefcountTableSize, 129),
		fault.Qcow2RefcountTableSize, "Reference count table too large"},
	{"refcount table unaligned", spoil64(qcow2test.OffRefcountTableOffset, 512),
		fault.Qcow2RefcountTableOffset, "Reference count table offset invalid"},
	{"refcount table at 2^63", spoil64(qcow2test.OffRefcountTableOffset, 1<<63),
		fault.Qcow2RefcountTableOffset, "Reference count table offset invalid"},
	{"refcount table too far", spoil64(qcow2test.OffRefcountTableOffset, 1<<63-2<<16),
		fault.Qcow2RefcountTableRead, "Could not initialize refcount handling: Input/output error"},
	{"refcount table far", spoil64(qcow2test.OffRefcountTableOffset, 1<<63-1<<30-1<<16), fault.None,
		""},
	{"snapshots too many", spoil32(qcow2test.OffNbSnapshots, 65537), fault.Qcow2SnapshotCount,
		"Snapshot table too large"},
	{"snapshots unaligned", spoil64(qcow2test.OffSnapshotsOffset, 8), fault.Qcow2SnapshotOffset,
		"Snapshot table offset invalid"},
	{"snapshots all zero", func(q *qcow2test.Image) {
		q.Spoil32(qcow2test.OffNbSnapshots, 3000)
		q.Spoil64(qcow2test.OffSnapshotsOffset, 1<<40)
	}, fault.None, ""},
	{"snapshots too far", func(q *qcow2test.Image) {
		q.Spoil32(qcow2test.OffNbSnapshots, 1)
		q.Spoil64(qcow2test.OffSnapshotsOffset, 1<<63-1<<16)
	}, fault.Qcow2SnapshotRead, "Failed to read snapshot table: Input/output error"},
	{"snapshot extra data", func(q *qcow2test.Image) { snapshots(q, 3, 1025, 0) },
		fault.Qcow2SnapshotExtra, "Too much extra metadata in snapshot table entry 2"},
	{"snapshots", func(q *qcow2test.Image) { snapshots(q, 3, 1024, 100) }, fault.None, ""},
	{"snapshot table of 64 MiB", func(q *qcow2test.Image) { snapshots(q, 512, 1024, 65535) },
		fault.Qcow2SnapshotTableSize, "Snapshot table is too big"},
	{"L1 large", spoil32(qcow2test.OffL1Size, 4<<20+1), fault.Qcow2L1Size,
		"Active L1 table too large"},
	{"L1 of 32 MiB", spoil32(qcow2test.OffL1Size, 4<<20), fault.None, ""},
	{"L1 unaligned", spoil64(qcow2test.OffL1TableOffset, 1), fault.Qcow2L1Offset,
		"Active L1 table offset invalid"},
	{"L1 too far", spoil64(qcow2test.OffL1TableOffset, 1<<63-1<<16), fault.Qcow2L1Read,
		"Could not read L1 table: Input/output error"},
	{"L1 small", spoil32(qcow2test.OffL1Size, 0), fault.Qcow2L1TooSmall, "L1 table is too small"},
	{"size 2^63", spoil64(qcow2test.OffSize, 1<<63), fault.Qcow2ImageTooBig, "Image is too big"},
	{"size 2^59", spoil64(qcow2test.OffSize, 1<<59), fault.Qcow2L1TooSmall,
		"L1 table is too small"},
	{"size 2^64-1", spoil64(qcow2test.OffSize, 1<<64-1), fault.Qcow2VirtualSize,
		"Could not refresh total sector count: File too large"},
	{"crypt method 3", func(q *qcow2test.Image) { q.Crypt = 3 }, fault.Qcow2CryptMethod,
		"Unsupported encryption method 3"},
	{"crypt method -1", func(q *qcow2test.Image) { q.Crypt = 1<<32 - 1 }, fault.Qcow2CryptMethod,
		"Unsupported encryption method -1"},
	{"AES", func(q *qcow2test.Image) { q.Crypt = 1 }, fault.Qcow2NeedsKey,
		"Parameter 'encrypt.key-secret' is required for cipher"},
	{"LUKS", func(q *qcow2test.Image) {
		q.Crypt = 2
		q.Extensions = []qcow2test.Extension{extension(qcow2test.ExtensionCrypto, uint64(65536),
			uint64(100))}
	}, fault.Qcow2NeedsKey, "Parameter 'encrypt.key-secret' is required for cipher"},
	{"LUKS without header", func(q *qcow2test.Image) { q.Crypt = 2 }, fault.Qcow2NoCryptoHeader,
		"Missing CRYPTO header for crypt method 2"},
	{"LUKS header alone", extend(extension(qcow2test.ExtensionCrypto, uint64(65536), uint64(100))),
		fault.Qcow2CryptoUnexpected, "CRYPTO header extension only expected with LUKS " +
			"encryption method"},
	{"LUKS header short", func(q *qcow2test.Image) {
		q.Crypt = 2
		q.Extensions = []qcow2test.Extension{extension(qcow2test.ExtensionCrypto, uint64(65536),
			uint32(0))}
	}, fault.Qcow2CryptoLength, "CRYPTO header extension size 12, but expected size 16"},
	{"LUKS header unaligned", func(q *qcow2test.Image) {
		q.Crypt = 2
		q.Extensions = []qcow2test.Extension{extension(qcow2test.ExtensionCrypto, uint64(65537),
			uint64(100))}
	}, fault.Qcow2CryptoOffset, "Encryption header offset '65537' is not a multiple of " +
		"cluster size '65536'"},
	{"extension too large", func(q *qcow2test.Image) {
		q.Extensions = []qcow2test.Extension{extension(0x12345678, "data")}
		q.Spoil32(qcow2test.HeaderLength+4, 65536)
	}, fault.Qcow2ExtensionTooLarge, "Header extension too large"},
	{"unknown extension", extend(extension(0x12345678, "data", uint32(7), "odd")), fault.None, ""},
	{"extension up to the cluster's end", func(q *qcow2test.Image) {
		q.Spoil32(qcow2test.HeaderLength, 0x12345678)
		q.Spoil32(qcow2test.HeaderLength+4, 65536-qcow2test.HeaderLength-8)
	}, fault.None, ""},
	{"backing format long", extend(extension(qcow2test.ExtensionBackingFormat, "0123456789abcdef")),
		fault.Qcow2BackingFormatLength, "ERROR: ext_backing_format: len=16 too large (>=16)"},
	{"data file without name", func(q *qcow2test.Image) { q.Incompatible = 4 },
		fault.Qcow2NoDataFileName, "'data-file' is required for this image"},
	{"raw without data file", func(q *qcow2test.Image) { q.Autoclear = 2 },
		fault.Qcow2RawWithoutDataFile, "data-file-raw requires a data file"},
	{"backing name long", func(q *qcow2test.Image) { q.Backing = strings.Repeat("n", 1024) },
		fault.Qcow2BackingNameLength, "Backing file name too long"},
	{"backing name beyond the cluster", func(q *qcow2test.Image) {
		q.Spoil64(qcow2test.OffBackingFileOffset, 65530)
		q.Spoil32(qcow2test.OffBackingFileSize, 7)
	}, fault.Qcow2BackingNameLength, "Backing file name too long"},
	{"backing name empty", func(q *qcow2test.Image) { q.Backing = "\x00hidden" }, fault.None, ""},
}

// snapshots appends a table of n entries.
func snapshots(q *qcow2test.Image, n int, extra uint32, name uint16) {
	off := q.Alloc(uint64(n)*(40+1024+65535+8)>>q.ClusterBits + 1)
	q.Spoil32(qcow2test.OffNbSnapshots, uint32(n))
	q.Spoil64(qcow2test.OffSnapshotsOffset, off)
	for i := range n {
		e := uint32(16)
		if i == n-1 || extra <= 1024 {
			e = extra
		}
		q.Spoil(off+14, byte(name>>8), byte(name))
		q.Spoil(off+12, byte(name>>8), byte(name))
		q.Spoil32(off+36, e)
		off = (off + 40 + uint64(e) + 2*uint64(name) + 7) &^ 7
	}
}

// TestHeaders opens images with one fault each, with this package and with qemu-img.
func TestHeaders(t *testing.T) { checkVectors(t, headerVectors) }

func checkVectors(t *testing.T, vectors []vector) {
	dir := t.TempDir()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			q := qcow2test.New(1<<20, 16)
			v.build(q)
			q.Data(1, 2)
			path := filepath.Join(dir, "image")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			size, err := q.Write(f)
			if err != nil {
				t.Fatal(err)
			}
			p := &format.Params{Dev: formattest.NewDevice(f, uint64(size)), Release: 7<<16 | 2}
			_, got, err := formattest.Run(&qcow2.Driver, p, img.Whole)
			switch {
			case err != nil:
				t.Fatal(err)
			case got == nil && v.reason != fault.None:
				t.Errorf("no fault")
			case got != nil && (got.Reason != v.reason || got.Message() != v.text):
				t.Errorf("fault %q, want %q", got, v.text)
			}
			var warnings []*fault.Fault
			if got == nil {
				warnings = p.Warnings
			}
			qemutest.CompareRefusal(t, dir, "image", "qcow2", got, warnings...)
		})
	}
}
