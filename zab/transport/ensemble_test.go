package transport

import (
	"fmt"
	"slices"
	"testing"

	"github.com/quorate/quorate/zab"
)

// TestEnsemble: real cores over real sockets elect, commit, lose connections and servers, and come back by each way of
// synchronization.
func TestEnsemble(t *testing.T) {
	e := newEnsemble(t, 1, 2, 3)
	e.tune = func(c *zab.Config, _ *Options) { c.WindowTxns = 4 }
	for _, id := range []int64{1, 2, 3} {
		e.launch(id)
	}
	e.propose(50, 100)

	t.Run("connection lost", func(t *testing.T) {
		leader := e.leader()
		before := len(leader.how())
		leader.tr.mu.RLock()
		for _, c := range leader.tr.conns {
			c.nc.Close()
			break
		}
		leader.tr.mu.RUnlock()
		eventually(t, "a learner joins again", func() bool { return len(leader.how()) > before })
		if how := leader.how(); how[len(how)-1] != "DIFF" {
			t.Errorf("joined by %v", how)
		}
		e.propose(10, 100)
	})
	t.Run("log range", func(t *testing.T) {
		leader := e.leader()
		id := e.follower()
		e.nodes[id].halt()
		old := e.nodes[id]
		delete(e.nodes, id)
		e.propose(200, 3000)
		e.nodes[id] = old
		e.launch(id)
		e.propose(1, 1)
		if how := leader.how(); how[len(how)-1] != "DIFF from disk" || leader.store.count("ranges") == 0 {
			t.Errorf("joined by %v", how)
		}
	})
	t.Run("snapshot", func(t *testing.T) {
		leader := e.leader()
		var z int64
		leader.call(func() {
			z = leader.core.Status().Committed
			leader.store.purge(z)
			leader.core.Purged(z)
		})
		e.propose(20, 100) // moves the window on
		o := e.launch(7)   // an observer
		e.propose(5, 100)
		if how := leader.how(); how[len(how)-1] != "SNAP" || leader.store.count("sent") != 1 || o.store.count("received") != 1 {
			t.Errorf("joined by %v", how)
		}
	})
	t.Run("leader lost", func(t *testing.T) {
		old := e.leader()
		old.halt()
		delete(e.nodes, old.id)
		e.propose(5, 100)
		e.nodes[old.id] = old
		e.launch(old.id)
		e.propose(5, 100)
	})
	t.Run("forwarded", func(t *testing.T) {
		leader := e.leader()
		n := e.nodes[e.follower()]
		before := len(leader.history())
		n.call(func() {
			for i := range 20 {
				if err := n.core.Forward(zab.Request, fmt.Appendf(nil, "from %d: %d", n.id, i), nil); err != nil {
					t.Error(err)
				}
			}
		})
		eventually(t, "all are committed", func() bool { return len(leader.history()) == before+20 })
		h := leader.history()
		e.agree(h[len(h)-1].Zxid)
		if got := string(h[before+19].Data); got != fmt.Sprintf("from %d: 19", n.id) {
			t.Errorf("the last is %q", got)
		}
	})
}

// follower returns the sid of a voter that does not lead.
func (e *ensemble) follower() int64 {
	leader := e.leader()
	for _, id := range e.q.Voters() {
		if id != leader.id {
			return id
		}
	}
	panic("no follower")
}

func (n *node) how() (how []string) {
	n.see(func() bool { how = slices.Clone(n.joined); return true })
	return how
}

func (n *node) history() (h []zab.Entry) {
	n.see(func() bool { h = slices.Clone(n.tree); return true })
	return h
}

// TestTwoServers: with sids in either order of their start.
func TestTwoServers(t *testing.T) {
	for _, order := range [][]int64{{1, 2}, {2, 1}} {
		t.Run(fmt.Sprint("order=", order), func(t *testing.T) {
			e := newEnsemble(t, 1, 2)
			for _, id := range order {
				e.launch(id)
			}
			e.propose(10, 10)
		})
	}
}
