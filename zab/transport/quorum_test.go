package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/quorate/quorate/zab"
)

// TestConnection: what is sent on a connection comes in order at the other end, with everything filled in; its end is
// told once.
func TestConnection(t *testing.T) {
	d := newDuo(t, 1, 2)
	here, there := d.connect(t, 1, 2)
	d.tr[2].Send([]zab.Message{{Type: zab.LeaderInfo, Conn: there, Zxid: zab.MakeZxid(4, 0)}})
	if m := d.rec[1].await(t, 1, ofType(zab.LeaderInfo)); m.From != 2 || m.To != 1 || m.Conn != here || m.Zxid != zab.MakeZxid(4, 0) {
		t.Errorf("LEADERINFO: %+v", m)
	}
	const n = 3000
	for i := range n {
		ms := []zab.Message{
			{Type: zab.Proposal, Conn: there, Zxid: int64(i), Data: repeat("p", i%300)},
			{Type: zab.Commit, Conn: there, Zxid: int64(i)},
		}
		if i%500 == 0 {
			ms[0].Data = repeat("long", 40_000)
		}
		d.tr[2].Send(ms)
		d.tr[1].Send([]zab.Message{{Type: zab.Ack, Conn: here, Zxid: int64(i)}})
	}
	d.rec[1].await(t, n, ofType(zab.Commit))
	d.rec[2].await(t, n, ofType(zab.Ack))
	next := int64(0)
	for _, m := range d.rec[1].messages() {
		switch m.Type {
		case zab.Proposal:
			want := repeat("p", int(m.Zxid)%300)
			if m.Zxid%500 == 0 {
				want = repeat("long", 40_000)
			}
			if m.Zxid != next || !bytes.Equal(m.Data, want) || m.From != 2 || m.Conn != here {
				t.Fatalf("proposal %d: %d bytes as %d", next, len(m.Data), m.Zxid)
			}
		case zab.Commit:
			if m.Zxid != next || m.Data != nil {
				t.Fatalf("commit %d came as %+v", next, m)
			}
			next++
		default:
		}
	}
	d.tr[1].Close(here)
	if m := d.rec[2].await(t, 1, ofType(zab.Disconnected)); m.From != 1 || m.Conn != there {
		t.Errorf("%+v", m)
	}
	eventually(t, "both ends are gone", func() bool { return len(d.tr[1].Peers()) == 0 && len(d.tr[2].Peers()) == 0 })
	for _, m := range d.rec[1].messages() {
		if m.Type == zab.Disconnected {
			t.Error("Disconnected at the end that closed")
		}
	}
	d.tr[1].Send([]zab.Message{{Type: zab.Ack, Conn: here}}) // for nothing
	d.tr[1].Close(here)
}

// TestCloseComesAfterWhatWasSent, even with the other side's bytes unread.
func TestCloseComesAfterWhatWasSent(t *testing.T) {
	d := newDuo(t, 1, 2)
	here, there := d.connect(t, 1, 2)
	const n = 200
	for i := range n {
		d.tr[1].Send([]zab.Message{{Type: zab.Ack, Conn: here, Zxid: int64(i)}})
		d.tr[2].Send([]zab.Message{{Type: zab.Proposal, Conn: there, Zxid: int64(i), Data: repeat("x", 10_000)}})
	}
	d.tr[2].Close(there)
	d.rec[1].await(t, n, ofType(zab.Proposal))
	d.rec[1].await(t, 1, ofType(zab.Disconnected))
}

func TestConnectFails(t *testing.T) {
	d := newDuo(t, 1)
	l := listenRaw(t)
	dead := l.Addr().String()
	l.Close()
	d.book.set(2, Peer{Quorum: []string{dead}})
	d.book.set(3, Peer{Quorum: []string{"no such host:1", dead}})
	for _, sid := range []int64{2, 3, 4} {
		d.tr[1].Connect(sid)
		d.rec[1].await(t, 1, func(m zab.Message) bool { return m.Type == zab.ConnectFailed && m.From == sid && m.To == 1 })
	}
}

