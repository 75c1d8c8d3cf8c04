// Package needs lets tests say what they need from the machine that they run on. If that is missing
// the test is skipped, with what is missing and how to get it, so that a part of the tests runs
// anywhere. The complete run, `make test`, counts a skip as a failure.
package needs

import (
	"os"
	"os/exec"
	"testing"
)

// KVM skips a test that runs virtual machines if /dev/kvm cannot be opened.
func KVM(tb testing.TB) {
	tb.Helper()
	device(tb, "/dev/kvm", "load the module kvm_intel or kvm_amd, and join the group kvm")
}

// FUSE skips a test that mounts if /dev/fuse cannot be opened, or if the user is not root: such
// tests look at a mount as several users, and clear dead mounts.
func FUSE(tb testing.TB) {
	tb.Helper()
	Root(tb)
	device(tb, "/dev/fuse", "load the module fuse")
}

// LoopMount skips a test that mounts a file system in a file if the user is not root or
// /dev/loop-control cannot be opened.
func LoopMount(tb testing.TB) {
	tb.Helper()
	Root(tb)
	device(tb, "/dev/loop-control", "load the module loop")
}

// Root skips a test that makes files of several users, device nodes or mounts if the user is not
// root.
func Root(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root")
	}
}

// Program returns the path of a program, and skips the test if it is not installed. The Debian
// package pkg contains it.
func Program(tb testing.TB, name, pkg string) (path string) {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Skipf("needs %s: install the package %s", name, pkg)
	}
	return path
}

// QemuTool returns the path of qemu-img or qemu-io, and skips the test if it is not installed.
func QemuTool(tb testing.TB, name string) (path string) {
	tb.Helper()
	return Program(tb, name, "qemu-utils")
}

// Qemu skips a test that makes images with qemu-img and qemu-io, or compares with qemu-img, if they
// are not installed.
func Qemu(tb testing.TB) {
	tb.Helper()
	QemuTool(tb, "qemu-img")
	QemuTool(tb, "qemu-io")
}

func device(tb testing.TB, name, remedy string) {
	tb.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		tb.Skipf("needs %s: %v (%s)", name, err, remedy)
	}
	f.Close()
}
