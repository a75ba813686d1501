package znode

import (
	"slices"
)

// freezer knows which nodes differ from the last checkpoint. Time is counted
// in generations: now is the one under way, and a checkpoint is of all changes
// up to one generation. A node is clean, and may be dropped from memory, when
// its last change is not after the generation clean.
//
// While a checkpoint of a generation is being written, a node of it that
// changes again first has its old state saved aside.
type freezer struct {
	now, clean uint32
	dirty      []uint32 // nodes changed in the generation now; may name one twice
	tombs      []uint32 // those of them that were deleted
	reap       []uint32 // tombs of written generations, to be forgotten
	active     *Checkpoint
	saved      map[uint32]savedNode
	savedBytes int64
	dirtyBytes int64
	seq        uint64 // checkpoints completed
	zxid       int64  // of the last one
}

// savedNode is a frozen node as it was before it changed again.
type savedNode struct {
	live bool
	rec  Record
}

func (f *freezer) init() { f.now = 1 }

func (f *freezer) bytes() int64 {
	return f.savedBytes + 4*int64(cap(f.dirty)+cap(f.tombs)+cap(f.reap))
}

// frozen reports whether the node is part of the checkpoint being written as
// it is now.
func (f *freezer) frozen(n *node) bool {
	return f.active != nil && n.changed > f.clean && n.changed <= f.active.gen
}

// touch notes that a node is about to change. The tree is locked.
func (f *freezer) touch(t *nodeTable, id uint32) {
	n := t.node(id)
	if n.changed == f.now {
		return
	}
	if f.frozen(n) {
		if _, done := f.saved[id]; !done {
			s := savedNode{live: n.flags.Load()&nodeLive != 0}
			n.info(&s.rec.Info)
			if d := t.nodeData(n); d != nil {
				s.rec.Data = append([]byte{}, d...)
			}
			f.saved[id] = s
			f.savedBytes += int64(len(s.rec.Data)) + 128
		}
	}
	n.changed = f.now
	f.dirty = append(f.dirty, id)
	f.dirtyBytes += int64(nodeSize) + int64(n.pathLen) + int64(max(n.dataLen, 0))
}

// Checkpoint is one checkpoint on its way to the backend.
type Checkpoint struct {
	t    *Tree
	gen  uint32
	ids  []uint32
	tomb []uint32
	meta Meta
	// keys reads paths without the tree's lock: those of frozen nodes do not
	// change, and the slices that find them only grow.
	keys nodeTable
	size int64
}

// Zxid is the last transaction the checkpoint contains.
func (c *Checkpoint) Zxid() int64 { return c.meta.Zxid }

// Len is the number of changed nodes, some perhaps counted twice.
func (c *Checkpoint) Len() int { return len(c.ids) }

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
		Sessions: t.Sessions(), ACLs: t.acls.Entries(),
	}}
	c.keys.pages, c.keys.chunks, c.keys.large = t.nodes.pages, t.nodes.chunks, t.nodes.large
	f.now++
	f.dirty, f.tombs, f.dirtyBytes = nil, nil, 0
	f.active, f.saved = c, make(map[uint32]savedNode)
	return c
}

// Write gives the frozen nodes to the backend. Any goroutine may call it, once;
// the tree is locked for reading for a moment at a time.
func (c *Checkpoint) Write() error {
	c.drop()
	slices.SortFunc(c.ids, func(a, b uint32) int { return CompareKeys(c.keys.path(a), c.keys.path(b)) })
	c.ids = slices.Compact(c.ids)
	w := checkpointFeed{c: c}
	return c.t.backend.Checkpoint(c.meta, w.next)
}

// drop takes out the ids whose nodes came and went before the freeze: their
// numbers are free, or serve other nodes now.
func (c *Checkpoint) drop() {
	kept := c.ids[:0]
	for chunk := range slices.Chunk(c.ids, 4096) {
		c.t.mu.RLock()
		for _, id := range chunk {
			if c.holds(id) {
				kept = append(kept, id)
			}
		}
		c.t.mu.RUnlock()
	}
	c.ids = kept
}

