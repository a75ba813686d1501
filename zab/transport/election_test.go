package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"

	"github.com/quorate/quorate/zab"
)

// TestNotificationsBothWays: whoever speaks first, both hear each other over one connection, which the higher sid made.
func TestNotificationsBothWays(t *testing.T) {
	for _, first := range []int64{1, 2} {
		t.Run(fmt.Sprint("first=", first), func(t *testing.T) {
			d := newDuo(t, 1, 2)
			second := 3 - first
			say := func(from, to, round int64) {
				m := vote(from)
				m.From, m.To, m.Round = from, to, round
				d.tr[from].Send([]zab.Message{m})
				got := d.rec[to].await(t, 1, func(m zab.Message) bool { return m.From == from && m.Round == round })
				if got.Vote != m.Vote || got.To != to || got.Format != 2 || string(got.Data) != configText {
					t.Errorf("%+v, want %+v", got, m)
				}
			}
			say(first, second, 1)
			say(second, first, 2)
			say(first, second, 3)
			for sid, tr := range d.tr {
				if ps := tr.Peers(); len(ps) != 1 || ps[0].ID != 3-sid || ps[0].Conn != 0 {
					t.Errorf("server %d is connected to %+v", sid, ps)
				}
			}
			if s := d.tr[2].Peers()[0]; s.Remote != d.tr[1].ElectionAddr().String() {
				t.Errorf("the connection was not made by the higher sid: %+v", s)
			}
		})
	}
}

func TestNotificationToOneself(t *testing.T) {
	d := newDuo(t, 1)
	m := vote(1)
	m.From, m.To = 1, 1
	d.tr[1].Send([]zab.Message{m})
	d.rec[1].await(t, 1, func(m zab.Message) bool { return m.From == 1 && m.To == 1 && m.Vote.Leader == 1 })
}

// TestRefusedIsTold: the core learns of a voter that is down, also if it went down with a vote that was just sent to it,
// and of none that is there.
func TestRefusedIsTold(t *testing.T) {
	d := newDuo(t, 1, 2)
	m := vote(2)
	m.From, m.To = 2, 1
	d.tr[2].Send([]zab.Message{m})
	d.rec[1].await(t, 1, func(m zab.Message) bool { return m.Type == zab.Notification })
	if err := d.tr[1].Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := d.rec[2].await(t, 1, ofType(zab.Unreachable)); got.From != 1 || got.To != 2 {
		t.Errorf("%+v", got)
	}
	if slices.ContainsFunc(d.rec[1].messages(), ofType(zab.Unreachable)) {
		t.Error("server 1 is told that server 2 is down")
	}
}

// TestRingTakenByTheDying: a ring that the kernel takes for a process that is being killed, and resets when it comes to
// close the port, is not taken for heard.
func TestRingTakenByTheDying(t *testing.T) {
	d := newDuo(t, 1)
	l := listenRaw(t)
	d.book.set(2, Peer{Election: []string{l.Addr().String()}})
	m := vote(1)
	m.From, m.To = 1, 2
	d.tr[1].Send([]zab.Message{m})
	nc := accept(t, l).(*net.TCPConn)
	if err := errors.Join(nc.SetLinger(0), l.Close(), nc.Close()); err != nil {
		t.Fatal(err)
	}
	if got := d.rec[1].await(t, 1, ofType(zab.Unreachable)); got.From != 2 || got.To != 1 {
		t.Errorf("%+v", got)
	}
}

