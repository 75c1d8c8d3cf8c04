package options

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

// TestComplete: shells suggest the values that an option takes, in whatever form it is typed.
func TestComplete(t *testing.T) {
	var form, dir, name, number string
	rows := []Option{
		{Short: 'f', Long: "form", Arg: "FORM",
			Set: OneOf(&form, Word("human", "h"), Word("json", "j"))},
		{Long: "allow-dir", Arg: "DIR", Set: Text(&dir)},
		{Long: "pid-file", Arg: "FILE", Set: Text(&name)},
		{Long: "format", Arg: "FMT", Values: []string{"raw", "qcow2"}, Set: Text(&name)},
		{Long: "number", Arg: "N", Set: Text(&number)},
		{Long: "force", Set: Bool(new(bool))},
	}
	const (
		nothing = cobra.ShellCompDirectiveNoFileComp
		files   = cobra.ShellCompDirectiveDefault
		dirs    = cobra.ShellCompDirectiveFilterDirs
	)
	for _, c := range []struct {
		args []string
		word string
		want []string
		how  cobra.ShellCompDirective
	}{
		{nil, "", nil, files},
		{[]string{"--form"}, "", []string{"human", "json"}, nothing},
		{[]string{"x", "-f"}, "j", []string{"human", "json"}, nothing},
		{nil, "--form=", []string{"--form=human", "--form=json"}, nothing},
		{[]string{"--format"}, "", []string{"raw", "qcow2"}, nothing},
		{[]string{"--allow-dir"}, "", nil, dirs},
		{nil, "--pid-file=", nil, files},
		{[]string{"--number"}, "", nil, nothing},
		{[]string{"--force"}, "", nil, files},
		{[]string{"--form", "json"}, "", nil, files},
		{nil, "--unknown=", nil, files},
	} {
		if got, how := Complete(rows, c.args, c.word); !slices.Equal(got, c.want) || how != c.how {
			t.Errorf("%q %q: %q, %d; want %q, %d", c.args, c.word, got, how, c.want, c.how)
		}
	}
}
