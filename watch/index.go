package watch

import "maps"

// index finds the entries of one table by path.
type index struct {
	paths   map[string]*entry // first of the ring
	crowds  map[string]*crowd // for the paths whose entries are crowded
	entries int
	peak    int // most paths since the map was made
	spare   *crowd
}

// slot is what an index holds for a path: the ring of its entries, and for a
// long ring a crowd. It is changed as a value and then stored.
type slot struct {
	head  *entry
	crowd *crowd
}

// crowd finds the entry of a watcher in a long ring. Most paths are watched by
// one connection, so even a pointer to a crowd would cost a tenth of a watch;
// and without crowds, a thousand connections that watch the same path would be
// compared with each other at every registration.
type crowd struct {
	byConn map[*conn]*entry
	peak   int // most entries it had, and so its size
}

const (
	// crowdMin is the length of a ring from which on it has a crowd.
	crowdMin = 16
	// shrinkMin is the size below which no map is remade.
	shrinkMin = 1024
	// shrinkRatio is how many times larger than needed a map may be.
	shrinkRatio = 8
)

func newIndex() index {
	return index{paths: make(map[string]*entry), crowds: make(map[string]*crowd)}
}

// slot returns what there is for path: nothing is the zero slot.
func (x *index) slot(path []byte) slot { return x.slotOf(x.paths[string(path)]) }

func (x *index) slotOf(head *entry) slot {
	s := slot{head: head}
	if head != nil && head.crowded {
		s.crowd = x.crowds[head.path]
	}
	return s
}

// find returns the entry of c in the slot, or nil and the length of a ring that
// was searched in vain.
func (s slot) find(c *conn) (e *entry, length int) {
	if s.crowd != nil {
		return s.crowd.byConn[c], 0
	}
	for e = s.head; e != nil; {
		if e.conn == c {
			return e, 0
		}
		length++
		if e = e.next; e == s.head {
			return nil, length
		}
	}
	return nil, 0
}

// insert appends e to the ring of its path. s and length are what find said of
// that path.
func (x *index) insert(s slot, length int, e *entry) {
	x.entries++
	switch {
	case s.head == nil:
		e.prev, e.next, s.head = e, e, e
		x.paths[e.path] = e
		x.peak = max(x.peak, len(x.paths))
		return
	case s.crowd != nil:
		s.crowd.add(e)
	case length+1 >= crowdMin:
		s.crowd = x.newCrowd(s.head)
		s.crowd.add(e)
	}
	e.next, e.prev = s.head, s.head.prev
	e.prev.next, s.head.prev = e, e
}

// detach takes e out of the ring of s. The caller stores the slot.
func (x *index) detach(s *slot, e *entry) {
	x.entries--
	if s.crowd != nil {
		s.crowd.remove(e)
	}
	if e.next == e {
		s.head = nil
		return
	}
	e.prev.next, e.next.prev = e.next, e.prev
	if s.head == e {
		s.head = e.next
	}
}

// store writes back the slot of a path after some of its entries were detached.
func (x *index) store(path string, s slot) {
	if s.head != nil {
		x.paths[path] = s.head
		return
	}
	if s.crowd != nil {
		delete(x.crowds, path)
		if s.crowd.peak <= freeMax {
			x.spare = s.crowd
		}
	}
	delete(x.paths, path)
	x.shrink()
}

// shrink gives back the room of paths that are gone.
func (x *index) shrink() {
	if roomy(len(x.paths), x.peak) {
		x.paths, x.peak = remade(x.paths), len(x.paths)
	}
}

// roomy tells when to remake a map: maps keep the room they once needed. The
// copying is paid for by the deletions, seven of them for each key copied.
func roomy(length, peak int) bool {
	return peak >= shrinkMin && length*shrinkRatio <= peak
}

func remade[K comparable, V any](old map[K]V) map[K]V {
	m := make(map[K]V, len(old))
	maps.Copy(m, old)
	return m
}

// newCrowd makes a crowd for the ring that starts at head.
func (x *index) newCrowd(head *entry) *crowd {
	c := x.spare
	if x.spare = nil; c == nil {
		c = &crowd{byConn: make(map[*conn]*entry, crowdMin)}
	}
	x.crowds[head.path] = c
	c.add(head)
	for e := head.next; e != head; e = e.next {
		c.add(e)
	}
	return c
}

func (c *crowd) add(e *entry) {
	e.crowded = true
	c.byConn[e.conn] = e
	c.peak = max(c.peak, len(c.byConn))
}

func (c *crowd) remove(e *entry) {
	delete(c.byConn, e.conn)
	if roomy(len(c.byConn), c.peak) {
		c.byConn, c.peak = remade(c.byConn), len(c.byConn)
	}
}
