// Command agent is the map guest: the program that parses one image. It has one read-only block
// device, learns nothing of the image's name, and ends with its run. Two carriers run it. In a
// virtual machine it is at CPL3 of a bare processor, with no kernel, no files and no clock (kvm.go).
// Where there is no KVM it is a process that can do nothing but compute and talk to the host
// (process.go). What it does with a job is in package run.
package main

func main() {
	if isProcess() {
		serveProcess()
	} else {
		serveKVM()
	}
}

const (
	fGetFL   = 3 // F_GETFL of fcntl(2)
	oAccMode = 3
	oRDWR    = 2
)

// isProcess reports whether a kernel runs the program: descriptor 0 is then a socket, which can be
// read and written. The host of a virtual machine answers 0.
func isProcess() bool {
	flags := syscall6(sysFcntl, channelFD, fGetFL, 0, 0, 0, 0)
	return flags&^0xffff == 0 && flags&oAccMode == oRDWR
}
