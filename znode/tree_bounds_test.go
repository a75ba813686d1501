package znode

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/quorate/quorate/wire"
)

// treeRun drives a tree through transactions of a test's making.
type treeRun struct {
	t    *testing.T
	tree *Tree
	zxid int64
}

func openTree(t *testing.T, b Backend, budget int64) *treeRun {
	t.Helper()
	tree, err := Open(Options{Backend: b, Digest: true, BudgetBytes: budget})
	if err != nil {
		t.Fatal(err)
	}
	r := &treeRun{t: t, tree: tree, zxid: tree.LastZxid()}
	t.Cleanup(func() {
		if err := r.tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// apply applies the next transaction, loading what it needs.
func (r *treeRun) apply(typ wire.Op, session int64, record []byte) Result {
	r.t.Helper()
	r.zxid++
	h := TxnHeader{ClientID: session, Zxid: r.zxid, Time: 1000 + r.zxid, Type: typ}
	var res Result
	for range 10_000 {
		r.tree.Lock()
		_, err := r.tree.Apply(&h, record, &res, nil)
		r.tree.Unlock()
		var absent *NotResidentError
		switch {
		case err == nil:
			return res
		case !errors.As(err, &absent):
			r.t.Fatalf("apply %v: %v", typ, err)
		}
		if err := r.tree.LoadMissing(absent); err != nil {
			r.t.Fatal(err)
		}
	}
	r.t.Fatalf("%v is never resident", typ)
	return res
}

func (r *treeRun) create(path, data string) {
	r.t.Helper()
	c := CreateTxn{Path: []byte(path), Data: []byte(data), ACL: wire.OpenACL, ParentCversion: -1}
	if res := r.apply(wire.OpCreate, 0, c.Append(nil, wire.OpCreate)); res.Code != wire.OK {
		r.t.Fatalf("create %s: %v", path, res.Code)
	}
}

func (r *treeRun) delete(path string) {
	r.t.Helper()
	if res := r.apply(wire.OpDelete, 0, DeleteTxn{Path: []byte(path)}.Append(nil)); res.Code != wire.OK {
		r.t.Fatalf("delete %s: %v", path, res.Code)
	}
}

func (r *treeRun) checkpoint() {
	r.t.Helper()
	r.tree.Lock()
	c := r.tree.BeginCheckpoint()
	r.tree.Unlock()
	err := c.Write()
	r.tree.Lock()
	r.tree.EndCheckpoint(c, err)
	r.tree.Unlock()
	if err != nil {
		r.t.Fatal(err)
	}
}

// evictAll drops everything that may be dropped.
func (r *treeRun) evictAll() {
	r.tree.Lock()
	defer r.tree.Unlock()
	for r.tree.Evict(1000) > 0 || !r.tree.Pinned() {
	}
}

// reopen forgets the tree in memory; what was not checkpointed is lost.
func (r *treeRun) reopen() {
	r.t.Helper()
	o := r.tree.opt
	if err := r.tree.Close(); err != nil {
		r.t.Fatal(err)
	}
	var err error
	if r.tree, err = Open(o); err != nil {
		r.t.Fatal(err)
	}
	r.zxid = r.tree.LastZxid()
}

// askedBackend counts the znodes that are asked for.
type askedBackend struct {
	*MemBackend
	gets int
}

func (b *askedBackend) Get(path, buf []byte, rec *Record) (bool, []byte, error) {
	b.gets++
	return b.MemBackend.Get(path, buf, rec)
}

// TestAbsentPathOfManyComponents looks for the longest path that a request
// may hold. It has half a million ancestors, none of them there; looking at
// each would hold the tree's lock for minutes.
func TestAbsentPathOfManyComponents(t *testing.T) {
	b := &askedBackend{MemBackend: NewMemBackend()}
	r := openTree(t, b, 0)
	r.create("/a", "")
	r.create("/a/a", "")
	r.create("/a/a/other", "")
	r.checkpoint()
	path := bytes.Repeat([]byte("/a"), 1<<19)
	if _, found, err := r.tree.Lookup(path); found || err != nil {
		t.Fatal(found, err)
	}
	r.reopen() // now no directory is known to be complete
	b.gets = 0
	if _, found, err := r.tree.Lookup(path); found || err != nil {
		t.Fatal(found, err)
	}
	if want := 3; b.gets != want { // /a, /a/a, and /a/a/a, which is not there
		t.Errorf("%d znodes were read to find that one is not there, want %d", b.gets, want)
	}
	c := CreateTxn{Path: path, ACL: wire.OpenACL, ParentCversion: 1}
	if res := r.apply(wire.OpCreate, 0, c.Append(nil, wire.OpCreate)); res.Code != wire.ErrNoNode {
		t.Errorf("create: %v", res.Code)
	}
}

// TestDeepestNode compares the search for the deepest live ancestor with a
// walk.
func TestDeepestNode(t *testing.T) {
	r := openTree(t, NewMemBackend(), 0)
	path := ""
	for i := range 60 {
		path += fmt.Sprintf("/%0*d", i%7+1, 0)
		r.create(path, "")
		for _, tail := range []string{"/x", "/x/y", "/x/yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy/z", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"} {
			id, end := r.tree.deepest([]byte(path + tail))
			if got := string(r.tree.nodes.path(id)); got != path || end != len(path) {
				t.Fatalf("the deepest live node on %s is %s, %d; want %s", path+tail, got, end, path)
			}
		}
	}
	if id, end := r.tree.deepest([]byte("/nothing/is/here")); id != r.tree.root || end != 0 {
		t.Errorf("the deepest live node is %d, %d, want the root", id, end)
	}
}

// TestEvictPassesNodesInUse: that the nodes the hand passes first are all in
// use does not mean that nothing can be dropped.
func TestEvictPassesNodesInUse(t *testing.T) {
	r := openTree(t, NewMemBackend(), 1)
	for i := range 2000 {
		r.create(fmt.Sprintf("/n%04d", i), "data")
	}
	r.tree.Lock()
	if n := r.tree.Evict(10); n != 0 {
		t.Errorf("%d changed nodes were dropped", n)
	}
	r.tree.Unlock()
	r.evictAll()
	if !r.tree.Pinned() {
		t.Error("everything has changed, and it is not called pinned")
	}
	r.checkpoint()
	dropped := 0
	r.tree.Lock()
	for {
		n := r.tree.Evict(10)
		if n == 0 && r.tree.Pinned() {
			break
		}
		dropped += n
	}
	r.tree.Unlock()
	if dropped < 2000 {
		t.Errorf("%d nodes were dropped", dropped)
	}
	if r.tree.DirtyBytes() != 0 {
		t.Error("and there is nothing for a checkpoint to do")
	}
}

// TestDeletedNodesDoNotPileUp deletes many nodes by each transaction.
func TestDeletedNodesDoNotPileUp(t *testing.T) {
	const each, rounds = 40, 60
	r := openTree(t, NewMemBackend(), 0)
	for round := range rounds {
		var creates, deletes []byte
		for i := range each {
			path := fmt.Appendf(nil, "/r%d-%d", round, i)
			out, mark := appendMultiOp(creates, wire.OpCreate)
			c := CreateTxn{Path: path, ACL: wire.OpenACL, ParentCversion: -1}
			creates = c.Append(out, wire.OpCreate)
			endMultiOp(creates, mark)
			out, mark = appendMultiOp(deletes, wire.OpDelete)
			deletes = DeleteTxn{Path: path}.Append(out)
			endMultiOp(deletes, mark)
		}
		r.apply(wire.OpMulti, 0, append(wire.AppendInt(nil, each), creates...))
		r.checkpoint()
		r.apply(wire.OpMulti, 0, append(wire.AppendInt(nil, each), deletes...))
		r.checkpoint()
	}
	if n := r.tree.NodeCount(); n != 4 {
		t.Errorf("%d nodes", n)
	}
	if taken := r.tree.nodes.taken; taken > 4+4*each {
		t.Errorf("%d nodes in memory after %d were deleted", taken, each*rounds)
	}
}

// TestChurnKeepsNothing creates and deletes under names that never return.
func TestChurnKeepsNothing(t *testing.T) {
	for _, between := range []int{0, 1, 7} { // checkpoints
		r := openTree(t, NewMemBackend(), 0)
		const rounds = 3000
		for i := range rounds {
			path := fmt.Sprintf("/churn-%07d", i)
			r.create(path, "some data")
			if between > 0 && i%between == 0 {
				r.checkpoint()
			}
			r.delete(path)
		}
		if taken := r.tree.nodes.taken; taken > 20 {
			t.Errorf("checkpoint every %d: %d nodes in memory", between, taken)
		}
		if n := r.tree.index.count; n > 20 {
			t.Errorf("checkpoint every %d: %d nodes in the index", between, n)
		}
		r.checkpoint()
		if f := &r.tree.freeze; f.dirty.len() > 64 || f.tombs.len() > 64 || f.reap.len() > 64 || f.spent.len() > 64 {
			t.Errorf("checkpoint every %d: lists of %d, %d and %d", between, f.dirty.len(), f.tombs.len(), f.reap.len())
		}
	}
}

// TestCheckpointCopiesInSmallPieces writes a checkpoint of large nodes.
func TestCheckpointCopiesInSmallPieces(t *testing.T) {
	r := openTree(t, NewMemBackend(), 0)
	const size = 300 << 10
	for i := range 40 {
		r.create(fmt.Sprintf("/large%02d", i), string(bytes.Repeat([]byte{byte(i)}, size)))
	}
	r.tree.Lock()
	c := r.tree.BeginCheckpoint()
	r.tree.Unlock()
	h := newHolder(r.tree)
	defer h.stop()
	w := checkpointFeed{c: c, h: h}
	w.sort()
	var ch Change
	seen := 0
	for {
		more, err := w.next(&ch)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
		if len(ch.Record.Data) == size {
			seen++
		}
		if len(w.bytes) > feedBytes+2*size {
			t.Fatalf("%d bytes are copied at a time", len(w.bytes))
		}
	}
	if seen != 40 {
		t.Errorf("%d large nodes", seen)
	}
}

// TestLargeTransactionsAskForMuchAtOnce: what a transaction about thousands of
// znodes needs is asked for in a few rounds; each one looks through all of it.
func TestLargeTransactionsAskForMuchAtOnce(t *testing.T) {
	const nodes = 5000
	r := openTree(t, NewMemBackend(), 0)
	var deletes []byte
	for i := range nodes {
		path := fmt.Appendf(nil, "/d%d", i)
		c := CreateTxn{Path: path, ACL: wire.OpenACL, ParentCversion: -1, Ephemeral: i%2 == 0}
		r.apply(wire.OpCreate, 77, c.Append(nil, wire.OpCreate))
		if i%2 == 1 {
			out, mark := appendMultiOp(deletes, wire.OpDelete)
			deletes = DeleteTxn{Path: path}.Append(out)
			endMultiOp(deletes, mark)
		}
	}
	r.checkpoint()
	r.reopen()
	for typ, record := range map[wire.Op][]byte{
		wire.OpMulti:        append(wire.AppendInt(nil, nodes/2), deletes...),
		wire.OpCloseSession: nil,
	} {
		h := TxnHeader{ClientID: 77, Zxid: r.tree.LastZxid() + 1, Type: typ}
		for round := 1; ; round++ {
			var res Result
			r.tree.Lock()
			_, err := r.tree.Apply(&h, record, &res, nil)
			r.tree.Unlock()
			if err == nil {
				break
			}
			var absent *NotResidentError
			if !errors.As(err, &absent) || round > nodes/2/missingMax+1 {
				t.Fatalf("%v, round %d: %v", typ, round, err)
			}
			if err := r.tree.LoadMissing(absent); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := r.tree.NodeCount(); n != 4 {
		t.Errorf("%d nodes", n)
	}
}

// Memory is given in whole steps, never behind the end, and nothing twice.
func TestBackUpTo(t *testing.T) {
	mem := mapBytes(3*backStep + 100)
	defer unmapBytes(mem)
	backed := 0
	for _, c := range []struct{ need, want int }{
		{1, backStep}, {backStep, backStep}, {backStep + 1, 2 * backStep}, {10, 2 * backStep}, {3*backStep + 1, len(mem)}, {len(mem), len(mem)},
	} {
		if backed = backUpTo(mem, backed, c.need); backed != c.want {
			t.Errorf("need %d: %d, want %d", c.need, backed, c.want)
		}
	}
	for i, b := range mem {
		if b != 0 {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
}
