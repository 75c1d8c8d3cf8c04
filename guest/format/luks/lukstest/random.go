// Package lukstest builds LUKS containers for tests.
package lukstest

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"strings"
)

// WithJSON returns a container of version 2 and size bytes with a header of 16 KiB and the
// given JSON area.
func WithJSON(json string, size int) []byte {
	b := make([]byte, size)
	copy(b, "LUKS\xba\xbe\x00\x02")
	binary.BigEndian.PutUint64(b[8:], 16384)
	copy(b[4096:16384], json)
	return b
}

// Random returns a container of either version. In version 2 the JSON area has segments in any
// order, between other members.
func Random(rng *rand.Rand) []byte {
	if rng.Intn(2) == 0 {
		b := make([]byte, 592+rng.Intn(100000))
		copy(b, "LUKS\xba\xbe\x00\x01")
		binary.BigEndian.PutUint32(b[104:], uint32(rng.Intn(len(b)/512+2)))
		return b
	}
	var segments []string
	n := 1 + rng.Intn(4)
	for i := range n {
		size := fmt.Sprint(rng.Intn(20000) &^ 511)
		if i == n-1 && rng.Intn(2) == 0 {
			size = "dynamic"
		}
		kind := []string{"crypt", "crypt", "linear"}[rng.Intn(3)]
		flags := []string{"", `,"flags":["in-reencryption"]`,
			`,"flags":["backup-final", "x"]`}[max(0, rng.Intn(6)-3)]
		segments = append(segments, fmt.Sprintf(`"%d":{"type":"%s","offset":"%d","size":"%s",`+
			`"iv_tweak":"0","encryption":"aes-xts-plain64","sector_size":512%s}`,
			i, kind, 16384+rng.Intn(30000)&^511, size, flags))
	}
	rng.Shuffle(n, func(i, j int) { segments[i], segments[j] = segments[j], segments[i] })
	areas := []string{
		`"keyslots":{"0":{"type":"luks2","key_size":64,"af":{"type":"luks1","stripes":4000},` +
			`"area":{"type":"raw","offset":"32768"}}}`,
		`"segments" : { ` + strings.Join(segments, " ,\n") + "}",
		`"tokens":{ }`, `"x\"\\":[1.5e+3,true,null,[{}],"]}"]`,
	}
	rng.Shuffle(len(areas), func(i, j int) { areas[i], areas[j] = areas[j], areas[i] })
	return WithJSON("{"+strings.Join(areas, ",")+"}", 16384+rng.Intn(100000))
}
