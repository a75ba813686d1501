package watch

// index finds the entries of one of the two tables by path.
type index struct {
	paths   map[string]slot
	entries int
	peak    int // most paths since the map was made
	spare   *crowd
}

// slot is what an index holds for a path: the ring of its entries, never empty
// while the slot is in the map, and for a long ring a crowd.
type slot struct {
	head  *entry
	crowd *crowd
}

// crowd finds the entry of a watcher in a long ring. Most paths are watched by
// one connection, so giving each a map would double the cost of a watch; and
// without one, a thousand connections that watch the same path would compare
// with each other at every registration.
type crowd struct {
	byConn map[*conn]*entry
	peak   int // most entries it had, and so its size
}

const (
	// crowdMin is the length of a ring from which on it has a crowd.
	crowdMin = 16
	// shrinkMin is the number of paths below which no map is remade.
	shrinkMin = 1024
	// shrinkRatio is how many times larger than needed a map may be.
	shrinkRatio = 8
)

func newIndex() index { return index{paths: make(map[string]slot)} }

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
		x.paths[e.path] = s
		x.peak = max(x.peak, len(x.paths))
		return
	case s.crowd != nil:
		s.crowd.add(e)
	case length+1 >= crowdMin:
		s.crowd = x.newCrowd(s.head)
		s.crowd.add(e)
		x.paths[e.path] = s
	}
	e.next, e.prev = s.head, s.head.prev
	e.prev.next, s.head.prev = e, e
}

// detach takes e out of the ring of s. The caller stores the slot.
func (x *index) detach(s *slot, e *entry) {
	x.entries--
	if s.crowd != nil {
		delete(s.crowd.byConn, e.conn)
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
		x.paths[path] = s
		return
	}
	if s.crowd != nil && s.crowd.peak <= freeMax {
		clear(s.crowd.byConn)
		x.spare = s.crowd
	}
	delete(x.paths, path)
	x.shrink()
}

// shrink remakes the map when it has become much larger than its content: maps
// keep the room they once needed. The copying is paid for by the deletions, of
// which there were seven for each path that is copied.
func (x *index) shrink() {
	if x.peak < shrinkMin || len(x.paths)*shrinkRatio > x.peak {
		return
	}
	paths := make(map[string]slot, len(x.paths))
	for p, s := range x.paths {
		paths[p] = s
	}
	x.paths, x.peak = paths, len(paths)
}

// newCrowd returns a crowd of the ring that starts at head.
func (x *index) newCrowd(head *entry) *crowd {
	c := x.spare
	if x.spare = nil; c == nil {
		c = &crowd{byConn: make(map[*conn]*entry, crowdMin)}
	}
	c.add(head)
	for e := head.next; e != head; e = e.next {
		c.add(e)
	}
	return c
}

func (c *crowd) add(e *entry) {
	c.byConn[e.conn] = e
	c.peak = max(c.peak, len(c.byConn))
}
