//go:build !linux

package transport

import (
	"net"
	"time"
)

// unacknowledged cannot be known here: it is as if everything were acknowledged.
func unacknowledged(net.Conn) int { return 0 }

func sinceAck(net.Conn) (time.Duration, bool) { return 0, false }
