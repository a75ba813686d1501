package transport

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorate/quorate/zab"
)

// A QuorumPacket is int type, long zxid, buffer data, vector<Id{ustring scheme, ustring id}> authinfo, big-endian,
// without a length in front. A length or count of -1 is null, which is not the same as empty.

// protocolVersion is what LEADERINFO and LearnerInfo say, since 3.4.
const protocolVersion = 0x10000

const (
	packetHeadBytes  = 4 + 8 + 4     // up to and with the length of data
	learnerInfoBytes = 8 + 4 + 8     // sid, protocol version, version of the configuration
	packetLeastBytes = 4 + 8 + 4 + 4 // both null
	// authBytesMax bounds the authinfo of a request that is read: it has no length in front, so it is looked through
	// again whenever more of it has come.
	authBytesMax = 1 << 20
)

// Errors of what a peer sent; each ends the connection.
var (
	errLength      = errors.New("length out of range")
	errPacketData  = errors.New("data of the packet is too short")
	errPacketType  = errors.New("packet does not belong here")
	errLearnerInfo = errors.New("first packet is not FOLLOWERINFO or OBSERVERINFO with a sid")
)

var be = binary.BigEndian

func appendInt(b []byte, v int32) []byte {
	return be.AppendUint32(b, uint32(v)) //nolint:gosec // two's complement is the format
}

func appendLong(b []byte, v int64) []byte {
	return be.AppendUint64(b, uint64(v)) //nolint:gosec // two's complement is the format
}

func readInt(b []byte) int32 { return int32(be.Uint32(b)) } //nolint:gosec // two's complement is the format

func readLong(b []byte) int64 { return int64(be.Uint64(b)) } //nolint:gosec // two's complement is the format

// appendPacket appends m as the packet its Type names. toLeader tells that this server is the learner of the
// connection: then the data of a PING is never null, because Java's leader fails on null.
func appendPacket(b []byte, m *zab.Message, toLeader bool) []byte {
	b = appendInt(b, int32(m.Type))
	b = appendLong(b, m.Zxid)
	switch {
	case m.Type == zab.FollowerInfo || m.Type == zab.ObserverInfo:
		b = appendInt(b, learnerInfoBytes)
		b = appendLong(b, m.From)
		b = appendInt(b, protocolVersion)
		b = appendLong(b, m.ConfigVersion)
	case m.Type == zab.LeaderInfo:
		b = appendInt(b, 4)
		b = appendInt(b, protocolVersion)
	case m.Type == zab.AckEpoch:
		b = appendInt(b, 4)
		b = appendInt(b, int32(m.Epoch)) //nolint:gosec // epochs are 31 bits, or -1
	case m.Data == nil && (m.Type != zab.Ping || !toLeader):
		b = appendInt(b, -1)
	default:
		b = appendInt(b, int32(len(m.Data))) //nolint:gosec // bounded by what was read or proposed
		b = append(b, m.Data...)
	}
	return appendAuth(b, m)
}

// appendLongPacketHead appends what comes before the data of an opaque packet whose data is written by itself.
func appendLongPacketHead(b []byte, m *zab.Message) []byte {
	b = appendInt(b, int32(m.Type))
	b = appendLong(b, m.Zxid)
	return appendInt(b, int32(len(m.Data))) //nolint:gosec // bounded by what was read or proposed
}

// appendAuth appends authinfo: null, but at least an empty list in a REQUEST, because Java's leader fails an ordinary
// operation that comes with null.
func appendAuth(b []byte, m *zab.Message) []byte {
	switch {
	case m.Type != zab.Request:
		return appendInt(b, -1)
	case len(m.Auth) == 0:
		return appendInt(b, 0)
	default:
		return append(b, m.Auth...)
	}
}

// packet is one QuorumPacket as read. data is nil for null; auth is the encoded vector. Both point into what was
// parsed.
type packet struct {
	typ  int32
	zxid int64
	data []byte
	auth []byte
}

