package main

import (
	"fmt"

	"instarfs/vmm/chain"
	"instarfs/vmm/files"
)

// accessOptions say which files may be opened because an image names them.
type accessOptions struct {
	References string   // one of referenceNames; empty is the first
	AllowDirs  []string // beside the directory of the image, or the source of the mount
	MaxDepth   uint64   // backing files, one under the other; 0, which nobody can ask for, is chain.DefaultMaxDepth
	ForceShare bool
	Rights     string // one of rightsNames: with whose rights such files are opened
}

// referenceNames are the values of --references.
var referenceNames = map[string]chain.References{
	"": chain.Beneath, "beneath": chain.Beneath, "none": chain.None, "any": chain.Any,
}

// rightsNames are the values of --reference-rights, and whether they stand for the rights of this process.
var rightsNames = map[string]bool{"": false, "owner": false, "mount": true}

const rightsHelp = "owner (default) or mount"

const referencesHelp = "beneath (default), none or any"

// maxMaxDepth is as deep as State.Depth counts.
const maxMaxDepth = 65535

func (a *accessOptions) check() error {
	if _, ok := referenceNames[a.References]; !ok {
		return fmt.Errorf("--references '%s' must be %s", a.References, referencesHelp)
	}
	if _, ok := rightsNames[a.Rights]; !ok {
		return fmt.Errorf("--reference-rights '%s' must be %s", a.Rights, rightsHelp)
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
	if rightsNames[a.Rights] {
		e.say("warning: --reference-rights mount: files that images name are opened with the rights of this process, " +
			"also those that the images' owners may not read")
	}
}

// open makes what package chain wants. done lets go of the directories.
func (a *accessOptions) open() (access chain.Access, done func(), err error) {
	access = chain.Access{References: referenceNames[a.References], MaxDepth: int(a.MaxDepth), ForceShare: a.ForceShare, OwnRights: rightsNames[a.Rights]}
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
