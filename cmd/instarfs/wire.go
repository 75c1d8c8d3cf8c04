package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"instarfs/guest/payload"
	"instarfs/vmm/kvm"
)

// wire makes the env of the real world. It is the only place where everything meets.
func wire() *env {
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	return &env{
		stdout:    os.Stdout,
		stderr:    os.Stderr,
		terminal:  err == nil,
		root:      os.Geteuid() == 0,
		newEngine: newEngine,
		newMount:  newMount,
		payload:   payload.Agent,
		checkKVM:  checkKVM,
		checkFUSE: checkFUSE,
	}
}

func newEngine() (engine, error) { return nil, errors.New("no engine") }

func newMount(mountOptions) (mounted, error) { return nil, errors.New("no engine") }

func checkKVM() error {
	s, err := kvm.Open("/dev/kvm")
	if err != nil {
		return err
	}
	return s.Close()
}

func checkFUSE() error {
	return openDevice("/dev/fuse", "load the module (modprobe fuse)",
		"its mode should be 0666 (udev rules of the package fuse3), or run as root")
}
