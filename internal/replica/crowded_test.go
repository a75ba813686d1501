package replica_test

import (
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// TestReadsOverBudgetAreReported: a workload of reads alone fills the memory,
// and nothing else would tell the loop before its next tick.
func TestReadsOverBudgetAreReported(t *testing.T) {
	crowded := 0
	w := newWorld(t, func(o *replica.Options) {
		tree, err := znode.Open(znode.Options{Backend: znode.NewMemBackend(), Digest: true, BudgetBytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		o.Tree, o.Crowded = tree, func() { crowded++ }
	})
	p := w.connected(4000)
	p.must(wire.OpCreate, create("/a", "data", 0))
	tree := w.r.Tree()
	c := tree.BeginCheckpoint()
	tree.EndCheckpoint(c, c.Write())
	for tree.Evict(10) > 0 || !tree.Pinned() {
	}
	crowded = 0
	if got := p.must(wire.OpGetData, unwatched("/a")).data(); got != "data" {
		t.Fatal(got)
	}
	if crowded == 0 {
		t.Error("a read brought the tree over its budget, and nobody was told")
	}
}
