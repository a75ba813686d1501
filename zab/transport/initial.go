package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// The initial message is what the dialling side of an election connection says: long protocol version, long sid, int
// length, and the sender's own election address. There is no answer.

const (
	initialOneAddress       = -65536
	initialSeveralAddresses = -65535
	initialAddressMax       = 2048
	initialHeadBytes        = 8 + 8 + 4
	// addressesMax is how many addresses of one server are tried.
	addressesMax = 8
)

var errInitial = errors.New("not an initial message")

// initial is an initial message.
type initial struct {
	sid int64
	// addrs is where the sender listens, as far as it said so: wildcards and what is no address are left out.
	addrs []string
}

// encodeInitial returns the message of server sid at addr, which may be several joined by |: that is a version of its own,
// which servers of 3.5 do not take. It must leave in one write: Java's receiver asks for the address only once.
func encodeInitial(sid int64, addr string) []byte {
	version := int64(initialOneAddress)
	if strings.Contains(addr, "|") {
		version = initialSeveralAddresses
	}
	b := appendLong(make([]byte, 0, initialHeadBytes+len(addr)), version)
	b = appendLong(b, sid)
	b = appendInt(b, int32(len(addr))) //nolint:gosec // at most initialAddressMax
	return append(b, addr...)
}

// readInitial reads an initial message: with one or several addresses, or the bare sid of the 3.4 line.
func readInitial(r io.Reader) (m initial, err error) {
	var head [initialHeadBytes]byte
	if _, err := io.ReadFull(r, head[:8]); err != nil {
		return m, err
	}
	switch version := readLong(head[:]); {
	case version >= 0:
		m.sid = version
		return m, nil
	case version != initialOneAddress && version != initialSeveralAddresses:
		return m, fmt.Errorf("%w: protocol version %d", errInitial, version)
	}
	if _, err := io.ReadFull(r, head[8:]); err != nil {
		return m, err
	}
	m.sid = readLong(head[8:])
	n := readInt(head[16:])
	if n < 1 || n > initialAddressMax {
		return m, fmt.Errorf("%w: address of %d bytes", errInitial, n)
	}
	addr := make([]byte, n)
	if _, err := io.ReadFull(r, addr); err != nil {
		return m, err
	}
	m.addrs = parseAddresses(string(addr))
	return m, nil
}

// parseAddresses takes the usable ones of addresses joined by |, at most addressesMax.
func parseAddresses(s string) (addrs []string) {
	for a := range strings.SplitSeq(s, "|") {
		host, port, err := net.SplitHostPort(a)
		if err != nil || host == "" || !isPort(port) {
			continue
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			continue
		}
		if addrs = append(addrs, a); len(addrs) == addressesMax {
			break
		}
	}
	return addrs
}
