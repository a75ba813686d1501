package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/zab"
)

// newSockets returns a socket and its other end.
func newSockets(t *testing.T) (*socket, net.Conn) {
	t.Helper()
	l := listenRaw(t)
	nc, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other := accept(t, l)
	s := takeOver(nc)
	if s == nil {
		t.Fatal("no socket")
	}
	nc.Close() // ends nothing
	t.Cleanup(func() { s.Close(); other.Close() })
	return s, other
}

func TestSocketCarriesBytes(t *testing.T) {
	s, other := newSockets(t)
	const size = 8 << 20 // more than the kernel keeps
	var wg sync.WaitGroup
	copyAll := func(w io.Writer, r io.Reader, end func() error) {
		wg.Go(func() {
			if n, err := w.Write(repeat("x", size)); n != size || err != nil {
				t.Errorf("%d bytes written: %v", n, err)
			}
			if err := end(); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if n, err := io.Copy(io.Discard, r); n != size || err != nil {
				t.Errorf("%d bytes read: %v", n, err)
			}
		})
	}
	copyAll(s, s, s.CloseWrite)
	copyAll(other, other, other.(*net.TCPConn).CloseWrite)
	wg.Wait()
	if s.LocalAddr().String() != other.RemoteAddr().String() || s.RemoteAddr().String() != other.LocalAddr().String() {
		t.Errorf("%v to %v, seen from %v", s.LocalAddr(), s.RemoteAddr(), other.RemoteAddr())
	}
}

// Whoever waits in a socket is done when it is closed or its time is up, and the descriptor is closed behind the last.
func TestSocketEndsWhileSomebodyWaits(t *testing.T) {
	full := repeat("x", 64<<20)
	for name, wait := range map[string]func(*socket) error{
		"reading": func(s *socket) error { _, err := s.Read(make([]byte, 1)); return err },
		"writing": func(s *socket) error { _, err := s.Write(full); return err },
	} {
		for how, end := range map[string]func(*socket) error{
			"closed":   (*socket).Close,
			"deadline": func(s *socket) error { return s.SetDeadline(time.Now().Add(time.Millisecond)) },
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				s, _ := newSockets(t)
				ended := make(chan error, 1)
				go func() { ended <- wait(s) }()
				eventually(t, "it waits", func() bool {
					s.mu.Lock()
					defer s.mu.Unlock()
					return s.users > 0
				})
				if err := end(s); err != nil {
					t.Fatal(err)
				}
				select {
				case err := <-ended:
					if err == nil || name == "reading" && how == "deadline" && !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("%v", err)
					}
				case <-time.After(patience):
					t.Fatal("it waits for ever")
				}
				eventually(t, "nobody uses the descriptor", func() bool {
					s.mu.Lock()
					defer s.mu.Unlock()
					return s.users == 0
				})
			})
		}
	}
}

