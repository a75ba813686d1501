package znode

// freezer knows which nodes differ from the last checkpoint. Time is counted
// in generations: now is the one under way, and a checkpoint is of all changes
// up to one generation. A node is clean, and may be dropped from memory, when
// its last change is not after the generation clean.
//
// While a checkpoint of a generation is being written, a node of it that
// changes again first leaves its old state in another node, its shadow. Nothing
// here takes longer the more nodes have changed: a transaction, and what waits
// for it, is never held up by the number of others.
type freezer struct {
	now, clean uint32
	dirty      idList // nodes changed in the generation now; may name one twice
	tombs      idList // those of them that were deleted
	reap       idList // tombs of written generations, to be forgotten
	active     *Checkpoint
	shadows    map[uint32]uint32 // by the node they belong to
	shadowed   idList            // the shadows
	spent      idList            // shadows nobody needs any more, to be freed
	dirtyBytes int64
	seq        uint64 // checkpoints completed
	zxid       int64  // of the last one
}

func (f *freezer) init() { f.now = 1 }

func (f *freezer) bytes() int64 {
	const perShadow = 20 // in the map
	return f.dirty.size() + f.tombs.size() + f.reap.size() + f.shadowed.size() + f.spent.size() + perShadow*int64(len(f.shadows))
}

// frozen reports whether the node is part of the checkpoint being written as
// it is now.
func (f *freezer) frozen(n *node) bool {
	return f.active != nil && n.changed > f.clean && n.changed <= f.active.gen
}

// touch notes that a node is about to change. When its data are about to be
// replaced or deleted, they may be taken away: then they are null afterwards.
// The tree is locked.
func (f *freezer) touch(t *nodeTable, id uint32, takeData bool) {
	n := t.node(id)
	if n.changed == f.now {
		return
	}
	if f.frozen(n) {
		if _, done := f.shadows[id]; !done {
			s := t.shadow(n, takeData)
			f.shadows[id] = s
			f.shadowed.add(s)
		}
	}
	n.changed = f.now
	f.dirty.add(id)
	f.dirtyBytes += int64(nodeSize) + int64(n.pathLen) + int64(max(n.dataLen, 0))
}

// shadow returns a new node with the state of n, but for its place in the tree.
func (t *nodeTable) shadow(n *node, takeData bool) uint32 {
	id := t.take()
	s := t.node(id)
	s.stat, s.acl, s.numChildren, s.prefix = n.stat, n.acl, n.numChildren, n.prefix
	s.dataLen, s.data = n.dataLen, n.data
	s.changed = ^uint32(0) // never clean
	s.flags.Store(nodeTaken | n.flags.Load()&nodeLive)
	switch {
	case n.dataLen <= 0:
	case takeData:
		n.data, n.dataLen = 0, -1
	default:
		s.data = t.put(t.bytes(n.data, int(n.dataLen)))
	}
	return id
}

// Checkpoint is one checkpoint on its way to the backend.
type Checkpoint struct {
	t    *Tree
	gen  uint32
	ids  idList
	tomb idList
	meta Meta
	// keys reads paths without the tree's lock: those of frozen nodes do not
	// change, and the slices that find them only grow.
	keys nodeTable
	size int64
	// twice counts the ids that came twice.
	twice int
}

// Zxid is the last transaction the checkpoint contains.
func (c *Checkpoint) Zxid() int64 { return c.meta.Zxid }

// Len is the number of changed nodes: exact after Write, before it some are
// perhaps counted twice.
func (c *Checkpoint) Len() int { return c.ids.len() - c.twice }

// BeginCheckpoint freezes what has changed since the last checkpoint. The
// caller holds Lock, and no other checkpoint is under way. What follows is
// Write, on any goroutine without a lock, and then EndCheckpoint.
func (t *Tree) BeginCheckpoint() *Checkpoint {
	f := &t.freeze
	if f.active != nil {
		panic("znode: a checkpoint is under way already")
	}
	c := &Checkpoint{t: t, gen: f.now, ids: f.dirty, tomb: f.tombs, size: f.dirtyBytes, meta: Meta{
		Zxid: t.zxid, Digest: t.digest, NodeCount: t.nodeCount, DataBytes: t.dataBytes,
		Sessions: t.Sessions(), ACLs: t.acls.Entries(), WholeFrom: t.wholeFrom,
	}}
	c.keys.pages, c.keys.chunks, c.keys.large = t.nodes.pages, t.nodes.chunks, t.nodes.large
	f.now++
	f.dirty, f.tombs, f.dirtyBytes = idList{}, idList{}, 0
	f.active, f.shadows = c, map[uint32]uint32{}
	return c
}

// EndCheckpoint takes note of how Write ended. The caller holds Lock. After an
// error everything frozen counts as changed still.
func (t *Tree) EndCheckpoint(c *Checkpoint, err error) {
	f := &t.freeze
	if f.active != c {
		panic("znode: the end of a checkpoint that is not under way")
	}
	f.active = nil
	if err != nil {
		f.dirty.addAll(c.ids)
		f.tombs.addAll(c.tomb)
		f.dirtyBytes += c.size
	} else {
		f.clean, f.zxid = c.gen, c.meta.Zxid
		f.seq++
		f.reap.addAll(c.tomb)
		t.lists.clear()
	}
	f.spent.addAll(f.shadowed)
	f.shadows, f.shadowed = nil, idList{}
	t.reapShadows(shadowsAtEnd)
}

// shadowsAtEnd is how many shadows the end of a checkpoint frees: about 100 us
// of work. Transactions free the others, a few each.
const shadowsAtEnd = 1024

// reapShadows frees a few shadows.
func (t *Tree) reapShadows(limit int) {
	for f := &t.freeze; limit > 0 && f.spent.len() > 0; limit-- {
		t.nodes.drop(f.spent.pop())
	}
}

// CheckpointZxid is the last transaction in the backend; locking as for
// LastZxid.
func (t *Tree) CheckpointZxid() int64 { return t.freeze.zxid }

// DirtyBytes is about how much has changed since the last checkpoint began;
// locking as for LastZxid.
func (t *Tree) DirtyBytes() int64 { return t.freeze.dirtyBytes }

// reapTombs forgets a few of the nodes whose deletion has reached the backend.
// It is called with more than the transaction at hand has deleted, so that they
// do not pile up.
func (t *Tree) reapTombs(limit int) {
	f := &t.freeze
	for ; limit > 0 && f.reap.len() > 0; limit-- {
		id := f.reap.pop()
		n := t.nodes.node(id)
		if fl := n.flags.Load(); fl&nodeTaken != 0 && fl&nodeLive == 0 && n.changed <= f.clean {
			t.forget(id)
		}
	}
}
