package abi

import (
	"bytes"
	"reflect"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
)

// FuzzConfig: decoding any bytes gives an error or a Config that encodes to the same bytes.
func FuzzConfig(f *testing.F) {
	b := make([]byte, ConfigLen)
	c := goldenConfig()
	c.Encode(b)
	f.Add(b)
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := DecodeConfig(in)
		if err != nil {
			return
		}
		c.Encode(b)
		if !bytes.Equal(b, in[:ConfigLen]) {
			t.Fatalf("%x became %x", in, b)
		}
	})
}

// FuzzRecord: any 32 bytes that are a record are that record's encoding.
func FuzzRecord(f *testing.F) {
	b := make([]byte, RecordLen)
	PutRecord(b, extent.Extent{Start: 1, Length: 2, Offset: 3,
		State: extent.State{Flags: 4, File: 5}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < RecordLen {
			return
		}
		e, ok := Record(in)
		if !ok {
			return
		}
		PutRecord(b, e)
		if !bytes.Equal(b, in[:RecordLen]) || e.Depth != 0 {
			t.Fatalf("%x became %+v", in, e)
		}
	})
}

// FuzzResult: decoding any page never panics, and its strings are never longer than the page,
// however often a text is pointed to. What is accepted is what Encode would write.
func FuzzResult(f *testing.F) {
	page := make([]byte, ResultLen)
	n, err := goldenResult().Encode(page)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page[:n])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeResult(b)
		if (err == nil) == (r == nil) {
			t.Fatal(r, err)
		}
		if err != nil {
			return
		}
		total := 0
		for _, f := range r.Faults {
			total += len(f.Text)
			if len(f.Text) > fault.MaxText || f.Error() == "" {
				t.Fatalf("%+v", f)
			}
		}
		for _, ref := range r.References {
			total += len(ref.Name) + len(ref.Format)
		}
		if total > TextLen {
			t.Fatalf("%d bytes of text", total)
		}
		again := make([]byte, ResultLen)
		if _, err := r.Encode(again); err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeResult(again); err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%+v became %+v, %v", r, back, err)
		}
	})
}
