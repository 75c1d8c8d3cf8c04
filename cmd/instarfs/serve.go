package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"instarfs/cmd/instarfs/ending"
	"instarfs/cmd/instarfs/logs"
	"instarfs/cmd/instarfs/process"
	"instarfs/cmd/instarfs/service"
	"instarfs/guest/show"
)

// runMount mounts and serves until the mount is gone. In the background, it returns when the mount
// can be used.
func runMount(ctx context.Context, e *env, o mountOptions) error {
	if o.Background && !e.detached() {
		return e.background(ctx)
	}
	if err := o.absolute(); err != nil {
		return err
	}
	if !o.Background && !e.behind &&
		slices.ContainsFunc(append([]string{o.Source}, o.Access.AllowDirs...), e.mayHold) {
		return process.ServeBehind(ctx, e.leave)
	}
	out := logs.NewOutput(e.stderr, e.journal)
	log := logs.New(out, o.Logs)
	err := e.serve(ctx, o, out, log)
	if err == nil || !o.Logs.JSON && !out.Priorities() {
		return err
	}
	log.Error(show.Line(err.Error()))
	return process.StatusError{Code: ending.Status(err)}
}

// absolute makes all paths independent of the working directory, which a mount in the background
// leaves.
func (o *mountOptions) absolute() error {
	if !o.Background {
		return nil
	}
	for _, p := range []*string{&o.Source, &o.Mountpoint, &o.PIDFile} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return fmt.Errorf("mount %s: find the working directory: %w", *p, err)
		}
		*p = abs
	}
	return nil
}

// serve mounts, says so to all who want to know, and serves.
func (e *env) serve(
	ctx context.Context, o mountOptions, out *logs.Output, log *slog.Logger,
) error {
	o.Log = func(line string) { log.Warn(line) }
	var notes []string
	o.Note = func(line string) { notes = append(notes, line) }
	o.Access.warn(o.Log)
	process.TryChildren()
	m, err := e.newMount(o)
	if err != nil {
		return err
	}
	e.leave(func(syscall.Signal) { _ = m.Abort() })
	defer e.leave(nil)
	if o.PIDFile != "" {
		pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
		if err := os.WriteFile(o.PIDFile, pid, 0o644); err != nil {
			return errors.Join(fmt.Errorf("mount: --pid-file: %w", err), m.Abort())
		}
		defer os.Remove(o.PIDFile)
	}
	point := show.Line(o.Mountpoint)
	text := fmt.Sprintf("mounted %s at %s", show.Line(o.Source), point)
	if o.Background {
		out.Set(e.ready(), true)
		log.Info(text)
	} else {
		log.Info(text + "; stop with Ctrl-C or: fusermount3 -u " + point)
	}
	// Only now: who mounts in the background reads what went wrong, and these go to the log.
	for _, line := range notes {
		log.Info(line)
	}
	if err := service.Ready(text); err != nil {
		log.Warn("tell the service manager that the mount is ready: " + err.Error())
	}
	stop := context.AfterFunc(ctx, func() { service.Stopping("unmounting " + point) })
	defer stop()
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	go service.Watch(watched, func() error {
		var st unix.Statfs_t
		return unix.Statfs(o.Mountpoint, &st) // which the mount itself answers
	})
	return m.Serve(ctx)
}
