package znode

import "fmt"

// Load brings the znode at path, or the knowledge that there is none, into
// memory, and its ancestors with it: from the top down, and no deeper than
// they exist. Any goroutine may call it without a lock.
func (t *Tree) Load(path []byte) error {
	if len(path) == 0 {
		path = rootPath
	}
	var buf []byte
	for {
		t.mu.RLock()
		_, res := t.live(path)
		var next []byte
		if res == NotResident {
			next, _ = t.horizon(path)
		}
		seq := t.freeze.seq
		t.mu.RUnlock()
		if res != NotResident {
			return nil
		}
		var rec Record
		found, out, err := t.backend.Get(next, buf, &rec)
		if err != nil {
			return fmt.Errorf("znode: reading %s: %w", next, err)
		}
		buf = out
		t.admit(next, found, &rec, seq)
	}
}

// LoadMissing loads what Apply said it needs. Locking as for Load; nothing may
// be evicted before Apply is called again.
func (t *Tree) LoadMissing(e *NotResidentError) error {
	if err := t.Load(e.Path); err != nil {
		return err
	}
	for _, path := range e.More {
		if err := t.Load(path); err != nil {
			return err
		}
	}
	return nil
}

// admit enters what the backend said, unless the world has moved on since:
// then the caller looks again.
func (t *Tree) admit(path []byte, found bool, rec *Record, seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.freeze.seq != seq {
		return
	}
	if _, res := t.live(path); res != NotResident {
		return
	}
	if parent, _ := SplitPath(path); parent != nil {
		if id := t.lookup(parent); id == 0 || t.nodes.node(id).flags.Load()&nodeLive == 0 {
			return // evicted, or deleted, meanwhile
		}
	}
	t.enterRecord(path, found, rec)
}

// enterRecord puts what the backend said of path into memory. The tree is
// locked, and the parent is in memory.
func (t *Tree) enterRecord(path []byte, found bool, rec *Record) {
	id := t.enter(path)
	if !found {
		return
	}
	n := t.nodes.node(id)
	flags := uint32(nodeLive | nodeUsed)
	if rec.NumChildren == 0 {
		flags |= nodeComplete
	}
	n.stat, n.acl, n.numChildren = rec.Stat, rec.ACL, rec.NumChildren
	t.setData(n, path, rec.Data)
	n.flags.Or(flags)
	parent, _ := SplitPath(path)
	if parent == nil {
		return
	}
	pid := t.lookup(parent)
	if pid == 0 {
		panic(fmt.Sprintf("znode: %s enters memory before its parent", path))
	}
	t.link(id, pid)
}

// OverBudget reports whether nodes take more memory than they may; locking as
// for LastZxid.
func (t *Tree) OverBudget() bool {
	return t.opt.BudgetBytes > 0 && t.MemoryBytes() > t.opt.BudgetBytes
}

// evictSteps is how many nodes the clock's hand passes for each one that
// Evict may drop.
const evictSteps = 8

// Evict drops up to limit clean nodes that were not used lately, and returns
// how many. The caller holds Lock and is the goroutine that applies. A node
// stays while children of it are in memory. 0 may only mean that the nodes the
// hand passed this time were all in use: see Pinned.
func (t *Tree) Evict(limit int) int {
	evicted := 0
	if t.pinned {
		t.pinned, t.inVain = false, 0
	}
	t.reapShadows(limit)
	for steps := limit * evictSteps; steps > 0 && evicted < limit && !t.pinned; steps-- {
		t.inVain++
		t.pinned = t.inVain >= 2*int(t.nodes.top)
		t.hand++
		if t.hand >= t.nodes.top {
			t.hand = 1
		}
		if t.evictable(t.hand) {
			t.evict(t.hand)
			evicted++
			t.pinned, t.inVain = false, 0
		}
	}
	return evicted
}

// Pinned reports that the last calls of Evict have passed every node twice and
// found none to drop: what is in memory has changed since the checkpoint, or
// has to be there. Locking as for LastZxid.
func (t *Tree) Pinned() bool { return t.pinned }

// evictable decides about one node and takes its mark of use away.
func (t *Tree) evictable(id uint32) bool {
	n := t.nodes.node(id)
	f := n.flags.Load()
	if f&nodeTaken == 0 || id == t.root || n.changed > t.freeze.clean || n.first != 0 {
		return false
	}
	if f&nodeUsed != 0 {
		n.flags.And(^uint32(nodeUsed))
		return false
	}
	return true
}

func (t *Tree) evict(id uint32) {
	n := t.nodes.node(id)
	if n.parent != 0 {
		t.nodes.node(n.parent).flags.And(^uint32(nodeComplete))
		t.unlink(id)
	}
	t.forget(id)
}
