package all

import (
	"bytes"
	"encoding/binary"

	"instarfs/guest/format"
)

// The probes of formats that are not mapped yet, as qemu makes them: block/FORMAT.c of qemu, function FORMAT_probe. Each
// moves to its format's package when that comes.
const (
	certain = 100 // a signature
	weak    = 2   // more than raw's 1
)

type head = [format.HeadLen]byte

func score(yes bool, n int) int {
	if yes {
		return n
	}
	return 0
}

func probeQcow(h *head, _ uint64, _ bool) int {
	return score(string(h[:4]) == "QFI\xfb" && binary.BigEndian.Uint32(h[4:]) == 1, certain)
}

func probeQed(h *head, _ uint64, _ bool) int { return score(string(h[:4]) == "QED\x00", certain) }

func probeVdi(h *head, _ uint64, _ bool) int {
	return score(binary.LittleEndian.Uint32(h[0x40:]) == 0xbeda107f, certain)
}

func probeVpc(h *head, _ uint64, _ bool) int { return score(string(h[:8]) == "conectix", certain) }

func probeVhdx(h *head, _ uint64, _ bool) int { return score(string(h[:8]) == "vhdxfile", certain) }

func probeParallels(h *head, _ uint64, _ bool) int {
	magic := string(h[:16])
	known := magic == "WithoutFreeSpace" || magic == "WithouFreSpacExt"
	return score(known && binary.LittleEndian.Uint32(h[16:]) == 2, certain)
}

// probeLuks knows version 1 only; qemu takes LUKS2 for raw.
func probeLuks(h *head, _ uint64, _ bool) int {
	return score(string(h[:6]) == "LUKS\xba\xbe" && binary.BigEndian.Uint16(h[6:]) == 1, certain)
}

// probeDmg goes by the name alone: the signature is at the end of the file, where no probe looks.
func probeDmg(_ *head, _ uint64, dmg bool) int { return score(dmg, weak) }

func probeCloop(h *head, _ uint64, _ bool) int {
	const script = "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
	return score(string(h[:len(script)]) == script, weak)
}

func probeBochs(h *head, _ uint64, _ bool) int {
	version := binary.LittleEndian.Uint32(h[64:])
	return score(string(h[:23]) == "Bochs Virtual HD Image\x00" && string(h[32:40]) == "Redolog\x00" &&
		string(h[48:56]) == "Growing\x00" && (version == 0x20000 || version == 0x10000), certain)
}

// probeVmdk knows two binary signatures and the text of a descriptor: comments and lines of nothing but blanks, at least one
// each, and then the version.
func probeVmdk(h *head, _ uint64, _ bool) int {
	if s := string(h[:4]); s == "COWD" || s == "KDMV" {
		return certain
	}
	for b := h[:]; len(b) > 0; {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		switch {
		case len(line) > 0 && line[0] == '#':
			b = rest
			continue
		case len(line) > 0 && line[0] == ' ':
			blanks := bytes.TrimLeft(line, " ")
			if !whole || len(blanks) > 1 || len(blanks) == 1 && blanks[0] != '\r' {
				return 0
			}
			b = rest
			continue
		}
		switch s := string(bytes.TrimSuffix(line, []byte("\r"))); s {
		case "version=1", "version=2", "version=3":
			return score(whole, certain)
		}
		return 0
	}
	return 0
}
