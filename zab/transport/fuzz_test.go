package transport

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/quorate/quorate/zab"
)

func FuzzPacket(f *testing.F) {
	for _, g := range goldenPackets {
		f.Add(unhex(f, g.hex))
	}
	f.Add([]byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 16
		p, n, more, err := parsePacket(b, limit)
		switch {
		case err != nil:
			return
		case n == 0:
			if more <= len(b) {
				t.Fatalf("%d bytes are not enough, %d would be", len(b), more)
			}
			return
		case n > len(b) || len(p.data) > limit:
			t.Fatalf("took %d of %d bytes, data %d", n, len(b), len(p.data))
		}
		m, known, err := p.message()
		if err != nil || !known {
			return
		}
		switch m.Type {
		case zab.FollowerInfo, zab.ObserverInfo, zab.AckEpoch, zab.LeaderInfo:
			return // what they say beyond their fields is not kept
		default:
		}
		if m.Type != zab.Request && len(p.auth) != 4 || m.Type == zab.Ping && m.Data == nil {
			return // only requests have authinfo
		}
		got := appendPacket(nil, &m, true)
		if m.Type != zab.Request {
			got, b = got[:len(got)-4], b[:n-4] // null and empty are one
			n -= 4
		}
		if !bytes.Equal(got, b[:n]) {
			t.Fatalf("encoded again\n%x, was\n%x", got, b[:n])
		}
	})
}

func FuzzNotification(f *testing.F) {
	m := goldenVote()
	full := appendNotification(nil, &m, m.Data)
	for _, n := range []int{4, 32, 40, 44, 48, len(full)} {
		f.Add(full[4:n])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseNotification(b)
		if err != nil {
			return
		}
		if len(m.Data) > len(b) || m.State > zab.Observing {
			t.Fatalf("%+v", m)
		}
		again, err := parseNotification(appendNotification(nil, &m, m.Data)[4:])
		if err != nil || again.Vote != m.Vote || again.Round != m.Round || again.ConfigVersion != m.ConfigVersion {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	m := goldenVote()
	f.Add(appendNotification(nil, &m, m.Data))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := readFrame(bytes.NewReader(b))
		if err == nil && !bytes.Equal(frame, b[4:4+len(frame)]) {
			t.Fatalf("%x of %x", frame, b)
		}
	})
}

func FuzzInitialMessage(f *testing.F) {
	f.Add(encodeInitial(9, "127.0.0.1:33888"))
	f.Add(encodeInitial(9, "a:1|[::]:2|[::1]:3"))
	f.Add(appendLong(nil, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readInitial(bytes.NewReader(b))
		if err == nil && len(m.addrs) > addressesMax {
			t.Fatalf("%+v", m)
		}
	})
}

func FuzzLearnerInfo(f *testing.F) {
	f.Add(unhex(f, "0000000000000009 00010000 0000000100000003"))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := parseLearnerInfo(b)
		if (err == nil) != (len(b) >= 8) {
			t.Fatalf("%d bytes: %+v, %v", len(b), info, err)
		}
	})
}

func FuzzConfigText(f *testing.F) {
	f.Add([]byte(configText))
	f.Add([]byte("server.1=a:1:2|[fe80::1]:3:4:observer;[::]:2181\ngroup.1=1:2\nweight.1=1\nversion=10000000a"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = configVersion(b)
		_ = CheckConfigText(b)
	})
}

// FuzzStream: however the bytes of a connection are cut into reads, the same packets come out.
func FuzzStream(f *testing.F) {
	var all []byte
	for _, g := range goldenPackets {
		all = append(all, unhex(f, g.hex)...)
	}
	f.Add(all, uint16(7))
	f.Add(all, uint16(40))
	f.Fuzz(func(t *testing.T, b []byte, step uint16) {
		want, wantErr := packetsOf(bytes.NewReader(b), len(b)+1)
		got, gotErr := packetsOf(bytes.NewReader(b), int(step)%97+1)
		if got != want || (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%d packets, %v; in steps of %d: %d, %v", want, wantErr, step, got, gotErr)
		}
	})
}

// packetsOf counts the packets of a stream that is read in pieces of at most step bytes.
func packetsOf(r *bytes.Reader, step int) (count int, err error) {
	s := newSlab(pieces{r, step})
	for {
		p, n, more, err := parsePacket(s.unread(), 1<<16)
		switch {
		case err != nil:
			return count, err
		case n > 0:
			_, _, _ = p.message()
			s.take(n)
			count++
		default:
			if errors.Is(s.fill(more), io.EOF) {
				return count, nil
			}
		}
	}
}

type pieces struct {
	r    *bytes.Reader
	step int
}

func (p pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(p.step, len(b))]) }
