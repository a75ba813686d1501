package replica_test

import (
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
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