func TestSocketIsClosed(t *testing.T) {
	s, _ := newSockets(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, read := s.Read(make([]byte, 1))
	_, write := s.Write([]byte("x"))
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"Read": read, "Write": write, "Close": s.Close(), "CloseWrite": s.CloseWrite(), "SetDeadline": s.SetDeadline(time.Now()),
		"Control": raw.Control(func(uintptr) { t.Error("a descriptor that may be another's") }),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// halting is a recorder that has connections pause that bring a REQUEST.
type halting struct{ *recorder }

func (h halting) Step(ms []zab.Message) (pause time.Duration) {
	h.recorder.Step(ms)
	if ms[0].Type == zab.Request {
		return time.Hour
	}
	return 0
}

// A connection that is not to be read for a while keeps nobody else from being read.
func TestPauseIsOfOneConnection(t *testing.T) {
	b, leader := newBook(), newRecorder()
	start(t, testOptions(1, halting{leader}, b), b)
	learners := map[int64]*Transport{2: nil, 3: nil}
	conns := map[int64]zab.ConnID{}
	for sid := range learners {
		rec := newRecorder()
		learners[sid] = start(t, testOptions(sid, rec, b), b)
		learners[sid].Connect(1)
		conns[sid] = rec.await(t, 1, ofType(zab.Connected)).Conn
		learners[sid].Send([]zab.Message{{Type: zab.FollowerInfo, Conn: conns[sid]}})
	}
	leader.await(t, 2, ofType(zab.FollowerInfo))
	say := func(sid int64, ty zab.Type, zxid int64) {
		learners[sid].Send([]zab.Message{{Type: ty, Conn: conns[sid], Zxid: zxid, Data: []byte("12345678901234567890")}})
	}
	say(2, zab.Request, 0)
	leader.await(t, 1, ofType(zab.Request))
	say(2, zab.Ack, 1)
	const n = 100
	for i := range int64(n) {
		say(3, zab.Ack, 10+i)
		leader.await(t, 1, func(m zab.Message) bool { return m.Type == zab.Ack && m.Zxid == 10+i })
	}
	for _, m := range leader.messages() {
		if m.Type == zab.Ack && m.From == 2 {
			t.Error("the connection was read in its pause")
		}
	}
}

// keeping is a recorder that keeps whoever brings an ACK until it is let go.
type keeping struct {
	*recorder
	mu    sync.Mutex
	acks  bool
	kept  chan struct{} // one for each that is kept
	letGo chan struct{}
}

func (k *keeping) Step(ms []zab.Message) time.Duration {
	k.mu.Lock()
	k.acks = k.acks || ms[0].Type == zab.Ack
	k.mu.Unlock()
	return k.recorder.Step(ms)
}

func (k *keeping) Settle() {
	k.mu.Lock()
	keep := k.acks
	k.acks = false
	k.mu.Unlock()
	if keep {
		k.kept <- struct{}{}
		<-k.letGo
	}
}

// A handler that does not come back, because its disk hangs, keeps nobody from being heard; and when it comes back there is
// one reader, not two.
func TestReaderIsRelieved(t *testing.T) {
	rec := newRecorder()
	k := &keeping{recorder: newRecorder(), kept: make(chan struct{}, 10), letGo: make(chan struct{})}
	b := newBook()
	leader := start(t, testOptions(3, k, b), b)
	learner := start(t, testOptions(4, rec, b), b)
	learner.Connect(3)
	conn := rec.await(t, 1, ofType(zab.Connected)).Conn
	say := func(ty zab.Type, zxid int64) {
		learner.Send([]zab.Message{{Type: ty, Conn: conn, Zxid: zxid, Data: []byte("12345678901234567890")}})
	}
	say(zab.FollowerInfo, 0)
	k.await(t, 1, ofType(zab.FollowerInfo))
	for round := range int64(3) {
		say(zab.Ack, round)
		<-k.kept
		leader.Relieve() // it may have begun only now
		before := shiftOf(leader)
		leader.Relieve()
		if shiftOf(leader) != before+1 {
			t.Fatalf("round %d: nobody goes on", round)
		}
		leader.Relieve()
		leader.Relieve()
		if shiftOf(leader) != before+1 {
			t.Errorf("round %d: a reader that nobody keeps is relieved", round)
		}
		say(zab.Request, round)
		k.await(t, int(round)+1, ofType(zab.Request))
		k.letGo <- struct{}{}
	}
	const n = 2000
	for i := range int64(n) {
		say(zab.Ping, i)
	}
	k.await(t, n, ofType(zab.Ping))
	next := int64(0)
	for _, m := range k.messages() {
		if m.Type == zab.Ping {
			if m.Zxid != next {
				t.Fatalf("ping %d came in the place of %d", m.Zxid, next)
			}
			next++
		}
	}
}

func shiftOf(t *Transport) int {
	t.readers.mu.Lock()
	defer t.readers.mu.Unlock()
	return t.readers.shift
}
