package znode

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestCheckpointWhileTheTreeChanges writes checkpoints on a goroutine of their
// own while others load and list and one applies and evicts. Each checkpoint
// that succeeds must be the tree as it was when it began; one that fails must
// not matter to the next.
func TestCheckpointWhileTheTreeChanges(t *testing.T) {
	b := &flakyBackend{MemBackend: NewMemBackend()}
	r := openTree(t, b, 1)
	rng := rand.New(rand.NewPCG(1, 2))
	model := map[string]string{}
	paths := churnPaths()
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() { readAround(t, r.tree, paths, i, &stop) })
	}
	for round := range 60 {
		r.tree.Lock()
		c := r.tree.BeginCheckpoint()
		r.tree.Unlock()
		want := maps.Clone(model)
		b.fail = round%5 == 3
		done := make(chan error, 1)
		go func() { done <- c.Write() }()
		for range 150 {
			churn(r, rng, paths, model)
		}
		err := <-done
		for range 20 {
			churn(r, rng, paths, model)
		}
		r.tree.Lock()
		r.tree.EndCheckpoint(c, err)
		r.tree.Unlock()
		if b.fail {
			if !errors.Is(err, errFlaky) {
				t.Fatalf("round %d: %v", round, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := restingData(t, b); !maps.Equal(got, want) {
			t.Fatalf("round %d: the checkpoint is %v, want %v", round, got, want)
		}
	}
	stop.Store(true)
	wg.Wait()
	for path, data := range model {
		var n Node
		if err := r.tree.Load([]byte(path)); err != nil {
			t.Fatal(err)
		}
		if res := r.tree.Find([]byte(path), &n); res != Found || string(n.Data) != data {
			t.Errorf("%s: %v %d bytes, want %d", path, res, len(n.Data), len(data))
		}
	}
}

// churnPaths is some directories and nodes in them, parents first.
func churnPaths() []string {
	var out []string
	for d := range 4 {
		out = append(out, fmt.Sprintf("/d%d", d))
		for i := range 30 {
			out = append(out, fmt.Sprintf("/d%d/n%02d", d, i))
		}
	}
	return out
}

// churn makes one random change, and drops what can be dropped now and then.
func churn(r *treeRun, rng *rand.Rand, paths []string, model map[string]string) {
	path := paths[rng.IntN(len(paths))]
	parent, _ := SplitPath([]byte(path))
	_, exists := model[path]
	_, hasParent := model[string(parent)]
	data := fmt.Sprintf("%*d", rng.IntN(400), r.zxid)
	if rng.IntN(100) == 0 {
		data = fmt.Sprintf("%*d", 70_000+rng.IntN(10), r.zxid)
	}
	switch {
	case !exists && (hasParent || len(parent) == 1):
		r.create(path, data)
		model[path] = data
	case exists && rng.IntN(3) == 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(model)), func(p string) bool {
		up, _ := SplitPath([]byte(p))
		return string(up) == path
	}):
		r.delete(path)
		delete(model, path)
	case exists:
		r.apply(wire.OpSetData, 0, SetDataTxn{Path: []byte(path), Data: []byte(data), Version: 1}.Append(nil))
		model[path] = data
	}
	if rng.IntN(4) == 0 {
		r.tree.Lock()
		r.tree.Evict(20)
		r.tree.Unlock()
	}
}

// readAround looks nodes up and lists directories until it is told to stop.
func readAround(t *testing.T, tree *Tree, paths []string, seed int, stop *atomic.Bool) {
	for i := seed; !stop.Load(); i++ {
		path := []byte(paths[i*31%len(paths)])
		info, found, err := tree.Lookup(path)
		if err == nil && found && info.NumChildren > 0 {
			_, err = tree.list(path)
		}
		var n Node
		tree.RLock()
		if tree.Find(path, &n) == Found && DataPrefix(path, n.Data) != n.Prefix {
			err = fmt.Errorf("%s: its data is not what it was", path)
		}
		tree.RUnlock()
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// restingData is what the backend holds, without the system nodes.
func restingData(t *testing.T, b Backend) map[string]string {
	t.Helper()
	snap, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	err = snap.Walk(func(path []byte, rec *Record) error {
		if p := string(path); p != "/" && !isSystem(p) {
			out[p] = string(rec.Data)
		}
		return nil
	})
	if err := errors.Join(err, snap.Close()); err != nil {
		t.Fatal(err)
	}
	return out
}
