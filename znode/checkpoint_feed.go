package znode

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"slices"
)

// Write gives the frozen nodes to the backend. Any goroutine may call it, once;
// the tree is locked for reading for a moment at a time.
func (c *Checkpoint) Write() error {
	h := newHolder(c.t)
	defer h.stop()
	f := checkpointFeed{c: c, h: h}
	f.sort()
	return c.t.backend.Checkpoint(c.meta, f.next)
}

// holder looks at the tree for a checkpoint, on a goroutine of its own. The one
// that writes the checkpoint may be one that the system lets run only when
// nothing else wants to: while it waits for a processor it must not hold the
// tree's lock, which requests would wait for.
type holder struct {
	t    *Tree
	work chan func()
	done chan struct{}
}

func newHolder(t *Tree) *holder {
	h := &holder{t: t, work: make(chan func()), done: make(chan struct{})}
	go func() {
		for f := range h.work {
			f()
			h.done <- struct{}{}
		}
	}()
	return h
}

func (h *holder) stop() { close(h.work) }

// do runs f on the holder's goroutine.
func (h *holder) do(f func()) {
	h.work <- f
	<-h.done
}

// feedBatch is how many nodes are asked of the holder at once and feedBytes
// after how many bytes there is enough of them; of these, holdNodes or holdBytes
// are read under one hold of the lock: some 20 us.
const (
	feedBatch = 512
	feedBytes = 1 << 20
	holdNodes = 64
	holdBytes = 64 << 10
)

// checkpointFeed yields a checkpoint's changes in order, copied a batch at a
// time.
type checkpointFeed struct {
	c *Checkpoint
	h *holder

	runs runHeap
	last uint32 // the id that came last

	at    int // of batch, yielded
	ids   []uint32
	batch []Change
	bytes []byte
	ends  []int // of the data of each of batch in bytes
}

// sort makes sorted runs of the checkpoint's blocks of ids. It leaves those out
// whose nodes came and went before the freeze: their numbers are free, or serve
// other nodes now.
func (f *checkpointFeed) sort() {
	var s runSorter
	list := &f.c.ids
	for k := range list.blocks {
		f.h.do(func() { list.shrink(k, f.keep(list.blocks[k])) })
		list.shrink(k, s.sort(&f.c.keys, list.blocks[k]))
		if len(list.blocks[k]) > 0 {
			r := &sortedRun{ids: list.blocks[k]}
			r.load(&f.c.keys)
			f.runs = append(f.runs, r)
		}
	}
	heap.Init(&f.runs)
}

// keep moves the ids of nodes of this checkpoint to the front and returns how
// many they are.
func (f *checkpointFeed) keep(ids []uint32) int {
	t, kept := f.c.t, 0
	for chunk := range slices.Chunk(ids, holdNodes) {
		t.mu.RLock()
		for _, id := range chunk {
			if f.c.holds(id) {
				ids[kept] = id
				kept++
			}
		}
		t.mu.RUnlock()
	}
	return kept
}

// holds reports whether the id names a node of this checkpoint. The tree is
// locked for reading.
func (c *Checkpoint) holds(id uint32) bool {
	if _, ok := c.t.freeze.shadows[id]; ok {
		return true
	}
	n := c.t.nodes.node(id)
	return n.flags.Load()&nodeTaken != 0 && c.t.freeze.frozen(n)
}

// runSorter sorts ids by the storage keys of their nodes. The keys are copied
// side by side first: in the tree they are all over memory, and sorting would
// be waiting for it.
type runSorter struct {
	keys    []byte
	entries []sortEntry
}

// sortEntry is a node to be sorted: its key, and the first bytes of it beyond
// what all keys begin with.
type sortEntry struct {
	head       uint64
	start, end int
	id         uint32
}

// sort sorts ids, leaves out what is there twice, and returns how many remain.
func (s *runSorter) sort(t *nodeTable, ids []uint32) int {
	s.keys, s.entries = s.keys[:0], s.entries[:0]
	common := -1 // what all keys begin with, as far as they are known
	for _, id := range ids {
		start := len(s.keys)
		s.keys = appendNodeKey(s.keys, t.path(id))
		s.entries = append(s.entries, sortEntry{start: start, end: len(s.keys), id: id})
		common = commonPrefix(s.keys[:s.entries[0].end], s.keys[start:], common)
	}
	for i := range s.entries {
		e := &s.entries[i]
		e.start += common
		var b [8]byte
		copy(b[:], s.keys[e.start:e.end])
		e.head = binary.BigEndian.Uint64(b[:])
	}
	slices.SortFunc(s.entries, func(a, b sortEntry) int {
		switch {
		case a.head < b.head:
			return -1
		case a.head > b.head:
			return 1
		default:
			return bytes.Compare(s.keys[a.start:a.end], s.keys[b.start:b.end])
		}
	})
	for i := range s.entries {
		ids[i] = s.entries[i].id
	}
	return len(slices.Compact(ids))
}

