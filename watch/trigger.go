package watch

import (
	"bytes"

	"github.com/quorate/quorate/wire"
)

// Fire appends to dst the watchers to be told of the event, each once, and uses
// up the one-shot watches that it meets. The order is deterministic: entries of
// path in the order of their registration, then the recursive ones above it, from
// the parent up to the root, each path's in the order they became recursive.
//
//	NodeCreated, NodeDataChanged   data table, recursive entries above
//	NodeDeleted                    the same, then the child table of path
//	NodeChildrenChanged            child table
//
// A watcher of both the data and the children of a deleted znode is told once,
// and both of its watches are used up. A recursive watch never sees
// NodeChildrenChanged. Any other type appends nothing.
//
// One operation fires up to twice: a create is NodeCreated on the znode, then
// NodeChildrenChanged on its parent, which for "/x" is "/"; a delete likewise.
// Whether a watcher may read the znode is the caller's business: a one-shot
// watch is used up even if its watcher is then told nothing.
func (t *Table) Fire(dst []Watcher, typ wire.EventType, path []byte) []Watcher {
	t.fires++
	switch typ {
	case wire.EventNodeCreated, wire.EventNodeDataChanged:
		return t.fireAncestors(t.fire(&t.tables[dataTable], dst, path), path)
	case wire.EventNodeDeleted:
		dst = t.fireAncestors(t.fire(&t.tables[dataTable], dst, path), path)
		return t.fire(&t.tables[childTable], dst, path)
	case wire.EventNodeChildrenChanged:
		return t.fire(&t.tables[childTable], dst, path)
	default:
		return dst
	}
}

// fire tells the entries of path in one table.
func (t *Table) fire(x *index, dst []Watcher, path []byte) []Watcher {
	s := x.slot(path)
	if s.head == nil {
		return dst
	}
	key, last := s.head.path, s.head.prev
	before := x.entries
	for e, done := s.head, false; !done; {
		next := e.next
		done = e == last
		dst = t.tell(dst, e.conn)
		if e.modes &^= oneShot; e.modes == 0 {
			x.detach(&s, e)
			t.release(e)
		}
		e = next
	}
	if x.entries != before {
		x.store(key, s)
	}
	return dst
}

// fireAncestors tells the recursive entries above path.
func (t *Table) fireAncestors(dst []Watcher, path []byte) []Watcher {
	subtrees := t.tables[subtreeTable].paths
	if len(subtrees) == 0 {
		return dst
	}
	for p, ok := parent(path); ok; p, ok = parent(p) {
		head := subtrees[string(p)]
		for e := head; e != nil; {
			dst = t.tell(dst, e.conn)
			if e = e.next; e == head {
				break
			}
		}
	}
	return dst
}

func (t *Table) tell(dst []Watcher, c *conn) []Watcher {
	if c.told == t.fires {
		return dst
	}
	c.told = t.fires
	return append(dst, c.watcher)
}

// parent returns the path of the parent: "/" for "/x", none for "/" and for
// what is no absolute path.
func parent(path []byte) ([]byte, bool) {
	i := bytes.LastIndexByte(path, '/')
	if i < 0 || len(path) == 1 {
		return nil, false
	}
	return path[:max(i, 1)], true
}
