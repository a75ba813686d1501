package server

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// TestEnsembleSendsSnapshots: a member that was away while the others purged
// their logs gets a snapshot, serves from it, and again after a restart and
// another absence; so does one that has lost everything and is an observer.
func TestEnsembleSendsSnapshots(t *testing.T) {
	g := newTeam(t, 3, 1)
	g.change = func(c *Config) {
		c.SnapCount, c.LogRetainBytes, c.PreallocBytes = 20, 1, -1
		c.Ensemble.CommitLogCount = 5
	}
	g.startAll()
	lead := g.leader()
	away := []int64{g.other(lead, 4), 4}
	written := 0
	for round := range 2 {
		for _, id := range away {
			g.up[id].stop()
			delete(g.up, id)
		}
		c := g.up[lead].client()
		for range 150 {
			c.create(name("/n%d", written), "some data that makes the log grow")
			written++
		}
		for _, id := range away {
			r := g.start(id)
			g.leader()
			d := r.client()
			d.must(wire.OpSync, wire.AppendString(nil, "/"))
			if n := len(d.children("/")); n != written+1 {
				t.Fatalf("round %d: server %d has %d znodes below the root, want %d", round, id, n, written+1)
			}
			h := r.s.history
			if h.place.Installs != int64(round+1) || h.place.State != placeWhole {
				t.Errorf("round %d: server %d is at %+v", round, id, h.place)
			}
			if trees, err := h.o.Store.Siblings(); err != nil || !slices.Contains(trees, h.place.Tree) {
				t.Errorf("trees %v, %v", trees, err)
			}
		}
	}
	g.sameDigests(t)
}

// sameDigests stops all members and compares their trees at rest.
func (g *team) sameDigests(t *testing.T) {
	digests := map[uint64][]int64{}
	for id, r := range g.up {
		cfg := r.s.cfg
		r.stop()
		delete(g.up, id)
		rep, err := Check(cfg)
		if err != nil {
			t.Fatalf("server %d: %v", id, err)
		}
		if rep.Znodes < 300 {
			t.Errorf("server %d: %+v", id, rep)
		}
		digests[rep.Digest] = append(digests[rep.Digest], id)
	}
	if len(digests) != 1 {
		t.Errorf("digests %v", digests)
	}
}

// TestEnsembleLeaderSendsItsTail: a member that was elected with transactions of
// which nobody knew whether they are committed sends them in the snapshot for a
// member that was away.
func TestEnsembleLeaderSendsItsTail(t *testing.T) {
	g := newTeam(t, 2, 0)
	all := entriesOf(zx(1, 1), 40, 0)
	for id := int64(1); id <= 2; id++ {
		o := historyOptions{DataDir: filepath.Join(g.dir, name("%d", id)), Rules: znode.Rules{}}
		o.LogDir, o.Log.PreallocBytes = o.DataDir, -1
		h := mustHistory(t, o)
		ws := []zab.Write{{Kind: zab.WriteAcceptedEpoch, Epoch: 1}, {Kind: zab.WriteCurrentEpoch, Epoch: 1}}
		if id == 2 { // the other is new
			mustWriteHistory(t, h, append(ws, zab.Write{Kind: zab.WriteAppend, Entries: all})...)
			if err := applyEntries(h.tree(), all[:10]); err != nil {
				t.Fatal(err)
			}
			if err := checkpointNow(h.tree()); err != nil {
				t.Fatal(err)
			}
			h.place.Base = zx(1, 5) // as if it had purged
			if err := h.writePlace(); err != nil {
				t.Fatal(err)
			}
		}
		mustCloseHistory(t, h)
	}
	g.startAll()
	if lead := g.leader(); lead != 2 {
		t.Fatalf("server %d leads", lead)
	}
	c := g.up[1].client()
	if n := len(c.children("/")); n != len(all)+1 {
		t.Errorf("%d znodes below the root, want %d", n, len(all)+1)
	}
	if p := g.up[1].s.history.place; p.Installs != 1 {
		t.Errorf("the new member is at %+v", p)
	}
}
