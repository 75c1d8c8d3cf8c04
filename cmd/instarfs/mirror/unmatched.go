package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"instarfs/fusefs/names"
)

// maxLooked is in how many names a glob is looked for.
const maxLooked = 100_000

var errEnough = errors.New("enough")

// tellUnmatched logs the globs that were given and match no file below the source, once it has
// looked at all of them. Of a source that is too large for that nothing is said.
func tellUnmatched(o Options) {
	type given struct{ option, glob string }
	var unmatched []given
	for _, glob := range o.Include {
		unmatched = append(unmatched, given{"--include '" + glob + "'", glob})
	}
	for _, f := range o.Formats {
		option := fmt.Sprintf("--format-of '%s=%s'", f.Glob, f.Format)
		unmatched = append(unmatched, given{option, f.Glob})
	}
	looked := 0
	err := filepath.WalkDir(o.Source, func(file string, d fs.DirEntry, err error) error {
		if looked++; looked > maxLooked || len(unmatched) == 0 {
			return errEnough
		}
		below, relErr := filepath.Rel(o.Source, file)
		if err != nil || relErr != nil || d.IsDir() {
			return nil // what cannot be read is told to who lists it
		}
		unmatched = slices.DeleteFunc(unmatched,
			func(g given) bool { return names.Match(g.glob, below) })
		return nil
	})
	if err != nil {
		return
	}
	for _, g := range unmatched {
		o.Log(fmt.Sprintf("%s matches no file below %s", g.option, o.Source))
	}
}
