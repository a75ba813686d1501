package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/zab"
)

// nameServer says where one name is; nowhere, and all other names, do not exist.
type nameServer struct {
	mu    sync.Mutex
	at    net.IP
	asked int
}

const peerName = "peer.test"

func (s *nameServer) move(ip string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = net.ParseIP(ip).To4()
}

func (s *nameServer) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// resolver returns one that asks s and nobody else.
func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe() // which the resolver takes for TCP
		go s.serve(there)
		return here, nil
	}}
}

// serve answers questions, each behind its length, until the other end closes.
func (s *nameServer) serve(nc net.Conn) {
	defer nc.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(nc, size[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(nc, q); err != nil {
			return
		}
		a := s.answer(q)
		if _, err := nc.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)); err != nil { //nolint:gosec // short
			return
		}
	}
}

// answer answers the one question of q: RFC 1035, section 4.
func (s *nameServer) answer(q []byte) []byte {
	const headerBytes, typeA = 12, 1
	name := []byte("\x04peer\x04test\x00")
	question := q[headerBytes : headerBytes+bytes.IndexByte(q[headerBytes:], 0)+5]
	a := append([]byte{q[0], q[1], 0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0}, question...) // a response: no such name
	s.mu.Lock()
	defer s.mu.Unlock()
	if !bytes.HasPrefix(question, name) {
		return a
	}
	s.asked++
	if s.at == nil {
		return a
	}
	a[3] = 0x80 // there is one
	if binary.BigEndian.Uint16(question[len(name):]) == typeA {
		a[7] = 1
		a = append(a, 0xc0, headerBytes, 0, typeA, 0, 1, 0, 0, 0x0e, 0x10, 0, 4) // the name above, for an hour
		a = append(a, s.at...)
	}
	return a
}

// movable is server 5, which knows where server 2 is by a name alone, and the two places where that may be.
type movable struct {
	tr         *Transport
	rec        *recorder
	book       *book
	names      *nameServer
	port       string
	old, moved *net.TCPListener
}

func newMovable(t *testing.T) *movable {
	t.Helper()
	m := &movable{rec: newRecorder(), book: newBook(), names: &nameServer{}}
	m.old = listenRaw(t).(*net.TCPListener)
	_, m.port, _ = net.SplitHostPort(m.old.Addr().String())
	l, err := net.Listen("tcp", "127.0.0.2:"+m.port)
	switch {
	case err != nil && runtime.GOOS == "linux":
		t.Fatal(err)
	case err != nil:
		t.Skip("no second address of this machine:", err)
	}
	t.Cleanup(func() { l.Close() })
	m.moved = l.(*net.TCPListener)
	for _, l := range []*net.TCPListener{m.old, m.moved} {
		_ = l.SetDeadline(time.Now().Add(patience))
	}
	addr := net.JoinHostPort(peerName, m.port)
	m.book.set(2, Peer{Election: []string{addr}, Quorum: []string{addr}})
	if m.tr, err = Listen(testOptions(5, m.rec, m.book)); err != nil {
		t.Fatal(err)
	}
	m.tr.resolver = m.names.resolver()
	m.tr.Start()
	t.Cleanup(func() { shutdown(t, m.tr) })
	return m
}

func (m *movable) vote(round int64) {
	v := vote(5)
	v.To, v.Round = 2, round
	m.tr.Send([]zab.Message{v})
}

// called takes the election connection that server 5 makes, and the vote on it.
func (m *movable) called(t *testing.T, l net.Listener, round int64) net.Conn {
	t.Helper()
	nc := accept(t, l)
	if in, err := readInitial(nc); err != nil || in.sid != 5 {
		t.Fatalf("%+v, %v", in, err)
	}
	if got := readVote(t, nc).Round; got != round {
		t.Fatalf("the vote of round %d came", got)
	}
	return nc
}

// TestQuorumNameMoves: each attempt goes where the name is then, whatever the answer before said of its age.
func TestQuorumNameMoves(t *testing.T) {
	m := newMovable(t)
	for i, place := range []struct {
		ip string
		l  net.Listener
	}{{"127.0.0.1", m.old}, {"127.0.0.2", m.moved}, {"127.0.0.1", m.old}} {
		m.names.move(place.ip)
		m.tr.Connect(2)
		accept(t, place.l)
		if got := m.rec.await(t, i+1, ofType(zab.Connected)); got.From != 2 {
			t.Errorf("connected to %d", got.From)
		}
	}
}

// TestQuorumNameIsTriedAgain: a name that does not exist is a failed attempt like another, and no more.
func TestQuorumNameIsTriedAgain(t *testing.T) {
	m := newMovable(t)
	for i := range 3 {
		before := m.names.questions()
		m.tr.Connect(2)
		m.rec.await(t, i+1, ofType(zab.ConnectFailed))
		if m.names.questions() == before {
			t.Fatal("the name was not asked for")
		}
	}
	m.names.move("127.0.0.2")
	m.tr.Connect(2)
	accept(t, m.moved)
	m.rec.await(t, 1, ofType(zab.Connected))
}

// TestElectionNameMoves: when the connection ends it is made again where the name is now. While the name does not exist a
// vote waits, and the next one tries again.
func TestElectionNameMoves(t *testing.T) {
	m := newMovable(t)
	m.names.move("127.0.0.1")
	m.vote(1)
	nc := m.called(t, m.old, 1)
	m.names.move("")
	nc.Close()
	asked := m.names.questions()
	eventually(t, "the name is asked for in vain", func() bool {
		m.vote(2)
		return m.names.questions() > asked
	})
	m.names.move("127.0.0.2")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // as the core does
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				m.vote(2)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	m.called(t, m.moved, 2)
}

// TestIdentityIsTheSid: who a server says it is counts, and not where it comes from or what its name says. It is called
// back where it says it listens, and a later connection takes the place of an older one.
func TestIdentityIsTheSid(t *testing.T) {
	m := newMovable(t) // its name does not exist
	ring := func(l net.Listener, round int64) net.Conn {
		t.Helper()
		nc := dialRaw(t, m.tr.ElectionAddr())
		if _, err := nc.Write(encodeInitial(2, l.Addr().String())); err != nil {
			t.Fatal(err)
		}
		return m.called(t, l, round)
	}
	m.vote(1)
	first := ring(m.old, 1)
	second := ring(m.moved, 1) // what may be lost with the first is said again
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the connection to where server 2 was goes on")
	}
	v := vote(2)
	v.Round = 9
	if _, err := second.Write(appendNotification(nil, &v, []byte(configText))); err != nil {
		t.Fatal(err)
	}
	m.rec.await(t, 1, func(got zab.Message) bool { return got.From == 2 && got.Round == 9 })

	// The same at the quorum port, from two addresses: both are server 2, and the core decides between them.
	for i, ip := range []string{"127.0.0.1", "127.0.0.2"} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		nc, err := d.DialContext(t.Context(), "tcp", m.tr.QuorumAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := nc.Write(appendPacket(nil, &zab.Message{Type: zab.FollowerInfo, From: 2}, true)); err != nil {
			t.Fatal(err)
		}
		if got := m.rec.await(t, i+1, ofType(zab.FollowerInfo)); got.From != 2 {
			t.Errorf("a learner at %s is taken for %d", ip, got.From)
		}
	}
}
