package watch

// mode is a set of ways in which an entry watches its path.
type mode uint8

const (
	oneShot mode = 1 << iota
	persistent
	recursive

	allModes = oneShot | persistent | recursive
)

// kind names a table.
type kind uint8

const (
	dataTable kind = iota
	childTable
	// subtreeTable has the recursive entries of the data table once more. An
	// event looks there for watchers of the paths above its own, and so passes
	// by whoever else watches them. It is not counted anywhere.
	subtreeTable

	kinds
)

// entry is one watch: a pair of path and watcher in one of the tables. It
// is a link of two rings, that of its path, in the order of registration, and
// that of its watcher.
type entry struct {
	path                 string // shared by all entries of the path
	conn                 *conn
	prev, next           *entry // ring of the path
	prevOfConn, nextConn *entry // ring of the watcher
	modes                mode
	kind                 kind // of table
	crowded              bool // its ring has a crowd
}

// conn is a watcher and its entries in all tables.
type conn struct {
	watcher     Watcher
	entries     *entry
	dataEntries int
	bytes       int64  // of the entries and their paths
	told        uint64 // number of the last Fire that told it
}

func (c *conn) link(e *entry) {
	c.bytes += entryBytes + int64(len(e.path))
	if e.kind == dataTable {
		c.dataEntries++
	}
	if c.entries == nil {
		c.entries, e.prevOfConn, e.nextConn = e, e, e
		return
	}
	first := c.entries
	e.nextConn, e.prevOfConn = first, first.prevOfConn
	e.prevOfConn.nextConn, first.prevOfConn = e, e
}

func (c *conn) unlink(e *entry) {
	c.bytes -= entryBytes + int64(len(e.path))
	if e.kind == dataTable {
		c.dataEntries--
	}
	if e.nextConn == e {
		c.entries = nil
		return
	}
	e.prevOfConn.nextConn, e.nextConn.prevOfConn = e.nextConn, e.prevOfConn
	if c.entries == e {
		c.entries = e.nextConn
	}
}

// freeMax bounds the entries kept for reuse (64 bytes each). It lets thousands
// of watchers of one path register anew after each event without allocating.
const freeMax = 4096

// freeList is a stack of entries linked by next.
type freeList struct {
	top *entry
	n   int
}

func (f *freeList) get() *entry {
	e := f.top
	if e == nil {
		return new(entry)
	}
	f.top, e.next = e.next, nil
	f.n--
	return e
}

func (f *freeList) put(e *entry) {
	*e = entry{}
	if f.n == freeMax {
		return
	}
	e.next, f.top = f.top, e
	f.n++
}
