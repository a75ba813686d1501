package zabtest

import (
	"fmt"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
)

// Checker knows what has happened in the whole cluster and compares it with the invariants of Zab.tla and of the
// system specification. Names in capitals are theirs.
type Checker struct {
	truth     quorum.Verifier // the real quorums, whatever the cores were told
	leaders   map[int64]int64 // established leader by epoch
	proposed  map[int64]string
	committed []zab.Entry // the one history
	lastOf    map[string]int
	scripted  bool // a server played by a trace may lead: what it has committed shows first where it is applied
	faults    []string
}

func newChecker(q quorum.Verifier) *Checker {
	return &Checker{truth: q, leaders: map[int64]int64{}, proposed: map[int64]string{}, lastOf: map[string]int{}}
}

func (k *Checker) fault(format string, args ...any) {
	if len(k.faults) < 10 {
		k.faults = append(k.faults, fmt.Sprintf(format, args...))
	}
}

// onPropose: a zxid is given once, by one leader, for one transaction (LOCAL PRIMARY ORDER, INTEGRITY).
func (k *Checker) onPropose(n *node, z int64, data string) {
	if old, ok := k.proposed[z]; ok {
		k.fault("integrity: %d proposes %q as %s, which is %q", n.id, data, short(z), old)
	}
	if id, ok := k.leaders[zab.Epoch(z)]; !ok || id != n.id {
		k.fault("primary order: %d proposes %s without leading epoch %d", n.id, short(z), zab.Epoch(z))
	}
	k.proposed[z] = data
}

// onServe: one established leader per epoch (LEADERSHIP), which has delivered all that earlier ones committed before
// it broadcasts (PRIMARY INTEGRITY); whoever serves has a prefix of the one history (PREFIX CONSISTENCY).
func (k *Checker) onServe(n *node, s zab.Status) {
	if s.Role == zab.Leading {
		if id, ok := k.leaders[s.CurrentEpoch]; ok {
			k.fault("leadership: epoch %d is led by %d and by %d", s.CurrentEpoch, id, n.id)
		}
		k.leaders[s.CurrentEpoch] = n.id
		// The last acknowledgement may be late, and a later epoch established before it arrives: only what earlier
		// epochs committed must be here.
		if n := len(n.tree); n < len(k.committed) && zab.Epoch(k.committed[n].Zxid) < s.CurrentEpoch {
			k.fault("primary integrity: epoch %d begins with %d transactions, without %s", s.CurrentEpoch, n, short(k.committed[n].Zxid))
		}
		// A snapshot of a leader that was never established may have brought transactions that are committed only now.
		for i := len(k.committed); i < len(n.tree); i++ {
			k.onCommit(n, i, n.tree[i])
		}
	}
	for i, e := range n.tree {
		k.agree(n, i, e)
	}
}

// onCommit: n applies e as its i-th transaction. The first server to do so fixes the history.
func (k *Checker) onCommit(n *node, i int, e zab.Entry) {
	if i > len(k.committed) {
		k.fault("prefix consistency: %d applies %s as number %d of %d", n.id, short(e.Zxid), i, len(k.committed))
		return
	}
	if i < len(k.committed) {
		k.agree(n, i, e)
		return
	}
	if i > 0 && !zab.Follows(k.committed[i-1].Zxid, e.Zxid) {
		k.fault("total order: %s is committed after %s", short(e.Zxid), short(k.committed[i-1].Zxid))
	}
	if p, ok := k.proposed[e.Zxid]; !ok || p != string(e.Data) {
		k.fault("integrity: %d commits %s=%s, proposed was %q", n.id, short(e.Zxid), e.Data, p)
	}
	k.inOrder(e)
	k.committed = append(k.committed, e)
}

// agree: the i-th transaction is the same everywhere (AGREEMENT, TOTAL ORDER).
func (k *Checker) agree(n *node, i int, e zab.Entry) {
	if i >= len(k.committed) && k.scripted {
		k.committed = append(k.committed, e)
	} else if i >= len(k.committed) {
		k.fault("prefix consistency: %d serves %s, number %d, of %d committed", n.id, short(e.Zxid), i, len(k.committed))
	} else if g := k.committed[i]; g.Zxid != e.Zxid || string(g.Data) != string(e.Data) {
		k.fault("agreement: number %d is %s=%s at %d, committed was %s=%s", i, short(e.Zxid), e.Data, n.id, short(g.Zxid), g.Data)
	}
}

// inOrder: the requests of one client are committed in their order, none twice. Data of the form client:number is
// such a request.
func (k *Checker) inOrder(e zab.Entry) {
	var client string
	var number int
	if _, err := fmt.Sscanf(string(e.Data), "%s %d", &client, &number); err != nil {
		return
	}
	if number <= k.lastOf[client] {
		k.fault("session order: %q is committed after number %d", e.Data, k.lastOf[client])
	}
	k.lastOf[client] = number
}

// everyStep: what is committed is durable on a quorum, now and for ever; epochs stand in order.
func (k *Checker) everyStep(c *Cluster) {
	for _, n := range c.nodes {
		n.extendMatch(k.committed)
		if d := &n.disk.synced; d.current > d.accepted {
			k.fault("epochs: %d has currentEpoch %d above acceptedEpoch %d", n.id, d.current, d.accepted)
		}
	}
	if len(k.committed) == 0 {
		return
	}
	if !k.truth.IsQuorum(func(id int64) bool { return c.node(id).scripted || c.node(id).match >= len(k.committed) }) {
		k.fault("durability: %s is committed, but not durable on a quorum", short(k.committed[len(k.committed)-1].Zxid))
	}
}

// extendMatch counts how much of the committed history is durable here.
func (n *node) extendMatch(committed []zab.Entry) {
	d := &n.disk.synced
	if d.len() < n.match || n.matchVoid {
		n.match, n.matchVoid = 0, false
	}
	for n.match < len(committed) && n.match < d.len() {
		a, b := d.at(n.match), committed[n.match]
		if a.Zxid != b.Zxid || string(a.Data) != string(b.Data) {
			return
		}
		n.match++
	}
}