func TestRefused(t *testing.T) {
	no, slow := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), context.DeadlineExceeded
	for _, c := range []struct {
		err  error
		want bool
	}{
		{no, true},
		{slow, false},
		{errors.Join(no, no), true},
		{errors.Join(no, slow), false},
		{fmt.Errorf("none of 2: %w", errors.Join(no, errors.Join(no, slow))), false},
	} {
		if got := refused(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

// listenRaw is a server made of a plain listener.
func listenRaw(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

func readVote(t *testing.T, nc net.Conn) zab.Message {
	t.Helper()
	frame, err := readFrame(nc)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseNotification(frame)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBytesOfACall: a higher sid dials, sends the initial message and the frame, and takes the other way too.
func TestBytesOfACall(t *testing.T) {
	d := newDuo(t, 5)
	l := listenRaw(t)
	d.book.set(2, Peer{Election: []string{l.Addr().String()}})
	m := vote(5)
	m.To = 2
	d.tr[5].Send([]zab.Message{m})
	nc := accept(t, l)
	want := encodeInitial(5, d.tr[5].ElectionAddr().String())
	want = appendNotification(want, &m, testConfig())
	got := make([]byte, len(want))
	if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%v\n%x, want\n%x", err, got, want)
	}
	answer := vote(2)
	if _, err := nc.Write(appendNotification(nil, &answer, testConfig())); err != nil {
		t.Fatal(err)
	}
	d.rec[5].await(t, 1, func(m zab.Message) bool { return m.From == 2 && m.Vote == answer.Vote })
}

// TestInitialMessageHasOneAddress, however many are configured: members of before 3.6 refuse the other form
// (ZOOKEEPER-3720).
func TestInitialMessageHasOneAddress(t *testing.T) {
	b := newBook()
	o := testOptions(5, newRecorder(), b)
	o.ElectionAddrs = []string{"127.0.0.1:0", "127.0.0.1:0"}
	o.Advertise = "a.example:3888"
	tr := start(t, o, b)
	l := listenRaw(t)
	b.set(2, Peer{Election: []string{l.Addr().String(), "127.0.0.1:1"}})
	m := vote(5)
	m.To = 2
	tr.Send([]zab.Message{m})
	want := unhex(t, "ffffffffffff0000 0000000000000005 0000000e 612e6578616d706c653a33383838")
	got := make([]byte, len(want))
	if _, err := io.ReadFull(accept(t, l), got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, want %x: %v", got, want, err)
	}
}

// TestLowerSidRings: it says who it is and closes; what it has to say waits for the call back.
func TestLowerSidRings(t *testing.T) {
	d := newDuo(t, 1)
	l := listenRaw(t)
	d.book.set(2, Peer{Election: []string{l.Addr().String()}})
	m := vote(1)
	m.To = 2
	d.tr[1].Send([]zab.Message{m})
	got, err := io.ReadAll(accept(t, l))
	if want := encodeInitial(1, d.tr[1].ElectionAddr().String()); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the ring was %x, %v, want %x", got, err, want)
	}
	nc := dialRaw(t, d.tr[1].ElectionAddr())
	nc.Write(encodeInitial(2, l.Addr().String()))
	if got := readVote(t, nc); got.Vote != m.Vote {
		t.Errorf("%+v", got)
	}
}

// TestRingIsAnswered: where the initial message says, although the configuration says something else, and it ends an
// older connection.
func TestRingIsAnswered(t *testing.T) {
	d := newDuo(t, 5)
	l := listenRaw(t)
	d.book.set(2, Peer{Election: []string{"127.0.0.1:1"}})
	ring := func() net.Conn {
		nc := dialRaw(t, d.tr[5].ElectionAddr())
		nc.Write(encodeInitial(2, l.Addr().String()))
		called := accept(t, l)
		m, err := readInitial(called)
		if err != nil || m.sid != 5 {
			t.Fatalf("called back by %+v, %v", m, err)
		}
		if _, err := io.ReadAll(nc); err != nil {
			t.Fatalf("the ring's own connection: %v", err)
		}
		return called
	}
	old := ring()
	eventually(t, "the connection stands", func() bool { return len(d.tr[5].Peers()) == 1 })
	ring()
	if _, err := io.ReadAll(old); err != nil {
		t.Errorf("the older connection: %v", err)
	}
}

// TestRingWithoutAddress: an old server is called back where the configuration says.
func TestRingWithoutAddress(t *testing.T) {
	d := newDuo(t, 5)
	l := listenRaw(t)
	d.book.set(2, Peer{Election: []string{l.Addr().String()}})
	dialRaw(t, d.tr[5].ElectionAddr()).Write(appendLong(nil, 2))
	if m, err := readInitial(accept(t, l)); err != nil || m.sid != 5 {
		t.Fatalf("called back by %+v, %v", m, err)
	}
}

// TestLastFrameIsRepeated on a new connection, if nothing newer waits; if something does, that is sent.
func TestLastFrameIsRepeated(t *testing.T) {
	d := newDuo(t, 1)
	call := func() net.Conn {
		nc := dialRaw(t, d.tr[1].ElectionAddr())
		nc.Write(encodeInitial(2, "127.0.0.1:1"))
		return nc
	}
	nc := call()
	eventually(t, "connected", func() bool { return len(d.tr[1].Peers()) == 1 })
	m := vote(1)
	m.To = 2
	d.tr[1].Send([]zab.Message{m})
	if got := readVote(t, nc); got.Round != 1 {
		t.Fatalf("%+v", got)
	}
	again := call() // takes the place of the first
	if got := readVote(t, again); got.Round != 1 {
		t.Fatalf("%+v", got)
	}
	again.Close()
	eventually(t, "disconnected", func() bool { return len(d.tr[1].Peers()) == 0 })
	for m.Round = 2; m.Round < 5; m.Round++ { // nobody is there: the newest stays
		d.tr[1].Send([]zab.Message{m})
	}
	if got := readVote(t, call()); got.Round != 4 {
		t.Errorf("%+v", got)
	}
}

// TestGarbageVotesAreDropped, and the connection lives.
func TestGarbageVotesAreDropped(t *testing.T) {
	d := newDuo(t, 1)
	nc := dialRaw(t, d.tr[1].ElectionAddr())
	nc.Write(encodeInitial(9, "127.0.0.1:1")) // nobody knows 9
	for _, n := range []int{1, 27, 36, 39, 43, 5000} {
		nc.Write(append(appendInt(nil, int32(n)), repeat("\x7f", n)...))
	}
	m := vote(9)
	nc.Write(appendNotification(nil, &m, []byte("server.x=\nversion=zebra"))) // would end a Java server's election
	got := d.rec[1].await(t, 1, ofType(zab.Notification))
	if got.From != 9 || got.Vote != m.Vote || got.ConfigVersion != 0 {
		t.Errorf("%+v", got)
	}
	nc.Write(appendInt(nil, frameBytesMax+1))
	if _, err := io.ReadAll(nc); err != nil {
		t.Errorf("a frame too long: %v", err)
	}
	if n := len(d.rec[1].messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestImplausibleTextIsNotSent: no text is better than one that Java servers die of.
func TestImplausibleTextIsNotSent(t *testing.T) {
	b := newBook()
	o := testOptions(5, newRecorder(), b)
	text := ""
	o.ConfigText = func() []byte { return []byte(text) }
	tr := start(t, o, b)
	l := listenRaw(t)
	b.set(2, Peer{Election: []string{l.Addr().String()}})
	m := vote(5)
	m.To = 2
	for _, text = range []string{"", "version=0", "server.2=a:b:c\nversion=0", configText} {
		m.Round++
		tr.Send([]zab.Message{m})
	}
	nc := accept(t, l)
	if _, err := readInitial(nc); err != nil {
		t.Fatal(err)
	}
	if got := readVote(t, nc); got.Round != m.Round || string(got.Data) != configText {
		t.Errorf("%+v", got)
	}
}

// TestStrangersOfTheElectionPort: what is no server gets nothing and keeps nothing.
func TestStrangersOfTheElectionPort(t *testing.T) {
	d := newDuo(t, 1, 2)
	addr := d.tr[1].ElectionAddr()
	for _, b := range [][]byte{
		appendLong(nil, -1),
		[]byte("GET / HTTP/1.1\r\n\r\n\xff\xff\xff\xff"),
		append(encodeInitial(9, "")[:16], 0x7f, 0xff, 0xff, 0xff),
		encodeInitial(1, "127.0.0.1:1"), // says it is this server
	} {
		nc := dialRaw(t, addr)
		nc.Write(b)
		nc.(*net.TCPConn).CloseWrite()
		if got, _ := io.ReadAll(nc); len(got) != 0 {
			t.Errorf("%x is answered by %x", b, got)
		}
	}
	for range 2 * handshakesMax {
		dialRaw(t, addr) // says nothing
	}
	half := dialRaw(t, addr)
	half.Write(encodeInitial(7, "127.0.0.1:1")[:11])
	m := vote(2)
	m.To = 1
	d.tr[2].Send([]zab.Message{m}) // still comes through
	d.rec[1].await(t, 1, ofType(zab.Notification))
	d.tr[1].electionPort.mu.Lock()
	n := len(d.tr[1].electionPort.waiting)
	d.tr[1].electionPort.mu.Unlock()
	if n > handshakesMax {
		t.Errorf("%d wait", n)
	}
}

// TestStrangersAreBounded: of servers that no configuration knows, the latest are kept.
func TestStrangersAreBounded(t *testing.T) {
	d := newDuo(t, 1, 2)
	m := vote(2)
	m.To = 1
	d.tr[2].Send([]zab.Message{m})
	d.rec[1].await(t, 1, ofType(zab.Notification))
	var last net.Conn
	for i := range strangersMax + 20 {
		last = dialRaw(t, d.tr[1].ElectionAddr())
		last.Write(encodeInitial(int64(1000+i), "127.0.0.1:1"))
	}
	eventually(t, "the last is connected", func() bool {
		for _, p := range d.tr[1].Peers() {
			if p.ID == 1000+strangersMax+19 {
				return true
			}
		}
		return false
	})
	v := vote(9)
	last.Write(appendNotification(nil, &v, testConfig()))
	d.rec[1].await(t, 2, ofType(zab.Notification))
	eventually(t, "no more than the bound", func() bool { return len(d.tr[1].Peers()) <= strangersMax+1 })
	if d.tr[1].Peers()[0].ID != 2 {
		t.Error("the one that the configuration knows is gone")
	}
}

// TestSilentStrangerIsGivenUp after the time it has.
func TestSilentStrangerIsGivenUp(t *testing.T) {
	b := newBook()
	o := testOptions(1, newRecorder(), b)
	o.TickTime, o.SyncLimit = 1e6, 1
	tr := start(t, o, b)
	for _, addr := range []net.Addr{tr.ElectionAddr(), tr.QuorumAddr()} {
		if got, _ := io.ReadAll(dialRaw(t, addr)); len(got) != 0 {
			t.Errorf("a stranger gets %x", got)
		}
	}
}

// TestAnonymousObserverIsCalledBack under a sid of its own.
func TestAnonymousObserverIsCalledBack(t *testing.T) {
	d := newDuo(t, 5)
	l := listenRaw(t)
	dialRaw(t, d.tr[5].ElectionAddr()).Write(encodeInitial(anonymous, l.Addr().String()))
	nc := accept(t, l)
	if m, err := readInitial(nc); err != nil || m.sid != 5 {
		t.Fatalf("%+v, %v", m, err)
	}
	v := vote(5)
	nc.Write(appendNotification(nil, &v, testConfig()))
	d.rec[5].await(t, 1, func(m zab.Message) bool { return m.From == -1 })
}

// hole is an address that nobody answers at (reserved for documentation).
var hole = []string{"192.0.2.1:1"}

// TestRingCutsADial that is stuck with an address where the server was once.
func TestRingCutsADial(t *testing.T) {
	b := newBook()
	o := testOptions(5, newRecorder(), b)
	o.CnxTimeout = 1000 * patience
	tr := start(t, o, b)
	b.set(2, Peer{Election: hole})
	m := vote(5)
	m.To = 2
	tr.Send([]zab.Message{m})
	l := listenRaw(t)
	dialRaw(t, tr.ElectionAddr()).Write(encodeInitial(2, l.Addr().String()))
	nc := accept(t, l)
	if m, err := readInitial(nc); err != nil || m.sid != 5 {
		t.Fatalf("called back by %+v, %v", m, err)
	}
	if got := readVote(t, nc); got.Vote != m.Vote {
		t.Errorf("%+v", got)
	}
}

// TestBlackHoleDelaysNobody: a server that cannot be reached costs the others nothing.
func TestBlackHoleDelaysNobody(t *testing.T) {
	b := newBook()
	rec := newRecorder()
	o, p := testOptions(5, newRecorder(), b), testOptions(2, rec, b)
	o.CnxTimeout = 1000 * patience
	tr := start(t, o, b)
	start(t, p, b)
	b.set(3, Peer{Election: hole})
	for _, to := range []int64{3, 2} {
		m := vote(5)
		m.To = to
		tr.Send([]zab.Message{m})
	}
	rec.await(t, 1, ofType(zab.Notification))
}
