package znode

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/quorate/quorate/wire"
)

// ipScheme is the client's address. ACL ids are an address, or one and a
// number of leading bits that count.
type ipScheme struct{}

// Name implements Scheme.
func (ipScheme) Name() string { return "ip" }

// Authenticated implements Scheme.
func (ipScheme) Authenticated() bool { return false }

// Authenticate implements Scheme; the data does not matter.
func (ipScheme) Authenticate(_ []byte, remote netip.Addr) ([]wire.ID, wire.Code) {
	return []wire.ID{AddressID(remote)}, wire.OK
}

// hostAddress writes an address as a JVM does: IPv6 as eight groups of hex
// without compression, IPv4 in IPv6 as IPv4.
func hostAddress(a netip.Addr) string {
	a = a.Unmap()
	if !a.Is6() {
		return a.String()
	}
	var out []byte
	b := a.As16()
	for i := 0; i < len(b); i += 2 {
		if i > 0 {
			out = append(out, ':')
		}
		out = strconv.AppendUint(out, uint64(b[i])<<8|uint64(b[i+1]), 16)
	}
	if a.Zone() != "" {
		out = fmt.Append(out, "%", a.Zone())
	}
	return string(out)
}

// Valid implements Scheme.
func (ipScheme) Valid(id string) bool {
	_, ok := parseIPRange(id)
	return ok
}

// Matches implements Scheme: the bits that count are the same.
func (ipScheme) Matches(id, acl string) bool {
	want, ok := parseIPRange(acl)
	if !ok {
		return false
	}
	have, ok := parseIPRange(id)
	if !ok || have.bytes != want.bytes {
		return false
	}
	have.bits = want.bits
	return bytes.Equal(have.masked(), want.masked())
}

// ipRange is an address and how many of its leading bits matter.
type ipRange struct {
	addr  [16]byte
	bytes int // 4 or 16
	bits  int
}

// masked returns the address with the bits that do not matter cleared.
func (r *ipRange) masked() []byte {
	a := r.addr[:r.bytes]
	for i := range a {
		keep := min(max(r.bits-8*i, 0), 8)
		a[i] &^= 0xff >> keep
	}
	return a
}

// parseIPRange accepts what IPAuthenticationProvider does: numbers may have a
// sign, as Integer.parseInt has it, and IPv4 inside IPv6 is not known.
func parseIPRange(s string) (r ipRange, ok bool) {
	addr, bits, ranged := strings.Cut(s, "/")
	switch {
	case strings.Contains(addr, ":"):
		r.bytes, ok = 16, parseIPv6(r.addr[:], addr)
	case strings.Contains(addr, "."):
		r.bytes, ok = 4, parseIPv4(r.addr[:4], addr)
	}
	r.bits = 8 * r.bytes
	if !ok || !ranged {
		return r, ok
	}
	n, err := strconv.ParseInt(bits, 10, 32)
	if err != nil || n < 0 || n > int64(r.bits) {
		return r, false
	}
	r.bits = int(n)
	return r, true
}

func parseIPv4(dst []byte, s string) bool {
	for i := range dst {
		part, rest, more := strings.Cut(s, ".")
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil || n < 0 || n > 255 || more != (i < len(dst)-1) {
			return false
		}
		dst[i], s = byte(n), rest
	}
	return true
}

func parseIPv6(dst []byte, s string) bool {
	head, tail, compressed := strings.Cut(s, "::")
	if strings.Contains(tail, "::") {
		return false
	}
	var groups []byte
	groups, ok := appendIPv6Groups(groups, head)
	before := len(groups)
	if !ok || !compressed {
		return ok && copy(dst, groups) == len(dst) && before == len(dst)
	}
	groups, ok = appendIPv6Groups(groups, tail)
	if !ok || len(groups) >= len(dst) {
		return false
	}
	copy(dst, groups[:before])
	copy(dst[len(dst)-len(groups)+before:], groups[before:])
	return true
}

func appendIPv6Groups(dst []byte, s string) ([]byte, bool) {
	if s == "" {
		return dst, true
	}
	for part := range strings.SplitSeq(s, ":") {
		n, err := strconv.ParseInt(part, 16, 32)
		if err != nil || len(part) > 4 {
			return dst, false
		}
		dst = append(dst, byte(n>>8), byte(n))
	}
	return dst, true
}
