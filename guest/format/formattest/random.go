package formattest

import "math/rand"

// RandomWindow chooses a part of a disk of size bytes, as -s and -l of qemu-img map: from one
// byte to the whole disk, sometimes nothing, sometimes more than there is.
func RandomWindow(rng *rand.Rand, size uint64) (start, length uint64) {
	start = uint64(rng.Int63n(int64(size) + 1))
	length = uint64(rng.Int63n(int64(size-start)+2)) + 1
	switch rng.Intn(8) {
	case 0:
		length = uint64(rng.Intn(3))
	case 1:
		start = 0
	case 2:
		start = start / 512 * 512
	case 3:
		length += 1 << 20
	}
	return start, length
}

// RandomNumber returns a number of a random number of bits, up to 64.
func RandomNumber(rng *rand.Rand) uint64 { return rng.Uint64() >> rng.Intn(64) }
