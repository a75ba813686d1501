//go:build unix

package transport

import (
	"errors"
	"syscall"
)

// writeSome writes what the socket takes without waiting.
func writeSome(fd uintptr, b []byte) (n int, err error) {
	n, err = syscall.Write(int(fd), b)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return 0, nil
	}
	return max(n, 0), err
}
