//go:build unix

package server

import (
	"errors"
	"net"
	"syscall"
)

// setBacklog listens again with another length of the accept queue, which the net
// package does not let one choose.
func setBacklog(l net.Listener, n int) error {
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	var lerr error
	err = raw.Control(func(fd uintptr) { lerr = syscall.Listen(int(fd), n) })
	return errors.Join(err, lerr)
}
