package main

import (
	"fmt"

	"instarfs/vmm/chain"
)

// accessOptions say which files may be opened because an image names them.
type accessOptions struct {
	References string   // one of referenceNames; empty is the first
	AllowDirs  []string // beside the directory of the image, or the source of the mount
	MaxDepth   uint64   // backing files, one under the other; 0, which nobody can ask for, is chain.DefaultMaxDepth
	ForceShare bool
}

// referenceNames are the values of --references.
var referenceNames = map[string]chain.References{
	"": chain.Beneath, "beneath": chain.Beneath, "none": chain.None, "any": chain.Any,
}

const referencesHelp = "beneath (default), none or any"

// maxMaxDepth is as deep as State.Depth counts.
const maxMaxDepth = 65535

func (a *accessOptions) check() error {
	if _, ok := referenceNames[a.References]; !ok {
		return fmt.Errorf("--references '%s' must be %s", a.References, referencesHelp)
	}
	if a.MaxDepth < 1 || a.MaxDepth > maxMaxDepth {
		return fmt.Errorf("--max-depth %d must be from 1 to %d", a.MaxDepth, maxMaxDepth)
	}
	return nil
}

// warn tells of what nobody should do without knowing.
func (a *accessOptions) warn(e *env) {
	if a.References == "any" {
		e.say("warning: --references any: images decide which of this computer's files are opened")
	}
}

// open makes what package chain wants. done lets go of the directories.
func (a *accessOptions) open() (access chain.Access, done func(), err error) {
	access = chain.Access{References: referenceNames[a.References], MaxDepth: int(a.MaxDepth), ForceShare: a.ForceShare}
	done = func() {
		for _, t := range access.Allow {
			t.Close()
		}
	}
	for _, dir := range a.AllowDirs {
		t, err := chain.OpenTree(dir)
		if err != nil {
			done()
			return chain.Access{}, nil, fmt.Errorf("--allow-dir: %w", err)
		}
		access.Allow = append(access.Allow, t)
	}
	return access, done, nil
}
