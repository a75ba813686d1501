package replica_test

import (
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
)

// A server that stood still has asked nobody and read nothing: no session ages by that,
// and those that nobody keeps expire a little later.
func TestStallAgesNoSession(t *testing.T) {
	w := newWorld(t, nil)
	a := w.connected(4000)
	a.must(wire.OpCreate, create("/e", "", wire.FlagEphemeral))
	w.pass(3000)
	w.stall(60_000)
	w.pass(400)
	if w.commit(); a.c.State() != replica.StateConnected {
		t.Fatal("the session expired because the server stood still")
	}
	w.pass(2800) // past the timeout and the tick it is rounded up to
	if w.commit(); a.c.State() != replica.StateClosed {
		t.Fatal("a session that nobody keeps lives on")
	}
}

// What a client has sent in time may wait to be read when its session is due.
func TestNothingExpiresUnread(t *testing.T) {
	asked, done := 0, false
	w := newWorld(t, func(o *replica.Options) {
		o.Settle = func() func() bool {
			asked++
			return func() bool { return done }
		}
	})
	a, b := w.connected(4000), w.connected(4000)
	w.pass(7000)
	if w.commit(); asked != 1 || a.c.State() != replica.StateConnected {
		t.Fatalf("asked %d times whether all is read, %v", asked, a.c.State())
	}
	if got := a.ask(wire.XidPing, wire.OpPing, nil); got.Err != wire.OK { // the reader comes to it
		t.Fatalf("%+v", got)
	}
	done = true
	w.pass(stepMillis)
	w.commit()
	if a.c.State() != replica.StateConnected || b.c.State() != replica.StateClosed {
		t.Fatalf("the one that was heard %v, the silent one %v", a.c.State(), b.c.State())
	}
}

// A client that is not read because its writes are not done yet does not expire by that.
func TestNothingExpiresUnheard(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.QueueLimit = 2 })
	a := w.connected(4000)
	for i := range int32(3) {
		if _, err := a.send(request(i+1, wire.OpCreate, create("/x", "", 0))); err != nil {
			t.Fatal(err)
		}
	}
	proposed := w.log.Len()
	w.pass(20_000)
	if w.log.Len() != proposed {
		t.Fatal("the session expired while its requests were being carried out")
	}
	w.commit()
	w.pass(7000)
	if w.commit(); a.c.State() != replica.StateClosed {
		t.Fatal("a session that nobody keeps lives on")
	}
}

// The leader of an ensemble stands still, for longer than a session of a follower's client
// may be silent, but not so long that the followers give it up. The client is answered all
// the time, and keeps its session.
func TestStalledLeaderExpiresNobody(t *testing.T) {
	e := newTunedEnsemble(t, 3, 0, nil, func(c *zab.Config) { c.SyncLimitTicks = 1000 })
	lead := e.leader()
	g := e.guest(e.other(lead))
	g.call(1, wire.OpCreate, create("/e", "", wire.FlagEphemeral))
	ping := func(ms int) {
		for ; ms > 0; ms -= 50 {
			if ms%500 == 0 {
				g.feed(request(wire.XidPing, wire.OpPing, nil))
				g.answers()
			}
			e.tick()
			e.settle()
		}
	}
	ping(3000)
	e.members[lead].stalled = true
	ping(20_000)
	e.members[lead].stalled = false
	ping(5000)
	if st := e.members[lead].m.Status(); st.Role != zab.Leading || g.c.State() != replica.StateConnected {
		t.Fatalf("the leader is %v, the client %v", st.Role, g.c.State())
	}
	if n := e.members[lead].m.Replica().Stats.SessionsExpired.Load(); n != 0 {
		t.Fatalf("%d sessions expired", n)
	}
	for range 16_000 / 50 { // nobody keeps it any more
		e.tick()
		e.settle()
	}
	if g.c.State() != replica.StateClosed {
		t.Fatal("a session that nobody keeps lives on")
	}
}

