package abi

import (
	"encoding/binary"
	"errors"

	"instarfs/guest/fault"
	"instarfs/guest/img"
)

// Layout of an encoded Result, ResultLen bytes at most: a header, faults, references, then text
// that faults and references point into.
const (
	ResultMagic = 0x4D505253 // "MPRS"

	resultHeaderLen = 64
	faultLen        = 64
	referenceLen    = 32

	// MaxFaults bounds the faults of a run. What is found beyond is counted as the last one.
	MaxFaults = 64
	// MaxReferences bounds the other files that an image names. A twoGbMaxExtent VMDK of 2 TiB has
	// 1024.
	MaxReferences = 2048

	// TextLen is how many bytes all texts of a result may have together.
	TextLen = ResultLen - resultHeaderLen - MaxFaults*faultLen - MaxReferences*referenceLen
)

// Role says what a fault of a result is about.
type Role uint32

// The roles of faults.
const (
	RoleRun    Role = 1 + iota // the run failed with it: only warnings follow
	RoleBad                    // extents with extent.Bad point to it by index
	RoleWarn                   // a warning, which goes with the map
	RoleRefuse                 // the image is refused with it once its data files are open
)

// RoleFault is a fault and its role.
type RoleFault struct {
	Role Role
	*fault.Fault
}

// Result is how a run ended. Offsets of the header are in brackets; [0] is the magic.
type Result struct {
	Format      img.Format      // [4] img.Unknown when none was recognised
	Extents     uint64          // [8] how many records the ring carried
	VirtualSize uint64          // [16] bytes
	Error       fault.Class     // [24]
	Faults      []RoleFault     // [28] their number
	References  []img.Reference // [32] their number
	// [36] is the number of text bytes.
	// Overhang are the bytes at the end of VirtualSize that belong to the last grain of an extent
	// of a VMDK and not to the extent, which ends within that grain. qemu-img lets them cover the
	// beginning of the next extent.
	Overhang uint64 // [40]
}

// ErrResultFull says that a Result does not fit its page.
var ErrResultFull = errors.New("result: more faults, references or text than fit")

// referencesOffset and textOffset are where the references and the text of a result begin.
func referencesOffset(faults int) int { return resultHeaderLen + faults*faultLen }

func textOffset(faults, references int) int {
	return referencesOffset(faults) + references*referenceLen
}

// Encode writes r to b, which has ResultLen bytes, and returns how many it took.
func (r *Result) Encode(b []byte) (int, error) {
	if len(r.Faults) > MaxFaults || len(r.References) > MaxReferences {
		return 0, ErrResultFull
	}
	references := b[referencesOffset(len(r.Faults)):]
	texts := b[textOffset(len(r.Faults), len(r.References)):]
	le := binary.LittleEndian
	text := 0
	put := func(at []byte, s string) bool {
		if len(s) > TextLen-text {
			return false
		}
		le.PutUint32(at, uint32(text))
		le.PutUint32(at[4:], uint32(len(s)))
		text += copy(texts[text:], s)
		return true
	}
	for i, f := range r.Faults {
		p := b[resultHeaderLen+i*faultLen:][:faultLen]
		le.PutUint32(p[0:], uint32(f.Role))
		le.PutUint32(p[4:], uint32(f.Reason))
		le.PutUint64(p[8:], f.Offset)
		for j, a := range f.Args {
			le.PutUint64(p[16+8*j:], a)
		}
		if !put(p[40:], f.Text) {
			return 0, ErrResultFull
		}
	}
	for i, ref := range r.References {
		p := references[i*referenceLen:][:referenceLen]
		le.PutUint32(p[0:], uint32(ref.Kind))
		if !put(p[8:], ref.Name) || !put(p[16:], ref.Format) {
			return 0, ErrResultFull
		}
	}
	le.PutUint32(b[0:], ResultMagic)
	le.PutUint32(b[4:], uint32(r.Format))
	le.PutUint64(b[8:], r.Extents)
	le.PutUint64(b[16:], r.VirtualSize)
	le.PutUint32(b[24:], uint32(r.Error))
	le.PutUint32(b[28:], uint32(len(r.Faults)))
	le.PutUint32(b[32:], uint32(len(r.References)))
	le.PutUint32(b[36:], uint32(text))
	le.PutUint64(b[40:], r.Overhang)
	return textOffset(len(r.Faults), len(r.References)) + text, nil
}

