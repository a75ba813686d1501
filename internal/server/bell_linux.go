package server

import (
	"syscall"
	"time"
	"unsafe"
)

// bell is a futex: the kernel knows it by the address of its state.
type bell struct{ state bellState }

// The operations of futex(2) on memory that no other process has.
const (
	futexWaitPrivate = 128
	futexWakePrivate = 129
)

// strike wakes the goroutine that awaits it, if any.
func (b *bell) strike() {
	_, _, _ = syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(&b.state)), futexWakePrivate, 1, 0, 0, 0)
}

// await sleeps as long as the state is bellAwaited, at most for d. A signal cuts it short.
func (b *bell) await(d time.Duration) {
	var timeout *syscall.Timespec
	if d != forever {
		ts := syscall.NsecToTimespec(d.Nanoseconds())
		timeout = &ts
	}
	_, _, _ = syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(&b.state)), futexWaitPrivate,
		uintptr(bellAwaited), uintptr(unsafe.Pointer(timeout)), 0, 0)
}

// nap is a sleep to within 0.1 ms; those of package time wait for the next full one.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&ts, nil) // a signal cuts it short, which does not matter
}