// What a learner reports counts when it has come before the tick at which a session is
// due, although the loop passes the tick before it delivers anything.
func TestReportsComeBeforeExpiry(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	g := e.guest(e.other(lead))
	var report zab.Message
	e.drop = func(to int64, m zab.Message) bool {
		if to == lead && m.Type == zab.Ping && len(m.Data) > 0 {
			report = m
			return true
		}
		return false
	}
	l := e.members[lead]
	due := func() bool {
		sets := l.m.Replica().SessionSets()
		return len(sets) > 0 && e.time.Mono+50 >= sets[0].Deadline
	}
	for !due() {
		g.feed(request(wire.XidPing, wire.OpPing, nil))
		g.answers()
		e.tick()
		e.settle()
	}
	l.m.Step(report, e.time)
	e.tick()
	e.settle()
	if n := l.m.Replica().Stats.SessionsExpired.Load(); n != 0 || due() {
		t.Fatalf("%d sessions expired", n)
	}
}

// While there is no leader, clients are not read. Their local sessions, which no leader
// renews, live on.
func TestLocalSessionsOutliveElections(t *testing.T) {
	e := newTunedEnsemble(t, 3, 0,
		func(o *replica.Options) { o.LocalSessions, o.TickMillis, o.SessionMillisMax = true, 500, 1000 },
		func(c *zab.Config) { c.NotifyMinTicks, c.NotifyMaxTicks, c.PingTicks, c.SyncLimitTicks = 2, 4, 5, 20 })
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	third := e.other(lead, at)
	e.kill(lead)
	e.kill(third)
	ping := request(wire.XidPing, wire.OpPing, nil)
	for range 3000 / 50 { // less than the patience of clients
		e.tick()
		e.settle()
		g.feed(ping)
	}
	e.members[third].down = false
	e.run(func() bool { return e.members[at].m.Serving() })
	g.feed(nil)
	g.answers()
	g.call(1, wire.OpGetData, unwatched("/"))
	if n := e.members[at].m.Replica().LocalSessions(); n != 1 {
		t.Fatalf("%d local sessions", n)
	}
}

// A client whose requests wait to be read when it leaves is not known to have been silent.
func TestNothingExpiresForWhatIsLeftUnread(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.QueueLimit = 1 })
	a := w.connected(4000)
	if _, err := a.send(request(1, wire.OpCreate, create("/x", "", 0))); err != nil {
		t.Fatal(err)
	}
	w.pass(3800)
	if err := w.r.Submit(&w.log, &replica.Submission{Kind: replica.SubmitDetach, Client: a.c}, w.time); err != nil {
		t.Fatal(err)
	}
	w.commit()
	w.pass(3800)
	if w.log.Len() != 0 {
		t.Fatal("the session expired before the server could have heard from its client")
	}
	w.pass(2400)
	if w.log.Len() == 0 {
		t.Fatal("a session that nobody keeps lives on")
	}
}

// What a learner has heard from a client that is gone is reported as well.
func TestLastWordsAreReported(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	at := e.other(lead)
	g := e.guest(at)
	told := int64(0)
	e.drop = func(to int64, m zab.Message) bool {
		if to == lead && m.Type == zab.Ping && len(m.Data) > 0 {
			told = e.time.Mono
		}
		return false
	}
	e.run(func() bool { return told != 0 })
	left := e.time.Mono + 50
	e.tick()
	g.feed(request(wire.XidPing, wire.OpPing, nil))
	e.must(e.members[at].m.Submit(&replica.Submission{Kind: replica.SubmitDetach, Client: g.c}, e.time))
	for range 2000 / 50 {
		e.tick()
		e.settle()
	}
	if told < left {
		t.Fatal("the leader was not told of the client's last request")
	}
	last := told
	for range 4000 / 50 {
		e.tick()
		e.settle()
	}
	if told != last {
		t.Fatal("it is told again and again")
	}
}
