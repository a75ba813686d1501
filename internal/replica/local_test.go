package replica_test

import (
	"slices"
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// withLocal lets local sessions become global.
func withLocal(o *replica.Options) { o.LocalSessions, o.LocalUpgrade = true, true }

// A client may close its session while that is being made a global one. It is over then,
// with what it owned.
func TestCloseWhileUpgrading(t *testing.T) {
	e := newEnsemble(t, 3, 0, withLocal)
	lead := e.leader()
	for _, at := range []int64{lead, e.other(lead)} {
		g := e.guest(at)
		g.feed(request(1, wire.OpCreate, create("/e", "", wire.FlagEphemeral)))
		g.feed(request(2, wire.OpCloseSession, nil))
		if got := g.wait(2); got[0].Err != wire.OK || got[1].Xid != 2 || got[1].Err != wire.OK {
			t.Fatalf("%+v", got)
		}
		if n := e.members[lead].m.Replica().Tree().SessionCount(); n != 0 {
			t.Fatalf("%d sessions are left of one that its client has closed", n)
		}
		if n := e.members[at].m.Replica().LocalSessions(); n != 0 {
			t.Fatalf("%d local sessions", n)
		}
	}
}

// A client may leave for another server while its session is being made a global one. It
// is told of that session when it is one.
func TestMoveWhileUpgrading(t *testing.T) {
	e := newEnsemble(t, 3, 0, withLocal)
	lead := e.leader()
	at := e.other(lead)
	for _, to := range []int64{lead, e.other(lead, at)} {
		g := e.guest(at)
		for _, id := range e.ids {
			e.members[id].held = id != lead
		}
		g.feed(request(1, wire.OpCreate, create("/e"+string(rune('0'+to)), "", wire.FlagEphemeral)))
		e.settle()
		h := e.dial(to)
		h.id, h.passwd = g.id, g.passwd
		h.feed(frame((&wire.ConnectRequest{TimeOut: 10_000, SessionID: h.id, Passwd: h.passwd}).Append(nil)))
		e.settle()
		if h.c.State() != replica.StateConnecting {
			t.Fatalf("at %d: %v before the session is there", to, h.c.State())
		}
		for _, id := range e.ids {
			e.members[id].held = false
		}
		e.run(func() bool { return h.c.State() != replica.StateConnecting })
		if h.c.State() != replica.StateConnected {
			t.Fatalf("at %d: %v", to, h.c.State())
		}
	}
}

// Who asks for a session that is being created is answered within the leader's limit of
// proposals, however many ask.
func TestManyMovesWhileUpgrading(t *testing.T) {
	e := newTunedEnsemble(t, 3, 0, withLocal, func(c *zab.Config) { c.OutstandingMax = 3 })
	lead := e.leader()
	at := e.other(lead)
	third := e.other(lead, at)
	g := e.guest(at)
	for _, id := range e.ids {
		e.members[id].held = id != lead
	}
	g.feed(request(1, wire.OpCreate, create("/e", "", wire.FlagEphemeral)))
	e.settle()
	var all []*guest
	for i := range 8 {
		h := e.dial([]int64{lead, third}[i%2])
		h.id, h.passwd = g.id, g.passwd
		h.feed(frame((&wire.ConnectRequest{TimeOut: 10_000, SessionID: h.id, Passwd: h.passwd}).Append(nil)))
		e.settle()
		all = append(all, h)
	}
	for _, id := range e.ids {
		e.members[id].held = false
	}
	e.run(func() bool {
		return !slices.ContainsFunc(all, func(h *guest) bool { return h.c.State() == replica.StateConnecting })
	})
}

// A server may ask for the same global session twice. It is opened once, and stays closed
// when it has been closed meanwhile.
func TestUpgradeTwice(t *testing.T) {
	e := newEnsemble(t, 3, 0, withLocal)
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	g.call(1, wire.OpCreate, create("/e", "", wire.FlagEphemeral))
	body := wire.AppendInt(wire.AppendLong(nil, g.id), 0)
	body = wire.AppendInt(wire.AppendInt(body, int32(wire.OpCreateSession)), 10_000)
	again := func() {
		t.Helper()
		tree := e.members[lead].m.Replica().Tree()
		before := tree.LastZxid()
		for id, l := range e.conns {
			if l.learner == at {
				e.members[lead].inbox = append(e.members[lead].inbox, zab.Message{Type: zab.Request, From: at, To: lead, Conn: id, Data: body})
			}
		}
		e.settle()
		if tree.LastZxid() != before {
			t.Fatal("a session was opened twice")
		}
	}
	again()
	g.call(2, wire.OpCloseSession, nil)
	again()
}

// A session is over when its closeSession is proposed, also if its creation is not committed yet: what another of its
// connections asks for then is not done.
func TestNothingIsWrittenBetweenCloseAndOpening(t *testing.T) {
	e := newEnsemble(t, 3, 0, withLocal)
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	for _, id := range e.ids {
		e.members[id].held = id != lead
	}
	g.feed(request(1, wire.OpCreate, create("/e", "", wire.FlagEphemeral)))
	e.settle()
	ask := func(cxid int32, op wire.Op, body []byte) {
		head := wire.AppendInt(wire.AppendInt(wire.AppendLong(nil, g.id), cxid), int32(op))
		for id, l := range e.conns {
			if l.learner == at {
				e.members[lead].inbox = append(e.members[lead].inbox, zab.Message{Type: zab.Request, From: at, To: lead, Conn: id, Data: append(head, body...)})
			}
		}
		e.settle()
	}
	ask(2, wire.OpCloseSession, nil)
	ask(3, wire.OpCreate, create("/late", "", wire.FlagEphemeral))
	for _, id := range e.ids {
		e.members[id].held = false
	}
	tree := e.members[lead].m.Replica().Tree()
	e.run(func() bool { return tree.SessionCount() == 0 && e.members[lead].m.Replica().InFlight() == 0 })
	e.settle()
	if left := tree.EphemeralSessions(); len(left) != 0 {
		t.Errorf("sessions %x have ended and own znodes", left)
	}
}

// A session that was global and has ended is not taken for a local one of some learner:
// what it asked for before the learner knew is not done.
func TestNothingIsWrittenAfterTheEnd(t *testing.T) {
	e := newTunedEnsemble(t, 3, 0, withLocal, func(c *zab.Config) { c.SyncLimitTicks = 10_000 })
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	if a := g.call(1, wire.OpCreate, create("/e", "", wire.FlagEphemeral)); a.Err != wire.OK {
		t.Fatal(a.Err)
	}
	other := e.guest(e.other(lead, at))
	other.call(1, wire.OpCreate, create("/x", "before", 0))
	sessions := func() int { return e.members[lead].m.Replica().Tree().SessionCount() }
	had := sessions()
	ping := request(wire.XidPing, wire.OpPing, nil)
	e.members[at].stalled = true
	for sessions() == had {
		e.tick()
		other.feed(ping)
		other.answers()
		e.settle()
	}
	g.feed(request(2, wire.OpSetData, setData("/x", "after"))) // it has not heard of the end
	e.members[at].stalled = false
	for range 20 {
		e.tick()
		e.settle()
	}
	a := other.call(2, wire.OpGetData, unwatched("/x"))
	if a.data() != "before" {
		t.Fatalf("a session that had ended wrote %q", a.data())
	}
}

// A server that is read-only does not show a tree that came as a snapshot from a leader
// that is not established: it may hold what nobody will commit.
func TestReadOnlyEndsWithTheTree(t *testing.T) {
	e := newEnsemble(t, 3, 0, func(o *replica.Options) { o.LinearizableReads = true })
	lead := e.leader()
	at := e.other(lead)
	n := e.members[at]
	e.kill(lead)
	e.kill(e.other(lead, at))
	e.run(func() bool { return !n.m.Serving() })
	join := func() *guest {
		g := e.dial(at)
		g.feed(frame((&wire.ConnectRequest{TimeOut: 5000, HasReadOnly: true, ReadOnly: true}).Append(nil)))
		for range 4000 / 50 {
			e.tick()
			e.settle()
			g.feed(nil)
		}
		return g
	}
	g := join()
	if len(g.take()) == 0 || g.c.State() != replica.StateConnected {
		t.Fatal("it is not read-only")
	}
	if a := g.call(1, wire.OpGetChildren, unwatched("/")); a.Err != wire.OK { // without a leader's word
		t.Fatal(a.Err)
	}
	tree, err := znode.Open(znode.Options{Backend: znode.NewMemBackend(), Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	e.must(n.m.Installed(tree, e.time))
	if g.c.State() != replica.StateClosed {
		t.Error("a client was shown one tree and then another")
	}
	if late := join(); late.c.State() == replica.StateConnected {
		t.Error("the new tree is shown to a client")
	}
}

// A session of a read-only server ends with that, also when its client is away just then:
// nobody else would know of it.
func TestReadOnlySessionsEnd(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	third := e.other(lead, at)
	e.kill(lead)
	e.kill(third)
	e.run(func() bool { return !e.members[at].m.Serving() })
	g := e.dial(at)
	g.feed(frame((&wire.ConnectRequest{TimeOut: 30_000, HasReadOnly: true, ReadOnly: true}).Append(nil)))
	e.run(func() bool {
		g.feed(nil)
		return g.c.State() == replica.StateConnected
	})
	var resp wire.ConnectResponse
	rd := wire.NewReader(g.take()[wire.FrameHeaderBytes:])
	resp.Decode(&rd)
	e.must(e.members[at].m.Submit(&replica.Submission{Kind: replica.SubmitDetach, Client: g.c}, e.time))
	e.members[third].down = false
	e.run(func() bool { return e.members[at].m.Serving() })
	h := e.dial(at)
	h.id, h.passwd = resp.SessionID, resp.Passwd
	if got := h.join(); got.SessionID != 0 || resp.SessionID == 0 {
		t.Fatalf("session %x of a read-only server is %x when there is a leader", resp.SessionID, got.SessionID)
	}
}
