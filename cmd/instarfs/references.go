package main

import (
	"fmt"

	"instarfs/vmm/chain"
	"instarfs/vmm/files"
)

// accessOptions say which files may be opened because an image names them. The zero value opens
// those beneath the directory of the image, or the source of the mount, as their owners may.
type accessOptions struct {
	References files.References
	AllowDirs  []string // in addition to the directory of the image, or the source of the mount
	MaxDepth   int      // backing files, one under the other; 0 is chain.DefaultMaxDepth
	ForceShare bool
	OwnRights  bool // open them with the rights of this process
}

// maxMaxDepth is as deep as State.Depth counts.
const maxMaxDepth = 65535

// warn tells users what such options let images do.
func (a *accessOptions) warn(say func(line string)) {
	if a.References == files.Any {
		say("warning: --references any: images decide which of this computer's files are opened")
	}
	if a.OwnRights {
		say("warning: --reference-rights mount: files that images name are opened with the " +
			"rights of this process, " +
			"also those that the images' owners may not read")
	}
}

// open opens the directories, for package chain. done closes them.
func (a *accessOptions) open() (access chain.Access, done func(), err error) {
	access = chain.Access{
		Policy:   files.Policy{References: a.References, OwnRights: a.OwnRights},
		MaxDepth: a.MaxDepth, ForceShare: a.ForceShare,
	}
	done = func() {
		for _, t := range access.Allow {
			t.Close()
		}
	}
	for _, dir := range a.AllowDirs {
		t, err := files.OpenTree(dir)
		if err != nil {
			done()
			return chain.Access{}, nil, fmt.Errorf("--allow-dir: %w", err)
		}
		access.Allow = append(access.Allow, t)
	}
	return access, done, nil
}
