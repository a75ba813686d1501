package sysmon

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

var (
	errNoMonitor = errors.New("the thread of the scheduler's monitor was not found")
	errNoAnswer  = errors.New("the scheduler's monitor does not answer")
)

// answerLimit bounds the wait for the monitor's thread to take the signal, which it does as soon as it gets a processor.
const answerLimit = time.Second

// The handler's variables; it runs on the monitor's thread.
var (
	wanted  uint64 // the slack to set, ns
	found   uint64 // the slack after that, or a negative errno
	handled uint32
)

// handlerAddr and restorerAddr are where the code in assembly begins.
var handlerAddr, restorerAddr uintptr

// sigaction is the kernel's struct sigaction.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	// The last of the real-time signals, which nothing in this process uses.
	signal = 64

	saRestorer = 0x04000000
	saOnStack  = 0x08000000
	saRestart  = 0x10000000

	sigsetBytes = 8
)

// relaxing is held by the one Relax under way: the handler's variables are its own.
var relaxing sync.Mutex

// Relax lets each sleep of the scheduler's monitor last up to slack longer. The monitor then takes up to that much longer to
// notice that a goroutine stays in the kernel, so there should be more places (GOMAXPROCS) than goroutines that do. It
// does not hurt to call it again. Any goroutine may call it. It needs no privilege; where a sandbox or an emulator
// forbids it, it returns an error and nothing has changed.
func Relax(slack time.Duration) error {
	relaxing.Lock()
	defer relaxing.Unlock()
	tid, err := monitor()
	if err != nil {
		return err
	}
	atomic.StoreUint64(&wanted, uint64(slack))
	atomic.StoreUint32(&handled, 0)
	act := sigaction{handler: handlerAddr, flags: saRestorer | saOnStack | saRestart, restorer: restorerAddr}
	var old sigaction
	if err := setAction(&act, &old); err != nil {
		return fmt.Errorf("sigaction: %w", err)
	}
	err = ask(tid)
	if errors.Is(err, errNoAnswer) {
		return err // the signal is under way still: the handler stays
	}
	return errors.Join(err, setAction(&old, nil))
}

// ask sends the signal and waits until it has been handled.
func ask(tid int) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(tid), signal); errno != 0 {
		return fmt.Errorf("tgkill: %w", errno)
	}
	for began := time.Now(); atomic.LoadUint32(&handled) == 0; runtime.Gosched() {
		if time.Since(began) > answerLimit {
			return errNoAnswer
		}
	}
	if got := atomic.LoadUint64(&found); got != wanted {
		return fmt.Errorf("prctl: the timer slack is %d ns after it was set to %d", int64(got), wanted)
	}
	return nil
}

func setAction(act, old *sigaction) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, signal,
		uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), sigsetBytes, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// monitor returns the id of the monitor's thread: the runtime makes it before any other. Ids are given out in order; should they
// have begun anew in between, another thread is taken for it, which then sleeps a little longer than it could.
func monitor() (tid int, err error) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0, err
	}
	for _, t := range threads {
		n, err := strconv.Atoi(t.Name())
		if err != nil || n == os.Getpid() {
			continue
		}
		if tid == 0 || n < tid {
			tid = n
		}
	}
	if tid == 0 {
		return 0, errNoMonitor
	}
	return tid, nil
}
