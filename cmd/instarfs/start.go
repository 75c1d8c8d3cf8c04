package main

import (
	"context"
	"os/signal"
	"syscall"

	"instarfs/cmd/instarfs/process"
)

// start runs the program as a process: with what signals mean to it.
func start(args []string, e *env) int {
	// A reader that leaves is an error of the write, not the end of the program: qemu-img ignores
	// it, and so does its profile.
	signal.Ignore(syscall.SIGPIPE)
	leaving := process.NewLeaving()
	e.behind, e.leave = leaving.Behind(), leaving.Do
	e.background, e.detached, e.ready = process.Background, leaving.Detached, leaving.Ready
	leaving.DumpOnSignal()
	code := run(leaving.UntilSignal(context.Background()), args, e)
	leaving.Tell(code)
	return code
}
