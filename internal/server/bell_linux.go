package server

import (
	"encoding/binary"
	"errors"
	"syscall"
	"time"
)

// hammer is an eventfd. The goroutine waits in the kernel with the place of a processor that it
// had, and that is its own again when it is woken; the scheduler, asked to find a thread for a
// goroutine, wakes one or two more to look for work that there is not. That would be half of all
// changes of threads of a write with nothing else in flight.
type hammer struct {
	fd int
	c  chan struct{} // instead, when there is no descriptor to be had
}

func (h *hammer) open() {
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC, 0)
	if h.fd = int(fd); errno != 0 {
		h.fd, h.c = -1, make(chan struct{}, 1)
	}
}

func (h *hammer) strike() {
	if h.c != nil {
		h.c <- struct{}{}
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	for {
		// It cannot fail otherwise: the counter is 0 or 1.
		if _, err := syscall.Write(h.fd, one[:]); !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

func (h *hammer) await() {
	if h.c != nil {
		<-h.c
		return
	}
	var n [8]byte
	for {
		if _, err := syscall.Read(h.fd, n[:]); !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

func (h *hammer) close() {
	if h.c == nil {
		_ = syscall.Close(h.fd)
	}
}

// nap is a sleep to within 0.1 ms; those of package time wait for the next full one.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&ts, nil) // a signal cuts it short, which does not matter
}
