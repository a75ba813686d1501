//go:build linux

package ensemble

import (
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// Address is where a member listens.
type Address struct {
	Host                     string
	Client, Quorum, Election int // TCP ports
	// Peers are the addresses of the host that the other members use, joined by |; ""
	// is Host. Several want multiAddress.enabled.
	Peers string
}

// servers returns the member's value in the list of servers, without its role.
func (a *Address) servers() string {
	var all []string
	for h := range strings.SplitSeq(cmp.Or(a.Peers, a.Host), "|") {
		all = append(all, fmt.Sprintf("%s:%d:%d", h, a.Quorum, a.Election))
	}
	return strings.Join(all, "|")
}

// Place is where the members of an ensemble live.
type Place interface {
	// Address returns the address of a member, always the same.
	Address(id int) (Address, error)
	// Start starts a process where the member lives.
	Start(id int, cmd *exec.Cmd) error
	// Close gives back what Address reserved. No process is left by then.
	Close()
}

// Loopback returns a place on 127.0.0.1 with ports chosen by the kernel.
func Loopback() Place { return &loopback{held: map[int]Address{}} }

// loopback holds a bound socket on each port that it gave away, which never
// listens: servers set SO_REUSEADDR as it does and may listen beside it, and
// the kernel gives the port to nobody else, neither to a listener that asks
// for any port nor to an outgoing connection, also while the member is down.
type loopback struct {
	held map[int]Address
	fds  []int
}

// Address implements [Place].
func (l *loopback) Address(id int) (Address, error) {
	if a, ok := l.held[id]; ok {
		return a, nil
	}
	a := Address{Host: "127.0.0.1"}
	for _, p := range []*int{&a.Client, &a.Quorum, &a.Election} {
		port, err := l.hold()
		if err != nil {
			return a, fmt.Errorf("reserve a port of 127.0.0.1: %w", err)
		}
		*p = port
	}
	l.held[id] = a
	return a, nil
}

// hold binds a socket to a free port and keeps it.
func (l *loopback) hold() (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	l.fds = append(l.fds, fd)
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	in4, ok := sa.(*syscall.SockaddrInet4)
	if !ok {
		return 0, errors.New("not an IPv4 address")
	}
	return in4.Port, nil
}

// Start implements [Place].
func (*loopback) Start(_ int, cmd *exec.Cmd) error { return cmd.Start() }

// Close implements [Place].
func (l *loopback) Close() {
	for _, fd := range l.fds {
		_ = syscall.Close(fd)
	}
	l.fds = nil
}