// commonPrefix returns how many bytes a and b have in common at their
// beginning, at most limit unless that is negative.
func commonPrefix(a, b []byte, limit int) int {
	n := min(len(a), len(b))
	if limit >= 0 {
		n = min(n, limit)
	}
	if bytes.Equal(a[:n], b[:n]) {
		return n
	}
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// sortedRun is what is left of a sorted block of ids.
type sortedRun struct {
	ids []uint32
	key []byte // of the first one
}

func (r *sortedRun) load(t *nodeTable) { r.key = appendNodeKey(r.key[:0], t.path(r.ids[0])) }

// runHeap has the run with the least key on top. It implements heap.Interface.
type runHeap []*sortedRun

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return bytes.Compare(h[i].key, h[j].key) < 0 }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is never called: runs only go.
func (h *runHeap) Push(r any) { *h = append(*h, r.(*sortedRun)) }

// Pop implements heap.Interface.
func (h *runHeap) Pop() any {
	n := len(*h) - 1
	r := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	return r
}

// nextID returns the id with the least key and takes it out; 0 when there is
// none. An id that the list names twice comes once.
func (f *checkpointFeed) nextID() uint32 {
	for len(f.runs) > 0 {
		r := f.runs[0]
		id := r.ids[0]
		if r.ids = r.ids[1:]; len(r.ids) > 0 {
			r.load(&f.c.keys)
			heap.Fix(&f.runs, 0)
		} else {
			heap.Pop(&f.runs)
		}
		if id != f.last {
			f.last = id
			return id
		}
		f.c.twice++
	}
	return 0
}

// next is what Backend.Checkpoint calls.
func (f *checkpointFeed) next(ch *Change) (bool, error) {
	if f.at == len(f.batch) {
		if f.fill(); len(f.batch) == 0 {
			return false, nil
		}
	}
	*ch = f.batch[f.at]
	f.at++
	return true, nil
}

// fill copies the next batch. Ids that were too many for it are left for the
// one after.
func (f *checkpointFeed) fill() {
	f.ids = append(f.ids[:0], f.ids[len(f.batch):]...)
	for len(f.ids) < feedBatch {
		id := f.nextID()
		if id == 0 {
			break
		}
		f.ids = append(f.ids, id)
	}
	f.batch, f.bytes, f.ends, f.at = f.batch[:0], f.bytes[:0], f.ends[:0], 0
	if len(f.ids) == 0 {
		return
	}
	f.h.do(f.copyBatch)
	start := 0
	for i := range f.batch {
		ch := &f.batch[i]
		ch.Path = f.c.keys.path(f.ids[i])
		if len(ch.Record.Data) > 0 { // what is empty or null needs no place
			ch.Record.Data = f.bytes[start:f.ends[i]:f.ends[i]]
		}
		start = f.ends[i]
	}
}

// copyBatch copies the nodes of a batch, a few at a time.
func (f *checkpointFeed) copyBatch() {
	t := f.c.t
	for len(f.batch) < len(f.ids) && len(f.bytes) < feedBytes {
		end := min(len(f.batch)+holdNodes, len(f.ids))
		enough := len(f.bytes) + holdBytes
		t.mu.RLock()
		for len(f.batch) < end && len(f.bytes) < enough {
			f.copy(f.ids[len(f.batch)])
		}
		t.mu.RUnlock()
	}
}

// copy appends one node as it was at the freeze. Its data, if any, are set
// later, when bytes no longer moves.
func (f *checkpointFeed) copy(id uint32) {
	t := &f.c.t.nodes
	if s := f.c.t.freeze.shadows[id]; s != 0 {
		id = s
	}
	n := t.node(id)
	f.batch = append(f.batch, Change{Deleted: n.flags.Load()&nodeLive == 0})
	ch := &f.batch[len(f.batch)-1]
	n.info(&ch.Record.Info)
	ch.Record.Data = t.nodeData(n)
	f.bytes = append(f.bytes, ch.Record.Data...)
	f.ends = append(f.ends, len(f.bytes))
}
