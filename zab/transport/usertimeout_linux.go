package transport

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT, which package syscall does not name.
const tcpUserTimeout = 18

// setUserTimeout has a connection end with an error when what was written is not acknowledged, or not taken, for d.
func setUserTimeout(nc net.Conn, d time.Duration) {
	raw := rawConn(nc)
	if raw == nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		// A socket that refuses it is gone, which its reader finds out.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
	})
}
