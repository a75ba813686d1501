package transport

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// unacknowledged returns how many bytes were written to nc that the other machine has not acknowledged.
func unacknowledged(nc net.Conn) (n int) {
	raw := rawConn(nc)
	if raw == nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		var err error
		if n, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ); err != nil {
			n = 0 // the socket is gone, which its reader finds out
		}
	})
	return n
}

// sinceAck returns how long ago the other machine has acknowledged something on nc; false: it cannot be known.
func sinceAck(nc net.Conn) (ago time.Duration, known bool) {
	raw := rawConn(nc)
	if raw == nil {
		return 0, false
	}
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if known = err == nil; known {
			ago = time.Duration(info.Last_ack_recv) * time.Millisecond
		}
	})
	return ago, known
}
