//go:build !linux

package transport

import (
	"net"
	"time"
)

// setUserTimeout leaves a dead line to the system's own retransmissions.
func setUserTimeout(net.Conn, time.Duration) {}
