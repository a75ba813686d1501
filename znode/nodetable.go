package znode

import (
	"sync/atomic"
	"unsafe"
)

// node is a znode in memory: no pointers, so that the collector has nothing to
// follow. Relations are numbers of other nodes; 0 is none.
type node struct {
	stat        Stat
	data        ref
	path        ref
	dataLen     int32 // -1 is null
	pathLen     uint32
	prefix      uint32 // Info.Prefix
	tag         uint32 // its hash, for the index
	acl         ACLID
	numChildren int32
	parent      uint32
	first       uint32 // the resident child that came last
	next, prev  uint32 // among the resident children of parent
	// changed is the generation in which it last changed, born the one in which
	// it came to be; 0 for what was read from the backend. See freeze.go.
	changed, born uint32
	flags         atomic.Uint32
}

const (
	// nodeLive: it is there. Without it, it is known not to be: deleted since
	// the checkpoint, or looked for in vain.
	nodeLive = 1 << iota
	// nodeComplete: all its children are in memory.
	nodeComplete
	// nodeUsed: it was looked at since the clock's hand last passed.
	nodeUsed
	// nodeTaken: the number is in use at all.
	nodeTaken
	// nodeShadows: it was created over a node that was deleted since the
	// checkpoint, so when it goes the backend has to be told.
	nodeShadows
)

const (
	tablePage     = 1024
	nodeSize      = int(unsafe.Sizeof(node{}))
	tablePageSize = tablePage * nodeSize
)

// nodeTable numbers nodes. Pages never move.
type nodeTable struct {
	arena
	pages []*[tablePage]node
	mem   [][]byte
	spare []uint32 // numbers to use again
	top   uint32   // the highest number in use, plus one; 0 is never used
	taken int
	there int // up to where the last page has been given memory
}

func (t *nodeTable) node(id uint32) *node { return &t.pages[id/tablePage][id%tablePage] }

func (t *nodeTable) path(id uint32) []byte {
	n := t.node(id)
	return t.bytes(n.path, int(n.pathLen))
}

// nodeData returns a node's data; nil is null.
func (t *nodeTable) nodeData(n *node) []byte {
	if n.dataLen < 0 {
		return nil
	}
	return t.bytes(n.data, int(n.dataLen))
}

// clearData frees a node's data.
func (t *nodeTable) clearData(n *node) {
	if n.dataLen > 0 {
		t.release(n.data, int(n.dataLen))
	}
	n.data, n.dataLen = 0, -1
}

// take returns the number of a zeroed node.
func (t *nodeTable) take() uint32 {
	t.taken++
	if k := len(t.spare); k > 0 {
		id := t.spare[k-1]
		t.spare = t.spare[:k-1]
		t.node(id).flags.Store(nodeTaken)
		return id
	}
	if t.top == 0 {
		t.top = 1
	}
	id := t.top
	t.top++
	if int(id/tablePage) == len(t.pages) {
		mem := mapBytes(tablePageSize)
		t.mem, t.there = append(t.mem, mem), 0
		t.pages = append(t.pages, (*[tablePage]node)(unsafe.Pointer(&mem[0])))
	}
	t.there = backUpTo(t.mem[len(t.mem)-1], t.there, (int(id%tablePage)+1)*nodeSize)
	t.node(id).flags.Store(nodeTaken)
	return id
}

// drop frees a node's number and its bytes.
func (t *nodeTable) drop(id uint32) {
	n := t.node(id)
	t.release(n.path, int(n.pathLen))
	t.clearData(n)
	*n = node{}
	t.spare = append(t.spare, id)
	t.taken--
}

// memory is what the nodes in use take.
func (t *nodeTable) memory() int64 { return t.used + int64(t.taken)*int64(nodeSize) }

func (t *nodeTable) closeTable() {
	t.close()
	for _, m := range t.mem {
		unmapBytes(m)
	}
	*t = nodeTable{}
}
