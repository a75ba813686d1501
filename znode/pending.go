package znode

import (
	"bytes"
	"hash/maphash"

	"github.com/quorate/quorate/wire"
)

// nodeState is a znode as it will be once everything proposed is applied.
type nodeState struct {
	Info
	// acl is the list itself: a pending one has no id yet, and Info.ACL means
	// nothing here.
	acl    []wire.ACL
	exists bool
	digest uint64 // what it adds to the tree's, if Rules.Digest
}

// pendingNode is a znode changed by transactions that are not applied yet.
type pendingNode struct {
	nodeState
	zxid int64 // of the last of these transactions
	path []byte
	hash uint64
	next *pendingNode // in the same bucket, or in the free list
}

// pendingChange is an entry of the queue that tells when to forget a znode.
type pendingChange struct {
	zxid int64
	node *pendingNode
}

// pendingUndo is what a znode was before a request that may yet fail.
type pendingUndo struct {
	node  *pendingNode
	was   nodeState
	zxid  int64
	fresh bool // it was not pending at all
}

// pendingSet is the difference between the applied tree and the tree with
// everything proposed. Znodes are found by a hash of their path rather than by
// a string, so that neither finding nor adding one allocates: entries and
// their path buffers are used again.
type pendingSet struct {
	seed  maphash.Seed
	nodes map[uint64]*pendingNode
	free  *pendingNode
	queue fifo[pendingChange]
	// born are the pending creations of ephemerals, for closeSession.
	born fifo[pendingChange]

	undo     []pendingUndo
	undoable bool
}

func newPendingSet() *pendingSet {
	return &pendingSet{seed: maphash.MakeSeed(), nodes: map[uint64]*pendingNode{}}
}

func (s *pendingSet) find(path []byte) *pendingNode {
	if len(s.nodes) == 0 {
		return nil
	}
	return s.findHashed(path, maphash.Bytes(s.seed, path))
}

func (s *pendingSet) findHashed(path []byte, hash uint64) *pendingNode {
	for n := s.nodes[hash]; n != nil; n = n.next {
		if bytes.Equal(n.path, path) {
			return n
		}
	}
	return nil
}

// set makes st the state of the znode as of zxid.
func (s *pendingSet) set(path []byte, st *nodeState, zxid int64) *pendingNode {
	hash := maphash.Bytes(s.seed, path)
	n := s.findHashed(path, hash)
	fresh := n == nil
	if fresh {
		n = s.add(path, hash)
	}
	if s.undoable {
		s.undo = append(s.undo, pendingUndo{node: n, was: n.nodeState, zxid: n.zxid, fresh: fresh})
	}
	if fresh || n.zxid != zxid {
		s.queue.push(pendingChange{zxid, n})
	}
	n.nodeState, n.zxid = *st, zxid
	return n
}

func (s *pendingSet) add(path []byte, hash uint64) *pendingNode {
	n := s.free
	if n == nil {
		n = new(pendingNode)
	} else {
		s.free = n.next
	}
	n.path, n.hash, n.next = append(n.path[:0], path...), hash, s.nodes[hash]
	s.nodes[hash] = n
	return n
}

// pathBytesKept is the largest path buffer kept for the next use of an entry.
const pathBytesKept = 512

func (s *pendingSet) remove(n *pendingNode) {
	if first := s.nodes[n.hash]; first != n {
		for first.next != n {
			first = first.next
		}
		first.next = n.next
	} else if n.next == nil {
		delete(s.nodes, n.hash)
	} else {
		s.nodes[n.hash] = n.next
	}
	path := n.path[:0]
	if cap(path) > pathBytesKept {
		path = nil
	}
	*n = pendingNode{path: path, next: s.free}
	s.free = n
}

// applied forgets what the tree shows by itself, now that it contains zxid.
func (s *pendingSet) applied(zxid int64) {
	for s.born.len() > 0 && s.born.front().zxid <= zxid {
		s.born.pop()
	}
	for s.queue.len() > 0 && s.queue.front().zxid <= zxid {
		c := s.queue.pop()
		if c.node.zxid == c.zxid {
			s.remove(c.node)
		}
	}
}

// begin starts a request whose changes can be taken back: see rollback.
func (s *pendingSet) begin() {
	clear(s.undo)
	s.undo, s.undoable = s.undo[:0], true
}

// commit ends a request that begin started: its changes stay.
func (s *pendingSet) commit() { s.undoable = false }

// rollback takes the changes of the request with this zxid back.
func (s *pendingSet) rollback(zxid int64) {
	s.undoable = false
	for s.born.len() > 0 && s.born.back().zxid == zxid {
		s.born.drop()
	}
	for s.queue.len() > 0 && s.queue.back().zxid == zxid {
		s.queue.drop()
	}
	for i := len(s.undo) - 1; i >= 0; i-- {
		u := &s.undo[i]
		if u.fresh {
			s.remove(u.node)
			continue
		}
		u.node.nodeState, u.node.zxid = u.was, u.zxid
	}
}

// fifo is a queue in a ring: it allocates only to grow.
type fifo[T any] struct {
	ring    []T // its length is a power of two, or 0
	head, n int
}

func (q *fifo[T]) len() int    { return q.n }
func (q *fifo[T]) at(i int) *T { return &q.ring[(q.head+i)&(len(q.ring)-1)] }
func (q *fifo[T]) front() *T   { return q.at(0) }
func (q *fifo[T]) back() *T    { return q.at(q.n - 1) }

func (q *fifo[T]) push(v T) {
	if q.n == len(q.ring) {
		grown := make([]T, max(2*len(q.ring), 64))
		for i := range q.n {
			grown[i] = *q.at(i)
		}
		q.ring, q.head = grown, 0
	}
	q.n++
	*q.back() = v
}

func (q *fifo[T]) pop() T {
	var zero T
	v := *q.front()
	*q.front() = zero
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return v
}

// drop removes the newest.
func (q *fifo[T]) drop() {
	var zero T
	*q.back() = zero
	q.n--
}
