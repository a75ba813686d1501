package bench

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/quorate/quorate/wire"
)

// What can go wrong with a server under load. Errors returned by this package
// wrap one of these where it applies, and name the server.
var (
	// ErrRefused: nothing accepts connections at the address.
	ErrRefused = errors.New("connection refused")
	// ErrClosed: the server closed the connection.
	ErrClosed = errors.New("server closed the connection")
	// ErrExpired: the server says that the session has ended.
	ErrExpired = errors.New("session expired")
	// ErrUnexpected: an answer is not the one the request calls for.
	ErrUnexpected = errors.New("unexpected reply")
	// ErrStalled: an answer has not come within the reply timeout.
	ErrStalled = errors.New("no answer")
)

// dialError turns a failed dial into an error that says what to check.
func dialError(addr string, err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s: %w (is a server listening there?)", addr, ErrRefused)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("%s: cannot connect: %w", addr, err)
}

// ioError names the server and the oldest request it has not answered.
func ioError(addr string, err error, pending int, op wire.Op, xid int32) error {
	if pending == 0 {
		return fmt.Errorf("%s: %w", addr, err)
	}
	return fmt.Errorf("%s: %w (%d requests unanswered, the oldest %v with xid %d)", addr, err, pending, op, xid)
}

// isReset reports whether err is the other side's way of hanging up.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
