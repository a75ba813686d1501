//go:build unix

package transport

import (
	"errors"
	"syscall"
)

// writeSome writes what the socket takes without waiting.
func writeSome(raw syscall.RawConn, b []byte) (n int, err error) {
	werr := raw.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		return true
	})
	if werr != nil {
		return 0, werr
	}
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return 0, nil
	}
	return max(n, 0), err
}
