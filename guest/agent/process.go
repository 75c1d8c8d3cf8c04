package main

import (
	"instarfs/guest/abi"
	"instarfs/guest/process"
	"instarfs/guest/run"
)

// serveProcess carries out one job in a process that can do nothing but compute and talk to its
// host.
func serveProcess() {
	page := make([]byte, abi.ResultLen) // now, before memory is limited
	process.Serve(func(p *process.Port) {
		produced, n := run.Job(p.Job(), p, page)
		p.Done(produced, page[:n])
	})
}
