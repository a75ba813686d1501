package transport

import (
	"net"
	"syscall"
	"unsafe"
)

// unacknowledged returns how many bytes were written to nc that the other machine has not acknowledged.
func unacknowledged(nc net.Conn) int {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	var n int32
	_ = raw.Control(func(fd uintptr) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n))); errno != 0 {
			n = 0 // the socket is gone, which its reader finds out
		}
	})
	return int(n)
}