// holds reports whether the id names a node of this checkpoint. The tree is
// locked for reading.
func (c *Checkpoint) holds(id uint32) bool {
	if _, ok := c.t.freeze.saved[id]; ok {
		return true
	}
	n := c.t.nodes.node(id)
	return n.flags.Load()&nodeTaken != 0 && c.t.freeze.frozen(n)
}

// feedChunk is how many nodes are read under one hold of the lock, and
// feedBytes after how many bytes there is enough of them.
const (
	feedChunk = 256
	feedBytes = 1 << 20
)

// checkpointFeed yields a checkpoint's changes in order, copied a chunk at a
// time.
type checkpointFeed struct {
	c      *Checkpoint
	done   int // ids copied
	at     int // of batch, yielded
	batch  []Change
	bytes  []byte
	bounds []int
}

func (w *checkpointFeed) next(ch *Change) (bool, error) {
	if w.at == len(w.batch) {
		if w.done == len(w.c.ids) {
			return false, nil
		}
		w.fill()
	}
	*ch = w.batch[w.at]
	w.at++
	return true, nil
}

// fill copies the next chunk. Slices into bytes are made at the end, when it
// no longer moves.
func (w *checkpointFeed) fill() {
	w.batch, w.bytes, w.bounds, w.at = w.batch[:0], w.bytes[:0], w.bounds[:0], 0
	end := min(w.done+feedChunk, len(w.c.ids))
	w.c.t.mu.RLock()
	for ; w.done < end && len(w.bytes) < feedBytes; w.done++ {
		w.copy(w.c.ids[w.done])
	}
	w.c.t.mu.RUnlock()
	for i := range w.batch {
		c := &w.batch[i]
		c.Path = w.bytes[w.bounds[2*i]:w.bounds[2*i+1]:w.bounds[2*i+1]]
		if c.Record.Data != nil {
			end := len(w.bytes)
			if 2*i+2 < len(w.bounds) {
				end = w.bounds[2*i+2]
			}
			c.Record.Data = w.bytes[w.bounds[2*i+1]:end:end]
		}
	}
}

// copy appends one node as it was at the freeze.
func (w *checkpointFeed) copy(id uint32) {
	t := &w.c.t.nodes
	var ch Change
	s, saved := w.c.t.freeze.saved[id]
	if saved {
		ch.Deleted, ch.Record = !s.live, s.rec
	} else {
		n := t.node(id)
		ch.Deleted = n.flags.Load()&nodeLive == 0
		n.info(&ch.Record.Info)
		ch.Record.Data = t.nodeData(n)
	}
	w.bounds = append(w.bounds, len(w.bytes))
	w.bytes = append(w.bytes, t.path(id)...)
	w.bounds = append(w.bounds, len(w.bytes))
	w.bytes = append(w.bytes, ch.Record.Data...)
	w.batch = append(w.batch, ch)
}

// EndCheckpoint takes note of how Write ended. The caller holds Lock. After an
// error everything frozen counts as changed still.
func (t *Tree) EndCheckpoint(c *Checkpoint, err error) {
	f := &t.freeze
	if f.active != c {
		panic("znode: the end of a checkpoint that is not under way")
	}
	f.active, f.saved, f.savedBytes = nil, nil, 0
	if err != nil {
		f.dirty, f.tombs = append(c.ids, f.dirty...), append(c.tomb, f.tombs...)
		f.dirtyBytes += c.size
		return
	}
	f.clean, f.zxid = c.gen, c.meta.Zxid
	f.seq++
	f.reap = append(f.reap, c.tomb...)
	t.lists.clear()
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
	for ; limit > 0 && len(f.reap) > 0; limit-- {
		id := f.reap[len(f.reap)-1]
		f.reap = f.reap[:len(f.reap)-1]
		n := t.nodes.node(id)
		if fl := n.flags.Load(); fl&nodeTaken != 0 && fl&nodeLive == 0 && n.changed <= f.clean {
			t.forget(id)
		}
	}
}
