package transport

import (
	"encoding/binary"
	"net"
	"syscall"
	"time"
	"unsafe"
)

// unacknowledged returns how many bytes were written to nc that the other machine has not acknowledged.
func unacknowledged(nc net.Conn) int {
	raw := rawConn(nc)
	if raw == nil {
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

const (
	tcpInfo = 11 // TCP_INFO
	// lastAckReceived is where struct tcp_info tells how many ms ago an acknowledgement came.
	lastAckReceived = 56
)

// sinceAck returns how long ago the other machine has acknowledged something on nc; false: it cannot be known.
func sinceAck(nc net.Conn) (time.Duration, bool) {
	raw := rawConn(nc)
	if raw == nil {
		return 0, false
	}
	var info [lastAckReceived + 4]byte
	size, known := uint32(len(info)), false
	_ = raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, tcpInfo,
			uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
		known = errno == 0 && int(size) == len(info)
	})
	return time.Duration(binary.NativeEndian.Uint32(info[lastAckReceived:])) * time.Millisecond, known
}
