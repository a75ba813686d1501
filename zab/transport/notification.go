package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/quorate/quorate/zab"
)

// Notifications are the only messages of the election channel. Each is an int length and then, big-endian: int state,
// long leader, long zxid, long round, long peerEpoch, int format, int n, n bytes of configuration. Older servers leave
// fields out at the end.

const (
	notificationBytes  = 44 // without the configuration
	notification28     = 28 // up to 3.3: ends before peerEpoch
	notification40     = 40 // 3.4: ends after format
	notificationFormat = 2
	// frameBytesMax is PACKETMAXSIZE of ZooKeeper's QuorumCnxManager.
	frameBytesMax = 512 << 10
)

var (
	errNotification = errors.New("not a notification")
	errFrame        = errors.New("frame length out of range")
)

// appendNotification appends the frame of m with the configuration text.
func appendNotification(b []byte, m *zab.Message, text []byte) []byte {
	b = appendInt(b, int32(notificationBytes+len(text))) //nolint:gosec // bounded by frameBytesMax
	b = appendInt(b, int32(m.State))
	b = appendLong(b, m.Vote.Leader)
	b = appendLong(b, m.Vote.Zxid)
	b = appendLong(b, m.Round)
	b = appendLong(b, m.Vote.PeerEpoch)
	b = appendInt(b, notificationFormat)
	b = appendInt(b, int32(len(text))) //nolint:gosec // bounded by frameBytesMax
	return append(b, text...)
}

// parseNotification reads a frame's content, of any release, as ZooKeeper 3.6 and later do: the version field of the
// 40-byte form is not read, 36 bytes are an error. The message's Data is the configuration's text, a part of b; its
// ConfigVersion is what the text says. From and To are the caller's.
func parseNotification(b []byte) (m zab.Message, err error) {
	if len(b) < notification28 {
		return m, fmt.Errorf("%w: %d bytes", errNotification, len(b))
	}
	state := readInt(b)
	if state < int32(zab.Looking) || state > int32(zab.Observing) {
		return m, fmt.Errorf("%w: state %d", errNotification, state)
	}
	m.Type, m.State = zab.Notification, zab.Role(state)
	m.Vote.Leader, m.Vote.Zxid, m.Round = readLong(b[4:]), readLong(b[12:]), readLong(b[20:])
	switch {
	case len(b) == notification28:
		m.Vote.PeerEpoch = zab.Epoch(m.Vote.Zxid)
		return m, nil
	case len(b) < notification40:
		return m, fmt.Errorf("%w: %d bytes", errNotification, len(b))
	}
	m.Vote.PeerEpoch = readLong(b[28:])
	if len(b) == notification40 {
		return m, nil
	}
	m.Format = readInt(b[36:])
	if m.Format < notificationFormat {
		return m, nil
	}
	if len(b) < notificationBytes {
		return m, fmt.Errorf("%w: %d bytes of format %d", errNotification, len(b), m.Format)
	}
	n := int(readInt(b[40:]))
	if n < 0 || n > len(b)-notificationBytes {
		return m, fmt.Errorf("%w: configuration of %d bytes in %d", errNotification, n, len(b))
	}
	m.Data = b[notificationBytes : notificationBytes+n : notificationBytes+n]
	m.ConfigVersion = configVersion(m.Data)
	return m, nil
}

// readFrame reads one frame's content into memory of its own, which grows with the bytes that arrive.
func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := readInt(head[:])
	if n < 1 || n > frameBytesMax {
		return nil, fmt.Errorf("%w: %d", errFrame, n)
	}
	const atOnce = 4 << 10
	if n <= atOnce {
		b := make([]byte, n)
		_, err := io.ReadFull(r, b)
		return b, err
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// configVersion finds the version in the text of a configuration: the zxid of the reconfiguration that made it, in hex.
// A text that does not say has version 0, whatever else it is.
func configVersion(text []byte) (version int64) {
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte("="))
		if string(bytes.TrimSpace(key)) != "version" {
			continue
		}
		if v, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 16, 64); err == nil {
			version = v
		}
	}
	return version
}