// TestSeveralAddresses: the first that answers is taken.
func TestSeveralAddresses(t *testing.T) {
	d := newDuo(t, 1, 2)
	p, _ := d.book.lookup(2)
	dead := listenRaw(t)
	dead.Close()
	d.book.set(2, Peer{Quorum: []string{dead.Addr().String(), p.Quorum[0]}, Election: []string{dead.Addr().String(), p.Election[0]}})
	d.connect(t, 1, 2)
	m := vote(1)
	m.To = 2
	d.tr[1].Send([]zab.Message{m})
	d.rec[2].await(t, 1, ofType(zab.Notification))
}

// TestStrangersOfTheQuorumPort are closed, and nobody hears of them.
func TestStrangersOfTheQuorumPort(t *testing.T) {
	d := newDuo(t, 1, 2)
	info := zab.Message{Type: zab.FollowerInfo, From: 7}
	first := appendPacket(nil, &info, true)
	tooLong := bytes.Clone(first)
	tooLong[12] = 0x7f
	noSid := appendInt(bytes.Clone(first[:12]), -1)
	noSid = appendInt(noSid, -1)
	longAuth := bytes.Clone(first)
	longAuth[len(longAuth)-4] = 0x7f
	for _, b := range [][]byte{
		[]byte("GET / HTTP/1.1\r\n\r\n"), appendPacket(nil, &zab.Message{Type: zab.Ack}, true), tooLong, noSid,
		append(longAuth, make([]byte, slabFirstBytes)...), first[:39],
		{},
	} {
		nc := dialRaw(t, d.tr[2].QuorumAddr())
		nc.Write(b)
		nc.(*net.TCPConn).CloseWrite()
		if got, _ := io.ReadAll(nc); len(got) != 0 {
			t.Errorf("%x is answered by %x", b, got)
		}
	}
	for range 2 * handshakesMax {
		dialRaw(t, d.tr[2].QuorumAddr())
	}
	d.connect(t, 1, 2)
	if n := len(d.rec[2].messages()); n != 1 {
		t.Errorf("%d messages: %+v", n, d.rec[2].messages())
	}
}

// TestBadPacketEndsTheConnection, after what came before it.
func TestBadPacketEndsTheConnection(t *testing.T) {
	d := newDuo(t, 2)
	for i, bad := range [][]byte{
		unhex(t, "00000005 0000000000000009 7fffffff ffffffff"),
		unhex(t, "00000012 0000000000000009 ffffffff ffffffff"),
		unhex(t, "0000000f 0000000000000009 ffffffff ffffffff"), // a learner has no snapshot to offer
	} {
		nc := dialRaw(t, d.tr[2].QuorumAddr())
		b := appendPacket(nil, &zab.Message{Type: zab.FollowerInfo, From: int64(10 + i)}, true)
		b = append(b, unhex(t, "00000063 0000000000000009 ffffffff ffffffff")...) // of no known type
		b = appendPacket(b, &zab.Message{Type: zab.Ack, Zxid: int64(i)}, true)
		nc.Write(append(b, bad...))
		io.Copy(io.Discard, nc)
		from := func(ty zab.Type) func(zab.Message) bool {
			return func(m zab.Message) bool { return m.Type == ty && m.From == int64(10+i) }
		}
		d.rec[2].await(t, 1, from(zab.Ack))
		d.rec[2].await(t, 1, from(zab.Disconnected))
	}
}

// TestSlowPeerIsGivenUp when too much waits for it; what came before NEWLEADER does not count.
func TestSlowPeerIsGivenUp(t *testing.T) {
	b := newBook()
	rec := newRecorder()
	o := testOptions(2, rec, b)
	o.OutBytesMax = 64 << 10
	tr := start(t, o, b)
	nc := dialRaw(t, tr.QuorumAddr()) // reads nothing
	nc.Write(appendPacket(nil, &zab.Message{Type: zab.FollowerInfo, From: 1}, true))
	conn := rec.await(t, 1, ofType(zab.FollowerInfo)).Conn
	sync := []zab.Message{{Type: zab.Diff, Conn: conn}}
	for range 64 {
		sync = append(sync, zab.Message{Type: zab.Proposal, Conn: conn, Data: repeat("x", 256<<10)})
	}
	tr.Send(append(sync, zab.Message{Type: zab.NewLeader, Conn: conn}))
	if p := tr.Peers(); len(p) != 1 || p[0].QueuedBytes == 0 || p[0].QueuedPackets == 0 {
		t.Fatalf("given up within the synchronization: %+v", p)
	}
	for range 3 {
		tr.Send([]zab.Message{{Type: zab.Proposal, Conn: conn, Data: repeat("x", 32<<10)}})
	}
	rec.await(t, 1, func(m zab.Message) bool { return m.Type == zab.Disconnected && m.Conn == conn })
}

