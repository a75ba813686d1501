package replica_test

import (
	"testing"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// What a learner forwards and is no write gets an error and a zxid of its own. A check by itself would be in all logs,
// where some servers cannot apply it; a request that cannot be read got the zxid of the one before from a Java 3.9
// leader, which stops the ensemble.
func TestForwardedNonsenseBecomesAnError(t *testing.T) {
	e := newEnsemble(t, 3, 0, nil)
	lead := e.leader()
	a := e.other(lead)
	g := e.guest(a)
	var forwarded zab.Message
	types := map[int64]wire.Op{}
	e.drop = func(to int64, m zab.Message) bool {
		if to == lead && m.Type == zab.Request {
			forwarded = m
		}
		if to == a && m.Type == zab.Proposal {
			rd := wire.NewReader(m.Data)
			var h znode.TxnHeader
			h.Decode(&rd)
			types[m.Zxid] = h.Type
		}
		return false
	}
	if r := g.call(1, wire.OpCreate, create("/a", "", 0)); r.Err != wire.OK {
		t.Fatal(r.Err)
	}
	last := e.members[lead].m.Status().LastZxid
	head := forwarded.Data[:8:8] // the session
	for i, q := range [][]byte{
		wire.PathVersion{Path: []byte("/a"), Version: -1}.Append(wire.AppendInt(wire.AppendInt(head, 2), int32(wire.OpCheck))),
		append(wire.AppendInt(wire.AppendInt(head, 3), int32(wire.OpSetData)), 0, 0),
	} {
		m := forwarded
		m.Data = q
		e.members[lead].inbox = append(e.members[lead].inbox, m)
		e.settle()
		if zxid := last + int64(i) + 1; types[zxid] != wire.OpError || e.members[a].m.Status().Committed != zxid {
			t.Errorf("request %d became %v", i, types)
		}
	}
	e.run(func() bool { return e.sameTrees(lead) })
}
