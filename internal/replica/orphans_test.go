package replica_test

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// A new leader ends all sessions that have left ephemerals behind, also those for which
// it has no room at first.
func TestOrphansEndWhenThereIsRoom(t *testing.T) {
	const orphans = 5
	var tree *znode.Tree
	e := newTunedEnsemble(t, 1, 0,
		func(o *replica.Options) {
			tree = o.Tree
			for i := range int64(orphans) {
				leaveOrphan(t, tree, i+1)
			}
		},
		func(c *zab.Config) {
			last := zab.MakeZxid(1, orphans)
			c.OutstandingMax = 1
			c.Boot = zab.Boot{AcceptedEpoch: 1, CurrentEpoch: 1, Base: last, Applied: last}
		})
	e.run(func() bool { return e.members[1].m.Serving() })
	e.run(func() bool { return len(tree.EphemeralSessions()) == 0 })
}

// leaveOrphan has a session that is none create an ephemeral.
func leaveOrphan(t *testing.T, tree *znode.Tree, n int64) {
	t.Helper()
	c := znode.CreateTxn{Path: []byte(fmt.Sprintf("/orphan%d", n)), ACL: wire.OpenACL, Ephemeral: true, ParentCversion: -1}
	h := znode.TxnHeader{ClientID: 1000 + n, Zxid: zab.MakeZxid(1, uint32(n)), Type: wire.OpCreate}
	tree.Lock()
	defer tree.Unlock()
	var res znode.Result
	if _, err := tree.Apply(&h, c.Append(nil, wire.OpCreate), &res, nil); err != nil || res.Code != wire.OK {
		t.Fatal(err, res.Code)
	}
}
