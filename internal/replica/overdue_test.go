package replica_test

import (
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
)

// lateLearner is a client of a learner that is about to stand still. Its session times out after 10 s.
type lateLearner struct {
	*ensemble
	g        *guest
	lead, at int64
}

func newLateLearner(t *testing.T, syncLimitTicks int) *lateLearner {
	e := newTunedEnsemble(t, 3, 0, nil, func(c *zab.Config) { c.SyncLimitTicks = syncLimitTicks })
	l := &lateLearner{ensemble: e, lead: e.leader()}
	l.at = e.other(l.lead)
	l.g = e.guest(l.at)
	l.g.call(1, wire.OpCreate, create("/e", "", wire.FlagEphemeral))
	l.pass(3000, true)
	return l
}

// pass lets time pass. The client pings, if it does, and is answered, whatever the loop of its server does.
func (l *lateLearner) pass(ms int, pings bool) {
	for ; ms > 0; ms -= 50 {
		if pings && ms%500 == 0 {
			l.g.feed(request(wire.XidPing, wire.OpPing, nil))
			l.g.answers()
		}
		l.tick()
		l.settle()
	}
}

func (l *lateLearner) expired() int64 {
	return l.members[l.lead].m.Replica().Stats.SessionsExpired.Load()
}

// The learner stands still for twice the timeout of a session, but not so long that the leader gives it up. Its clients
// are answered all the time.
func TestStalledLearnerExpiresNobody(t *testing.T) {
	l := newLateLearner(t, 1000)
	l.members[l.at].stalled = true
	l.pass(20_000, true)
	l.members[l.at].stalled = false
	l.pass(5000, true)
	if l.expired() != 0 || l.g.c.State() != replica.StateConnected {
		t.Fatalf("%d sessions expired, the client is %v", l.expired(), l.g.c.State())
	}
	l.pass(14_000, false)
	if l.expired() != 1 {
		t.Fatal("a session that nobody keeps lives on")
	}
}

// One that stands still and has heard nothing tells so when it goes on, and then its sessions end.
func TestStalledLearnerKeepsNobodyForLong(t *testing.T) {
	l := newLateLearner(t, 1000)
	l.members[l.at].stalled = true
	l.pass(20_000, false)
	if l.expired() != 0 {
		t.Fatal("the session expired before its server could tell of it")
	}
	l.members[l.at].stalled = false
	l.pass(200, false)
	if l.expired() != 1 {
		t.Fatal("a session that nobody keeps lives on")
	}
}

// A learner that is given up has kept its clients until then. They have their timeout to find another server.
func TestSessionsOutliveTheirLateLearner(t *testing.T) {
	l := newLateLearner(t, 300)
	l.members[l.at].stalled = true
	for learners := 2; learners == 2; learners = l.members[l.lead].m.Status().Learners {
		l.pass(500, true)
	}
	l.pass(9500, false)
	if l.expired() != 0 {
		t.Fatal("the session expired although its server had answered the client a moment ago")
	}
	l.pass(4000, false)
	if l.expired() != 1 {
		t.Fatal("a session that nobody keeps lives on")
	}
}

// A server that is dead keeps nobody, whether its connection has ended or nothing is acknowledged on it.
func TestSessionsOfADeadLearnerExpire(t *testing.T) {
	for name, end := range map[string]func(l *lateLearner){
		"killed": func(l *lateLearner) { l.kill(l.at) },
		"cut off": func(l *lateLearner) {
			l.members[l.at].stalled, l.cutOff = true, l.at
		},
	} {
		l := newLateLearner(t, 1000)
		end(l)
		l.pass(8500, false)
		if l.expired() != 0 {
			t.Errorf("%s: the session expired early", name)
		}
		l.pass(6000, false)
		if l.expired() != 1 {
			t.Errorf("%s: the session of a dead server lives on", name)
		}
	}
}

// A session that comes to the leader is given to its client when the transaction is committed that says so. Its timeout
// begins anew then, and not when it was asked for.
func TestTimeoutBeginsWhenASessionIsGiven(t *testing.T) {
	e := newTunedEnsemble(t, 3, 0, nil, func(c *zab.Config) { c.SyncLimitTicks = 1000 })
	lead := e.leader()
	at := e.other(lead)
	resp := e.dial(at).join()
	l := lateLearner{ensemble: e, lead: lead}
	l.pass(2000, false) // until the leader knows all that was heard there
	for id, m := range e.members {
		m.stalled = id != lead
	}
	again := e.dial(lead)
	again.feed(frame((&wire.ConnectRequest{SessionID: resp.SessionID, Passwd: resp.Passwd, TimeOut: resp.TimeOut}).Append(nil)))
	wait := int(resp.TimeOut) / 2
	l.pass(wait, false)
	for _, m := range e.members {
		m.stalled = false
	}
	e.settle()
	if again.c.State() != replica.StateConnected {
		t.Fatalf("the client is %v", again.c.State())
	}
	l.pass(int(resp.TimeOut)-1000, false)
	if l.expired() != 0 {
		t.Fatal("the session expired before its timeout")
	}
	l.pass(3000, false)
	if l.expired() != 1 {
		t.Fatal("the session did not expire")
	}
}

// A session that waits for a learner's word is alive, and seen by those who look at the leader's sessions.
func TestOverdueSessionsAreSeen(t *testing.T) {
	l := newLateLearner(t, 1000)
	l.members[l.at].stalled = true
	l.pass(15_000, true)
	seen := 0
	for _, set := range l.members[l.lead].m.Replica().SessionSets() {
		seen += len(set.IDs)
	}
	if seen != 1 || l.expired() != 0 {
		t.Errorf("%d sessions are seen, %d expired", seen, l.expired())
	}
}
