package znode

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestTreeReadersAgainstTheApplier has readers fault nodes in while one
// goroutine applies, evicts everything it can and writes checkpoints. What a
// reader sees must be whole, and never older than what was applied before it
// looked.
func TestTreeReadersAgainstTheApplier(t *testing.T) {
	tree, err := Open(Options{Backend: NewMemBackend(), Digest: true, BudgetBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	run := &twinRun{tree: tree}
	const keys = 50
	var versions [keys]atomic.Int32
	path := func(i int) []byte { return fmt.Appendf(nil, "/k%02d", i) }
	value := func(i int, version int32) string { return fmt.Sprintf("%d:%d", i, version) }
	zxid := int64(0)
	apply := func(typ wire.Op, record []byte) {
		zxid++
		run.applyPayload(append(TxnHeader{Zxid: zxid, Time: 1, Type: typ}.Append(nil), record...))
	}
	for i := range keys {
		c := CreateTxn{Path: path(i), Data: []byte(value(i, 0)), ACL: wire.OpenACL, ParentCversion: int32(i + 1)}
		apply(wire.OpCreate, c.Append(nil, wire.OpCreate))
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for r := range 3 {
		wg.Go(func() {
			for i := r; !stop.Load(); i++ {
				k := i * 7 % keys
				before := versions[k].Load()
				if err := readVersion(tree, path(k), before, func(v int32) string { return value(k, v) }); err != nil {
					t.Error(err)
					return
				}
				if i%50 == 0 {
					if kids, err := tree.list(rootPath); err != nil || len(kids) != keys+1 {
						t.Errorf("%d children, %v", len(kids), err)
						return
					}
				}
			}
		})
	}
	for i := range 6000 {
		k := i * 13 % keys
		v := versions[k].Load() + 1
		apply(wire.OpSetData, SetDataTxn{Path: path(k), Data: []byte(value(k, v)), Version: v}.Append(nil))
		versions[k].Store(v)
		tree.Lock()
		tree.Evict(keys)
		tree.Unlock()
		if i%20 == 0 {
			tree.Lock()
			c := tree.BeginCheckpoint()
			tree.Unlock()
			werr := c.Write()
			tree.Lock()
			tree.EndCheckpoint(c, werr)
			tree.Unlock()
			if werr != nil {
				t.Error(werr)
			}
		}
	}
	stop.Store(true)
	wg.Wait()
}

// readVersion reads a node and compares it with what its version says.
func readVersion(tree *Tree, path []byte, atLeast int32, want func(version int32) string) error {
	for {
		var n Node
		tree.RLock()
		res := tree.Find(path, &n)
		data := string(n.Data)
		tree.RUnlock()
		if res == NotResident {
			if err := tree.Load(path); err != nil {
				return err
			}
			continue
		}
		if res != Found || n.Stat.Version < atLeast || data != want(n.Stat.Version) {
			return fmt.Errorf("%s: %v version %d of at least %d, data %q", path, res, n.Stat.Version, atLeast, data)
		}
		return nil
	}
}
