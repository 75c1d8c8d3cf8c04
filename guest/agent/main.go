// Command agent is the map guest: the program that parses one image. It has one read-only block
// device, learns nothing of the image's name, and ends with its run. Two carriers run it. In a
// virtual machine it is at CPL3 of a bare processor, with no kernel, no files and no clock
// (kvm.go). Where there is no KVM it is a process that can do nothing but compute and talk to the
// host (process.go). What it does with a job is in package run.
package main

import "instarfs/guest/process"

func main() {
	if process.Runs() {
		serveProcess()
	} else {
		serveKVM()
	}
}