// The ways in which a Result is refused. All of them mean that the guest does not keep the
// protocol.
var (
	ErrResultMagic  = errors.New("result: wrong magic")
	ErrResultCounts = errors.New("result: counts beyond their limits")
	ErrResultShort  = errors.New("result: shorter than it says")
	ErrResultText   = errors.New("result: text outside its place")
	ErrResultCodes  = errors.New("result: unknown error code, reason, role or kind")
)

// DecodeResult reads a Result from the start of b, which must not change meanwhile. Strings are
// copies.
func DecodeResult(b []byte) (*Result, error) {
	le := binary.LittleEndian
	if len(b) < resultHeaderLen || le.Uint32(b) != ResultMagic {
		return nil, ErrResultMagic
	}
	r := &Result{
		Format: img.Format(le.Uint32(b[4:])), Extents: le.Uint64(b[8:]),
		VirtualSize: le.Uint64(b[16:]),
		Error:       fault.Class(le.Uint32(b[24:])), Overhang: le.Uint64(b[40:]),
	}
	faults, references, text := le.Uint32(b[28:]), le.Uint32(b[32:]), le.Uint32(b[36:])
	if faults > MaxFaults || references > MaxReferences || text > TextLen {
		return nil, ErrResultCounts
	}
	at := textOffset(int(faults), int(references))
	if len(b) < at+int(text) {
		return nil, ErrResultShort
	}
	texts := b[at : at+int(text)]
	if !r.Error.Known() {
		return nil, ErrResultCodes
	}
	// Texts follow each other as Encode puts them: were they free to overlap, a small page could
	// claim gigabytes.
	used := uint32(0)
	get := func(at []byte) (string, bool) {
		off, n := le.Uint32(at), le.Uint32(at[4:])
		if off != used || n > text-used {
			return "", false
		}
		used += n
		return string(texts[off : off+n]), true
	}
	for i := range int(faults) {
		p := b[resultHeaderLen+i*faultLen:][:faultLen]
		f := RoleFault{Role(le.Uint32(p)),
			&fault.Fault{Reason: fault.Reason(le.Uint32(p[4:])), Offset: le.Uint64(p[8:])}}
		known := le.Uint32(p[4:]) <= 0xffff && f.Reason.Known() && f.Reason != fault.None
		if f.Role < RoleRun || f.Role > RoleRefuse || !known {
			return nil, ErrResultCodes
		}
		for j := range f.Args {
			f.Args[j] = le.Uint64(p[16+8*j:])
		}
		var ok bool
		if f.Text, ok = get(p[40:]); !ok || len(f.Text) > fault.MaxText {
			return nil, ErrResultText
		}
		r.Faults = append(r.Faults, f)
	}
	if len(r.Faults) > 0 && r.Faults[0].Role == RoleRun {
		for _, w := range r.Faults[1:] {
			r.Faults[0].Before = append(r.Faults[0].Before, w.Fault)
		}
	}
	for i := range int(references) {
		p := b[referencesOffset(int(faults))+i*referenceLen:][:referenceLen]
		ref := img.Reference{Kind: img.Kind(le.Uint32(p))}
		var ok1, ok2 bool
		ref.Name, ok1 = get(p[8:])
		ref.Format, ok2 = get(p[16:])
		if !ok1 || !ok2 {
			return nil, ErrResultText
		}
		if !ref.Kind.Known() {
			return nil, ErrResultCodes
		}
		r.References = append(r.References, ref)
	}
	return r, nil
}
