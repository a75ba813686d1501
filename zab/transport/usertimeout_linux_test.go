package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/zab"
)

// blackHole has a socket lose everything that comes from here on, and acknowledge nothing: the line is dead, and
// neither end is told.
func blackHole(t *testing.T, nc net.Conn) {
	t.Helper()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	loseAll(t, raw)
}

// deadPort is a port to which all packets are lost, so that no attempt to connect is answered.
func deadPort(t *testing.T) net.Listener {
	t.Helper()
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		loseAll(t, raw)
		return nil
	}}
	c.SetMultipathTCP(false) // which has no filters
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func loseAll(t *testing.T, raw syscall.RawConn) {
	t.Helper()
	var err error
	all := []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K, K: 0}}
	err2 := raw.Control(func(fd uintptr) {
		err = syscall.AttachLsf(int(fd), all) //nolint:staticcheck // its successor is another module
	})
	if err := errors.Join(err, err2); err != nil {
		if os.Getenv("QUORATE_INTEROP") == "required" {
			t.Fatal("QUORATE_INTEROP=required, but there is no socket filter: ", err)
		}
		t.Skip("no socket filter:", err)
	}
}

// impatient is a server whose syncLimit is half a second.
func impatient(t *testing.T, sid int64) (*Transport, *recorder, *book) {
	b, rec := newBook(), newRecorder()
	o := testOptions(sid, rec, b)
	o.TickTime, o.SyncLimit, o.InitLimit = 100*time.Millisecond, 5, 5
	return start(t, o, b), rec, b
}

// A vote that is written into a dead connection ends it, and another is made. Without the limit TCP goes
// on for a quarter of an hour, and when the line is back, until its next attempt, which may be minutes away.
func TestVotesGoOnAfterADeadLine(t *testing.T) {
	tr, _, b := impatient(t, 5)
	l := listenRaw(t)
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	b.set(2, Peer{Election: []string{l.Addr().String()}})
	m := vote(5)
	m.To = 2
	say := func(round int64) {
		m.Round = round
		tr.Send([]zab.Message{m})
	}
	heard := func() (net.Conn, int64) {
		nc := accept(t, l)
		if _, err := readInitial(nc); err != nil {
			t.Fatal(err)
		}
		return nc, readVote(t, nc).Round
	}
	say(1)
	nc, round := heard()
	if round != 1 {
		t.Fatalf("the vote of round %d came", round)
	}
	blackHole(t, nc)
	say(2)              // into the dead line
	nc, round = heard() // the dead connection has ended, and what it may have lost is said again
	if round != 2 {
		t.Errorf("the vote of round %d came", round)
	}
	say(3)
	if round := readVote(t, nc).Round; round != 3 {
		t.Errorf("the vote of round %d came", round)
	}
}

// The same for the quorum port: at the leader, whose packets are not acknowledged, and at the learner.
func TestQuorumConnectionEndsWithADeadLine(t *testing.T) {
	leader, rec, _ := impatient(t, 5)
	nc := dialRaw(t, leader.QuorumAddr())
	if _, err := nc.Write(appendPacket(nil, &zab.Message{Type: zab.FollowerInfo, From: 2}, true)); err != nil {
		t.Fatal(err)
	}
	id := rec.await(t, 1, ofType(zab.FollowerInfo)).Conn
	leader.Send([]zab.Message{{Type: zab.UpToDate, Conn: id}})
	if _, err := io.ReadFull(nc, make([]byte, packetLeastBytes)); err != nil {
		t.Fatal(err)
	}
	blackHole(t, nc)
	leader.Send([]zab.Message{{Type: zab.Ping, Conn: id}})
	rec.await(t, 1, func(m zab.Message) bool { return m.Type == zab.Disconnected && m.Conn == id })

	learner, rec, b := impatient(t, 1)
	l := listenRaw(t)
	b.set(2, Peer{Quorum: []string{l.Addr().String()}})
	learner.Connect(2)
	nc = accept(t, l)
	id = rec.await(t, 1, ofType(zab.Connected)).Conn
	blackHole(t, nc)
	learner.Send([]zab.Message{{Type: zab.Ping, Conn: id, Data: []byte{}}})
	rec.await(t, 1, func(m zab.Message) bool { return m.Type == zab.Disconnected && m.Conn == id })
}
