package watch

import "github.com/quorate/quorate/wire"

// Watcher is a connection, by a handle of the caller's choice. Watches belong
// to connections and not to sessions: a client registers them again when it
// reconnects.
type Watcher uint64

// Table holds the watches of a server. As in ZooKeeper there are two tables in
// it, one for the data of znodes and one for their children, and an entry of
// either is a pair of path and watcher with the modes in which it watches:
//
//	exists, getData             data   one-shot
//	getChildren                 child  one-shot
//	addWatch persistent         both   persistent
//	addWatch persistent, rec.   data   recursive: the path and all below it
//
// Registering a mode that is there changes nothing, so a connection gets one
// event per trigger however many watchers its client has.
//
// Memory: about 150 bytes per entry, a short path included, freed as entries
// go, and some 100 bytes for a watcher from its first registration
// until [Table.Drop]. Paths are copied; a Table keeps no slice it is given. What one
// watcher's may take can be bounded: see [Table.Limit].
type Table struct {
	tables [kinds]index
	conns  map[Watcher]*conn
	free   freeList
	fires  uint64 // how many there were, see conn.told
	// bytesMax bounds conn.bytes; 0 does not.
	bytesMax int64
}

// entryBytes is what an entry takes beside its path.
const entryBytes = 150

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{
		tables: [kinds]index{newIndex(), newIndex(), newIndex()},
		conns:  make(map[Watcher]*conn),
	}
}

// Limit bounds the memory of each watcher's entries, about 150 bytes and the path for
// each; 0 does not. Beyond it a new one is refused, and nothing is registered. A mode
// that is there, or is added to an entry that is, takes nothing.
func (t *Table) Limit(bytes int64) { t.bytesMax = bytes }

// AddData registers a one-shot watch of w on the data of path: the watch of
// getData, and of exists whether or not the znode is there. It is false when
// that is refused; so are those below.
func (t *Table) AddData(path []byte, w Watcher) bool {
	return t.fits(path, w, dataTable) && t.add(dataTable, path, w, oneShot)
}

// AddChild registers a one-shot watch of w on the children of path.
func (t *Table) AddChild(path []byte, w Watcher) bool {
	return t.fits(path, w, childTable) && t.add(childTable, path, w, oneShot)
}

// AddPersistent registers a watch that stays when it fires: on the data and the
// children of path, or, if below, on the data of path and of everything below.
// The two kinds may be held at once.
func (t *Table) AddPersistent(path []byte, w Watcher, below bool) bool {
	second, m := childTable, persistent
	if below {
		second, m = subtreeTable, recursive
	}
	return t.fits(path, w, dataTable, second) && t.add(dataTable, path, w, m) && t.add(second, path, w, m)
}

// fits reports whether w may have entries on path in these tables.
func (t *Table) fits(path []byte, w Watcher, kinds ...kind) bool {
	if t.bytesMax == 0 {
		return true
	}
	room, cost := t.bytesMax, entryBytes+int64(len(path))
	if c := t.conns[w]; c != nil {
		room -= c.bytes
	}
	if room >= cost*int64(len(kinds)) {
		return true
	}
	needed := int64(0)
	for _, k := range kinds {
		if t.find(k, path, w) == nil {
			needed += cost
		}
	}
	return needed == 0 || needed <= room
}

// Remove takes away watches of w on path and reports whether there were any:
// the one-shot one of the children or of the data table, the persistent one in
// both, the recursive one, or with wire.WatcherAny whatever there is. Other
// types remove nothing.
func (t *Table) Remove(path []byte, typ wire.WatcherType, w Watcher) bool {
	data, child := modesOf(typ)
	inData := t.remove(dataTable, path, w, data)
	inChild := t.remove(childTable, path, w, child)
	t.remove(subtreeTable, path, w, data)
	return inData || inChild
}

// Check reports whether Remove would find anything. As in ZooKeeper a
// persistent watch is looked for in the data table alone, which makes no
// difference as long as both halves come and go together.
func (t *Table) Check(path []byte, typ wire.WatcherType, w Watcher) bool {
	data, child := modesOf(typ)
	if typ == wire.WatcherPersistent {
		child = 0
	}
	return t.has(dataTable, path, w, data) || t.has(childTable, path, w, child)
}

// modesOf returns what a watcher type means in either table.
func modesOf(typ wire.WatcherType) (data, child mode) {
	switch typ {
	case wire.WatcherChildren:
		return 0, oneShot
	case wire.WatcherData:
		return oneShot, 0
	case wire.WatcherPersistent:
		return persistent, persistent
	case wire.WatcherPersistentRecursive:
		return recursive, 0
	case wire.WatcherAny:
		return allModes, allModes
	default:
		return 0, 0
	}
}

// Drop takes away every watch of w and forgets it: the connection is gone. The
// cost is proportional to the watches it held.
func (t *Table) Drop(w Watcher) {
	c := t.conns[w]
	if c == nil {
		return
	}
	for c.entries != nil {
		t.drop(c.entries)
	}
	delete(t.conns, w)
}

func (t *Table) add(k kind, path []byte, w Watcher, m mode) bool {
	x := &t.tables[k]
	s := x.slot(path)
	c := t.conn(w)
	e, length := s.find(c)
	if e == nil {
		e = t.free.get()
		e.conn, e.kind = c, k
		if s.head != nil {
			e.path = s.head.path
		} else {
			e.path = string(path)
		}
		x.insert(s, length, e)
		c.link(e)
	}
	e.modes |= m
	return true
}

func (t *Table) conn(w Watcher) *conn {
	c := t.conns[w]
	if c == nil {
		c = &conn{watcher: w}
		t.conns[w] = c
	}
	return c
}

// find returns the entry of w on path, nil if there is none.
func (t *Table) find(k kind, path []byte, w Watcher) *entry {
	c := t.conns[w]
	if c == nil {
		return nil
	}
	e, _ := t.tables[k].slot(path).find(c)
	return e
}

func (t *Table) has(k kind, path []byte, w Watcher, m mode) bool {
	e := t.find(k, path, w)
	return e != nil && e.modes&m != 0
}

func (t *Table) remove(k kind, path []byte, w Watcher, m mode) bool {
	e := t.find(k, path, w)
	if e == nil || e.modes&m == 0 {
		return false
	}
	if e.modes &^= m; e.modes == 0 {
		t.drop(e)
	}
	return true
}

// drop takes e out of everything that refers to it.
func (t *Table) drop(e *entry) {
	x := &t.tables[e.kind]
	head := x.paths[e.path]
	s := x.slotOf(head)
	x.detach(&s, e)
	if s.head != head {
		x.store(e.path, s)
	}
	t.release(e)
}

// release ends an entry that is in no index any more.
func (t *Table) release(e *entry) {
	e.conn.unlink(e)
	t.free.put(e)
}
