package main

import (
	"context"
	"io"
	"syscall"

	"instarfs/cmd/instarfs/logs"
	"instarfs/cmd/instarfs/mirror"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
)

// env is all that the commands meet outside of themselves. wire makes the real one, tests make
// others.
type env struct {
	stdout, stderr io.Writer
	terminal       bool // stderr is a terminal
	journal        bool // stderr is read by journald
	root           bool // the effective user is root

	newEngine func(sharedOptions) (engine, error) // for one map
	newMount  func(mountOptions) (mounted, error)
	payload   func() (*io.SectionReader, error) // the guest program
	checkKVM  func() error                      // says why KVM is not usable and what to do
	// checkProcess says what processes are confined without here, or why none can be confined.
	checkProcess func(context.Context) (missing string, err error)
	checkFUSE    func() error // the same of FUSE
	checkOpen    func() error // the same of opening files beneath a directory

	// files in it may hold a process that was ended, see process.ServeBehind
	mayHold func(dir string) bool

	// background carries out this command line in another process, and returns when its mount can
	// be used. That process is detached, and calls ready when it is ready, and uses what that
	// returns for its log from then on.
	background func(context.Context) error
	detached   func() bool
	ready      func() (log io.Writer)

	helper bool // the program was called by the name of a helper of mount(8)
	behind bool // this process is the child of another, see process.ServeBehind
	// leave sets what must not be left undone when the program ends at once: process.Leaving.Do.
	leave func(last func(syscall.Signal))
}

// engine maps images. It is safe for use by many goroutines.
type engine interface {
	// Map maps the image in the file called name, which is also the name that the map shows. The
	// error is a whole line: map, the name, why. In a qemu-img profile the error of an image that
	// qemu-img does not open is a qemuTexter, and a walk that fails is a result with Failed and a
	// Map that ends where qemu-img's output ends; otherwise it is an error.
	Map(ctx context.Context, name string, o mapOptions) (*mapResult, error)
	Close() error
}

// mapOptions are those of one map.
type mapOptions struct {
	Format     string // the name of a format, or "" to find out
	Window     img.Window
	SectorSize uint32 // bytes, a power of two
	Release    img.Release
	TopOnly    bool // do not look into the backing file
}

// mapResult is what an engine found. Map.Start is that of the window even if the disk ends before
// it.
type mapResult struct {
	Map         *extent.Map
	VirtualSize uint64 // bytes
	Format      string
	Failed      *fault.Fault
	Warnings    []*fault.Fault
}

// qemuTexter is an error of which qemu-img may have words of its own: what it prints behind "Could
// not open 'NAME': ", and what on a line of its own before that.
type qemuTexter interface {
	QemuText() string
	QemuStderr() []string
}

// mountOptions are those of a mount.
type mountOptions struct {
	sharedOptions
	mirror.Options
	Background bool   // serve in another process, see process.Background
	PIDFile    string // gets the number of the process that serves
	Logs       logs.Options
	Note       func(line string) // gets what is worth knowing of a mount that works
}

// mounted is a file system that can be used.
type mounted interface {
	// Serve returns when the file system is unmounted, which it does itself when ctx ends.
	Serve(ctx context.Context) error
	// Abort detaches the file system without waiting for anybody, while Serve runs.
	Abort() error
}
