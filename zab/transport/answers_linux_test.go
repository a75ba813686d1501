package transport

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/zab"
)

// faraway is another server as server 5 sees it: two ports, of which either may lose all that comes.
type faraway struct {
	sid              int64
	tr               *Transport
	rec              *recorder
	election, quorum net.Listener
}

func newFaraway(t *testing.T, sid int64, election, quorum net.Listener) *faraway {
	b := newBook()
	f := &faraway{sid: sid, rec: newRecorder(), election: election, quorum: quorum}
	b.set(sid, Peer{Election: []string{f.election.Addr().String()}, Quorum: []string{f.quorum.Addr().String()}})
	o := testOptions(5, f.rec, b)
	o.CnxTimeout = 2 * unansweredAfter
	f.tr = start(t, o, b)
	return f
}

// votes has the vote of server 5 written, or a connection dialled to write it to.
func (f *faraway) votes() {
	m := vote(5)
	m.To = f.sid
	f.tr.Send([]zab.Message{m})
}

// linked returns the other end of the election connection, with nothing left unread.
func (f *faraway) linked(t *testing.T) net.Conn {
	t.Helper()
	f.votes()
	_ = f.election.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	nc := accept(t, f.election)
	if _, err := readInitial(nc); err != nil {
		t.Fatal(err)
	}
	readVote(t, nc)
	return nc
}

// A leader that answers neither its quorum port nor what leaves on the election channel is told of before the attempt is
// given up.
func TestLeaderThatAnswersNothing(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T) *faraway{
		"while it is connected": func(t *testing.T) *faraway {
			f := newFaraway(t, 2, listenRaw(t), deadPort(t))
			blackHole(t, f.linked(t))
			return f
		},
		"while it is connected and has called": func(t *testing.T) *faraway {
			f := newFaraway(t, 7, listenRaw(t), deadPort(t))
			nc := dialRaw(t, f.tr.ElectionAddr())
			if _, err := nc.Write(encodeInitial(7, f.election.Addr().String())); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the connection is there", func() bool { return len(f.tr.Peers()) == 1 })
			blackHole(t, nc)
			return f
		},
		"while it is dialled": func(t *testing.T) *faraway { return newFaraway(t, 2, deadPort(t), deadPort(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := prepare(t)
			f.votes()
			f.tr.Connect(f.sid)
			if m := f.rec.await(t, 1, ofType(zab.Unanswered)); m.From != f.sid {
				t.Errorf("it is said of %d", m.From)
			}
			f.rec.await(t, 1, ofType(zab.ConnectFailed))
			if all := f.rec.messages(); f.count(zab.Unanswered) != 1 || all[0].Type != zab.Unanswered {
				t.Errorf("told %+v", all)
			}
		})
	}
}

func (f *faraway) count(ty zab.Type) (n int) {
	for _, m := range f.rec.messages() {
		if m.Type == ty {
			n++
		}
	}
	return n
}

// One port that answers is a machine that can be reached, and a refusal is an answer.
func TestLeaderThatAnswersSomething(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T) *faraway{
		"the election connection does": func(t *testing.T) *faraway {
			f := newFaraway(t, 2, listenRaw(t), deadPort(t))
			f.linked(t)
			return f
		},
		"the election port refuses": func(t *testing.T) *faraway {
			f := newFaraway(t, 2, listenRaw(t), deadPort(t))
			f.election.Close()
			return f
		},
		"the quorum port refuses": func(t *testing.T) *faraway {
			f := newFaraway(t, 2, listenRaw(t), listenRaw(t))
			blackHole(t, f.linked(t))
			f.quorum.Close()
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := prepare(t)
			f.votes()
			f.tr.Connect(f.sid)
			f.rec.await(t, 1, ofType(zab.ConnectFailed))
			if slices.ContainsFunc(f.rec.messages(), ofType(zab.Unanswered)) {
				t.Error("it is said to answer nothing")
			}
		})
	}
}

// Whoever answers nothing may still acknowledge: a process that stands still does, and a machine that is cut off does not.
func TestReachesAProcessThatStandsStill(t *testing.T) {
	b, rec := newBook(), newRecorder()
	o := testOptions(5, rec, b)
	o.TickTime, o.SyncLimit = 200*time.Millisecond, 100
	leader := start(t, o, b)
	nc := dialRaw(t, leader.QuorumAddr())
	if _, err := nc.Write(appendPacket(nil, &zab.Message{Type: zab.FollowerInfo, From: 2}, true)); err != nil {
		t.Fatal(err)
	}
	id := rec.await(t, 1, ofType(zab.FollowerInfo)).Conn
	ping := func() { leader.Send([]zab.Message{{Type: zab.Ping, Conn: id}}) }
	for end := time.Now().Add(5 * o.TickTime); time.Now().Before(end); time.Sleep(o.TickTime / 4) {
		ping() // which nobody reads
		if !leader.Reaches(id) {
			t.Fatal("it is not reached")
		}
	}
	blackHole(t, nc)
	eventually(t, "it is not reached any more", func() bool {
		ping()
		return !leader.Reaches(id)
	})
	if slices.ContainsFunc(rec.messages(), ofType(zab.Disconnected)) {
		t.Error("the connection has ended")
	}
	nc.Close()
	if leader.Reaches(id + 1) {
		t.Error("a connection that never was is reached")
	}
}
