// Package manual makes the manual pages, and the table of options in README.md, of the same
// commands that --help shows.
package manual

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Page is a manual page.
type Page struct {
	Name string // of its file: instarfs-mount.8
	Text []byte // in the language of man(7)
}

// administration has the commands whose pages are in section 8.
var administration = map[string]bool{"mount": true}

func section(cmd *cobra.Command) int {
	if administration[cmd.Name()] {
		return 8
	}
	return 1
}

// title is the name of the page of a command.
func title(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// Pages returns the pages of a program, of its commands, and of its helper for mount(8).
func Pages(root *cobra.Command, version string) []Page {
	pages := []Page{page(title(root), 1, version, rootText(root))}
	for _, cmd := range root.Commands() {
		if !cmd.IsAvailableCommand() {
			continue
		}
		pages = append(pages, page(title(cmd), section(cmd), version, commandText(root, cmd)))
		if cmd.Name() == "mount" {
			pages = append(pages, page("mount.instarfs", 8, version, helperText(cmd)))
		}
	}
	return pages
}

func page(name string, section int, version, text string) Page {
	head := fmt.Sprintf("%% %q %d %q %q %q\n", name, section, "", "instarfs "+version,
		"instarfs manual")
	return Page{fmt.Sprintf("%s.%d", name, section), md2man.Render([]byte(head + text))}
}

func rootText(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# NAME\n%s - %s\n", title(root), lower(root.Short))
	b.WriteString("# SYNOPSIS\n**instarfs** *COMMAND* [OPTIONS]\n\n" +
		"**instarfs** *SOURCE* *MOUNTPOINT* [**-o** *OPTIONS*]\n")
	about, exit := split(root.Long)
	fmt.Fprintf(&b, "# DESCRIPTION\n%s\n\n", plain(about))
	b.WriteString("With a directory and a mount point it is **mount.instarfs**(8).\n# COMMANDS\n")
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			fmt.Fprintf(&b, "**%s**(%d)\n:   %s.\n\n", title(cmd), section(cmd), cmd.Short)
		}
	}
	b.WriteString(exit + "# FILES\n*/var/cache/instarfs*, *$XDG_CACHE_HOME/instarfs*\n" +
		":   Guests that were started, for root and for other users; see **--guest-cache**.\n\n")
	b.WriteString("# SEE ALSO\n**mount.instarfs**(8), **qemu-img**(1), **fuse**(4)\n")
	return b.String()
}

func commandText(root, cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# NAME\n%s - %s\n", title(cmd), lower(cmd.Short))
	fmt.Fprintf(&b, "# SYNOPSIS\n**%s** %s\n", cmd.CommandPath(),
		strings.TrimSpace(strings.TrimPrefix(cmd.Use, cmd.Name())))
	about, exit := split(cmd.Long)
	fmt.Fprintf(&b, "# DESCRIPTION\n%s\n", plain(about))
	if cmd.HasLocalFlags() {
		b.WriteString("# OPTIONS\n")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { b.WriteString(option(f)) })
	}
	b.WriteString(exit)
	if cmd.Example != "" {
		fmt.Fprintf(&b, "# EXAMPLES\n```\n%s\n```\n", cmd.Example)
	}
	also := []string{"**" + title(root) + "**(1)"}
	for _, other := range root.Commands() {
		if other != cmd && other.IsAvailableCommand() {
			also = append(also, fmt.Sprintf("**%s**(%d)", title(other), section(other)))
		}
	}
	fmt.Fprintf(&b, "# SEE ALSO\n%s\n", strings.Join(also, ", "))
	return b.String()
}

