package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"instarfs/guest/img"
	"instarfs/vmm/failure"
	"instarfs/vmm/image"
)

// Options say what to map of an image and how. Equal options of an unchanged file give equal maps.
type Options struct {
	Format     string     // name of the format; empty probes
	Window     img.Window // the part of the disk to map
	SectorSize uint32     // bytes, see abi.SectorSizeValid; 0 is session.DefaultSectorSize
	Release    img.Release
	TopOnly    bool // do not look into the backing file
}

// checkFormat checks the name of a format that a disk is said to have; empty is none. As in qemu,
// that comes before a look at the file. No disk has the format of a part of one.
func checkFormat(name string) error {
	if id := img.ParseFormat(name); name != "" && id == 0 || id.IsPart() {
		return failure.Format{Name: name}
	}
	return nil
}

// Generation identifies a file's content and what is mapped of it.
type Generation [2]uint64

// generationOf is a hash of b.
func generationOf(b []byte) Generation {
	sum := sha256.Sum256(b)
	le := binary.LittleEndian
	return Generation{le.Uint64(sum[:]), le.Uint64(sum[8:])}
}

// then returns the generation of what g stands for and next together.
func (g Generation) then(next Generation) Generation {
	b := make([]byte, 0, 32)
	for _, v := range []uint64{g[0], g[1], next[0], next[1]} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return generationOf(b)
}

// FileGeneration returns the generation of what has no content of its own, such as a directory: it
// says which file it is, whatever is in it.
func (o *Options) FileGeneration(st *unix.Stat_t) Generation {
	return o.generation(image.Identity{Dev: st.Dev, Ino: st.Ino}, "")
}

// LinkGeneration returns the generation of a symbolic link.
func (o *Options) LinkGeneration(st *unix.Stat_t) Generation {
	return o.generation(image.IdentityOf(st), "")
}

// generation identifies the map of a file with an identity. name matters only if it makes the file
// an Apple disk image.
func (o *Options) generation(id image.Identity, name string) Generation {
	b := make([]byte, 0, 128)
	for _, v := range []uint64{
		id.Dev, id.Ino, uint64(id.Size), uint64(id.MTimeNs), uint64(id.CTimeNs),
		o.Window.Start, o.Window.End, uint64(o.SectorSize)<<32 | uint64(o.Release),
	} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	if isDmg(name) {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return generationOf(append(b, o.Format...))
}

// isDmg reports whether qemu takes a file for an Apple disk image because of its name alone.
func isDmg(name string) bool { return len(name) > len(".dmg") && strings.HasSuffix(name, ".dmg") }