// parsePacket reads the packet at the start of b, which has n bytes. n is 0 while it is not complete; then more tells
// how many bytes b must have at least before asking again is of use. limit bounds the length of data.
func parsePacket(b []byte, limit int) (p packet, n, more int, err error) {
	if len(b) < packetHeadBytes {
		return p, 0, packetLeastBytes, nil
	}
	p.typ, p.zxid = readInt(b), readLong(b[4:])
	l := int(readInt(b[12:]))
	if l < -1 || l > limit {
		return p, 0, 0, fmt.Errorf("packet type %d, data: %w: %d", p.typ, errLength, l)
	}
	end := packetHeadBytes + max(l, 0)
	if len(b) < end+4 {
		return p, 0, end + 4, nil
	}
	if l >= 0 {
		p.data = b[packetHeadBytes:end:end]
	}
	size, more, err := authSize(b[end:])
	switch {
	case err != nil:
		return p, 0, 0, fmt.Errorf("packet type %d, authinfo: %w", p.typ, err)
	case size == 0:
		return p, 0, end + more, nil
	}
	p.auth = b[end : end+size : end+size]
	return p, end + size, 0, nil
}

// authSize returns how many bytes the authinfo at the start of b takes. size is 0 while it is not complete; then more
// is how many bytes it takes at least.
func authSize(b []byte) (size, more int, err error) {
	count := readInt(b)
	if count < -1 {
		return 0, 0, fmt.Errorf("%w: count %d", errLength, count)
	}
	at := 4
	for range max(count, 0) {
		for range 2 { // scheme and id
			if len(b) < at+4 {
				return 0, at + 4, nil
			}
			l := int(readInt(b[at:]))
			if l < -1 || l > authBytesMax-at {
				return 0, 0, fmt.Errorf("%w: %d", errLength, l)
			}
			at += 4 + max(l, 0)
			if at > authBytesMax {
				return 0, 0, fmt.Errorf("%w: more than %d bytes", errLength, authBytesMax)
			}
		}
	}
	if len(b) < at {
		return 0, at, nil
	}
	return at, 0, nil
}

// message turns p into the message it stands for; From, To and Conn are the caller's. known is false for types that
// mean nothing, which ZooKeeper's servers ignore.
func (p *packet) message() (m zab.Message, known bool, err error) {
	if p.typ < int32(zab.Request) || p.typ > int32(zab.InformAndActivate) {
		return m, false, nil
	}
	m.Type, m.Zxid = zab.Type(p.typ), p.zxid
	switch m.Type {
	case zab.FollowerInfo, zab.ObserverInfo:
		info, err := parseLearnerInfo(p.data)
		m.From, m.ConfigVersion = info.sid, info.configVersion
		return m, true, err
	case zab.AckEpoch:
		if len(p.data) < 4 {
			return m, true, fmt.Errorf("%s: %w: %d bytes", m.Type, errPacketData, len(p.data))
		}
		m.Epoch = int64(readInt(p.data))
	case zab.LeaderInfo:
		// Its data is the protocol version, which is the same since 3.4.
	case zab.Request:
		m.Data, m.Auth = p.data, p.auth
	default:
		m.Data = p.data
	}
	return m, true, nil
}

// learnerInfo is the data of FOLLOWERINFO and OBSERVERINFO.
type learnerInfo struct {
	sid           int64
	version       int32
	configVersion int64
}

// parseLearnerInfo takes what is there: 8 bytes of the earliest servers, 12 of the 3.4 line, 20 since 3.5.
func parseLearnerInfo(b []byte) (info learnerInfo, err error) {
	if len(b) < 8 {
		return info, fmt.Errorf("%w: %d bytes", errLearnerInfo, len(b))
	}
	info.sid = readLong(b)
	if len(b) >= 12 {
		info.version = readInt(b[8:])
	}
	if len(b) >= learnerInfoBytes {
		info.configVersion = readLong(b[12:])
	}
	return info, nil
}

// introduces reports whether the bytes that have come so far may be the start of a learner's first packet.
func introduces(b []byte) bool {
	if len(b) < 4 {
		return true
	}
	t := readInt(b)
	return t == int32(zab.FollowerInfo) || t == int32(zab.ObserverInfo)
}

// introductionBytesMax bounds the data of a learner's first packet.
const introductionBytesMax = 256