// helperText is the page of the helper that mount(8) calls, whose options are those of a command.
func helperText(mount *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# NAME\nmount.instarfs - mount the maps of disk images\n" +
		"# SYNOPSIS\n**mount** **-t** **instarfs** [**-o** *OPTIONS*] *SOURCE* *MOUNTPOINT*\n\n" +
		"**mount.instarfs** *SOURCE* *MOUNTPOINT* [**-sfnv**] [**-o** *OPTIONS*]\n" +
		"# DESCRIPTION\n" +
		"Shows at *MOUNTPOINT* the maps of all disk images below *SOURCE*, as " +
		"**instarfs-mount**(8) does, and returns when the mount can be used. " +
		"**mount**(8) calls it for the types " +
		"**instarfs** and **fuse.instarfs**, also at boot.\n\n" +
		"The mount serves in the background and logs to **syslog**(3).\n" +
		"# OPTIONS\n**-s**\n:   Ignore mount options that are unknown.\n\n" +
		"**-f**\n:   Check the command line, and do not mount.\n\n" +
		"**-n**, **-v**\n:   Accepted; they change nothing.\n\n" +
		"# MOUNT OPTIONS\nHyphens and underscores mean the same. What **mount**(8) hands to all " +
		"file systems is accepted; **remount**, **auto_unmount** and, unless it comes from " +
		"**mount**(8), **rw** are refused.\n\n")
	mount.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Name == "option" || f.Name == "background" {
			return
		}
		name := "**" + strings.ReplaceAll(f.Name, "-", "_") + "**"
		if takes := argument(f); takes != "" {
			name += "=*" + takes + "*"
		}
		fmt.Fprintf(&b, "%s\n:   %s.\n\n", name, plain(upper(f.Usage)))
	})
	b.WriteString("# EXIT STATUS\n0 mounted, 1 the command line makes no sense, 32 the mount " +
		"failed.\n# EXAMPLES\nA line of **fstab**(5):\n\n```\n" +
		"/images  /mnt/instar  instarfs  ro,nofail,cache_bytes=1G  0  0\n```\n" +
		"# SEE ALSO\n**instarfs-mount**(8), **mount**(8), **fstab**(5)\n")
	return b.String()
}

// option is the entry of a flag in a list of options.
func option(f *pflag.Flag) string {
	name := "**--" + f.Name + "**"
	if f.Shorthand != "" {
		name = "**-" + f.Shorthand + "**, " + name
	}
	if takes := argument(f); takes != "" {
		name += " *" + takes + "*"
	}
	_, usage := pflag.UnquoteUsage(f)
	return fmt.Sprintf("%s\n:   %s.\n\n", name, plain(upper(usage)))
}

// argument is the word for the argument of a flag, empty if it takes none.
func argument(f *pflag.Flag) string {
	name, _ := pflag.UnquoteUsage(f)
	if f.Value.Type() == "bool" {
		return ""
	}
	return name
}

// usual matches the end of a help that says what holds without the option.
var usual = regexp.MustCompile(` \(default (.*)\)$`)

// Table is the table of all options in Markdown, each with its default and the commands that have
// it.
func Table(root *cobra.Command) string {
	type row struct {
		option, help, usual string
		commands            []string
	}
	var rows []*row
	known := map[string]*row{}
	for _, cmd := range root.Commands() {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" || !cmd.IsAvailableCommand() {
				return
			}
			option := "--" + f.Name
			if f.Shorthand != "" {
				option = "-" + f.Shorthand + ", " + option
			}
			if takes := argument(f); takes != "" {
				option += " " + takes
			}
			_, help := pflag.UnquoteUsage(f)
			r := known[option+help]
			if r == nil {
				r = &row{option: option, help: usual.ReplaceAllString(help, "")}
				if m := usual.FindStringSubmatch(help); m != nil {
					r.usual = m[1]
				}
				known[option+help] = r
				rows = append(rows, r)
			}
			r.commands = append(r.commands, cmd.Name())
		})
	}
	var b strings.Builder
	b.WriteString("| option | of | default | what it does |\n|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.option, strings.Join(r.commands, ", "),
			r.usual, strings.NewReplacer("|", `\|`, "*", `\*`).Replace(r.help))
	}
	return b.String()
}

// split takes the exit statuses off the end of a help, and makes a section of them.
func split(help string) (about, exit string) {
	about, exit, ok := strings.Cut(help, "\n\nExit status:\n")
	if !ok {
		return help, ""
	}
	var b strings.Builder
	b.WriteString("# EXIT STATUS\n")
	for line := range strings.Lines(exit) {
		status, meaning, _ := strings.Cut(strings.TrimSpace(line), "  ")
		fmt.Fprintf(&b, "%s\n:   %s\n\n", status, plain(meaning))
	}
	return about, b.String()
}

// plain keeps Markdown from seeing markup in a text.
func plain(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, "`", "\\`").Replace(text)
}

func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }
func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
