package main

import (
	"github.com/spf13/cobra"

	"instarfs/cmd/instarfs/options"
	"instarfs/cmd/instarfs/status"
)

const statusHelp = `Print what the mount at MOUNTPOINT says of itself: what it serves with which options, how many images have a
map, what guests, cache and memory do, and the newest images without a map.

The same can be read there by programs, from files that no listing shows: .instarfs/status.json,
.instarfs/errors.json with all images without a map, and .instarfs/metrics in the text format of Prometheus. The first
two name images, and may be read by root and by the user who mounted.`

func statusCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [OPTIONS] MOUNTPOINT",
		Short: "Print what a mount is doing",
		Long: statusHelp + exitHelp("done",
			"there is no mount, or it does not answer; one line on standard error says why"),
		Example: `  instarfs status /mnt/instar
  instarfs status --output json /mnt/instar | jq .cache`,
		DisableFlagsInUseLine: true,

		ValidArgsFunction: directories,
		Args:              expect("MOUNTPOINT"),
		RunE: func(_ *cobra.Command, args []string) error {
			return status.Print(e.stdout, args[0], asJSON)
		},
	}
	options.AddFlags(cmd, []options.Option{{
		Long: "output", Arg: "HOW", Usual: "human",
		Set:  options.OneOf(&asJSON, options.Word("human", false), options.Word("json", true)),
		Help: "text for people, or what status.json says",
	}})
	return cmd
}
