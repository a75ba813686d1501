package server

import (
	"runtime"
	"syscall"
)

// threadsStandBack tells that standBack does something.
const threadsStandBack = true

// niceBehind is by how much the threads that write checkpoints and merge
// sstables stand back: beside a request they get a tenth of a processor.
const niceBehind = 10

// standBack has the goroutine that calls it run on a thread of its own that
// gets a processor when requests leave one. It does so until it ends: a thread
// may not raise its priority again, so it ends as well.
func standBack() {
	runtime.LockOSThread()
	const self, niceMax = 0, 19
	// The system call returns 20 less the nice value.
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, self)
	if err == nil {
		err = syscall.Setpriority(syscall.PRIO_PROCESS, self, min(20-raw+niceBehind, niceMax))
	}
	_ = err // without it, all threads are alike
}