func TestListenErrors(t *testing.T) {
	_, err := Listen(Options{TickTime: -1, ElectionAddrs: []string{"nonsense"}, Advertise: "nonsense"})
	if !errors.Is(err, ErrOptions) {
		t.Fatal(err)
	}
	for _, want := range []string{"ElectionAddrs", "QuorumAddrs", "Advertise", "Lookup", "TickTime"} {
		if !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%s is not named by: %v", want, err)
		}
	}
	l := listenRaw(t)
	o := testOptions(1, newRecorder(), newBook())
	o.QuorumAddrs = []string{l.Addr().String()}
	if _, err := Listen(o); err == nil || !bytes.Contains([]byte(err.Error()), []byte("quorum port")) {
		t.Errorf("a port in use: %v", err)
	}
}

// TestShutdownCutsDials: to an address that never answers.
func TestShutdownCutsDials(t *testing.T) {
	d := newDuo(t, 1)
	d.book.set(2, Peer{Election: hole, Quorum: hole})
	d.book.set(3, Peer{Election: append(hole, hole...), Quorum: append(hole, hole...)})
	for _, sid := range []int64{2, 3} {
		m := vote(1)
		m.To = sid
		d.tr[1].Send([]zab.Message{m})
		d.tr[1].Connect(sid)
	}
	shutdown(t, d.tr[1])
	d.tr[1].Connect(2)
	d.tr[1].Send([]zab.Message{{Type: zab.Ack, Conn: 1}})
}

// TestConnectTakesThePlaceOfAnOlderOne that is stuck.
func TestConnectTakesThePlaceOfAnOlderOne(t *testing.T) {
	d := newDuo(t, 2)
	rec := newRecorder()
	o := testOptions(1, rec, d.book)
	o.CnxTimeout = 1000 * patience
	tr := start(t, o, d.book)
	p, _ := d.book.lookup(2)
	d.book.set(2, Peer{Quorum: hole})
	tr.Connect(2)
	d.book.set(2, p)
	tr.Connect(2)
	rec.await(t, 1, ofType(zab.Connected))
	tr.Connect(2)
	rec.await(t, 2, ofType(zab.Connected))
	for _, m := range rec.messages() {
		if m.Type == zab.ConnectFailed {
			t.Errorf("%+v", m)
		}
	}
}

// TestWaitingForTheLeader: a member sees how much its leader has not taken; what a learner has not taken is none of it.
func TestWaitingForTheLeader(t *testing.T) {
	d := newDuo(t, 1)
	l := listenRaw(t)
	d.book.set(2, Peer{Quorum: []string{l.Addr().String()}})
	d.tr[1].Connect(2)
	leader := accept(t, l)
	id := d.rec[1].await(t, 1, ofType(zab.Connected)).Conn
	learner := dialRaw(t, d.tr[1].QuorumAddr())
	if _, err := learner.Write(appendPacket(nil, &zab.Message{Type: zab.FollowerInfo, From: 3}, true)); err != nil {
		t.Fatal(err)
	}
	other := d.rec[1].await(t, 1, ofType(zab.FollowerInfo)).Conn
	const size = 32 << 20 // more than two sockets hold
	d.tr[1].Send([]zab.Message{{Type: zab.Proposal, Conn: other, Data: make([]byte, size)}})
	if n := d.tr[1].Waiting(); n != 0 {
		t.Errorf("%d bytes wait for a learner", n)
	}
	d.tr[1].Send([]zab.Message{{Type: zab.Request, Conn: id, Data: make([]byte, size), Auth: []byte{0, 0, 0, 0}}})
	if n := d.tr[1].Waiting(); n < size {
		t.Errorf("%d bytes wait for the leader, want %d", n, size)
	}
	go func() { _, _ = io.Copy(io.Discard, leader) }()
	for until := time.Now().Add(patience); d.tr[1].Waiting() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d bytes still wait", d.tr[1].Waiting())
		}
	}
}
