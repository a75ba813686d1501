package znode

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
)

// Children calls fn with the name of each child of the znode at path, in no
// particular order. The caller holds a lock; the names alias the tree. When it
// answers NotResident, nothing or a part was told, and LoadChildren helps.
func (t *Tree) Children(path []byte, fn func(name []byte)) Residency {
	if len(path) == 0 {
		path = rootPath
	}
	id, res := t.live(path)
	if res != Found {
		return res
	}
	n := t.nodes.node(id)
	if n.flags.Load()&nodeComplete != 0 {
		t.residentChildren(n, func(_ uint32, name []byte) { fn(name) })
		return Found
	}
	l := t.lists.get(path, t.freeze.seq)
	if l == nil {
		return NotResident
	}
	t.mergeChildren(n, path, l, fn)
	return Found
}

// residentChildren tells the children in memory.
func (t *Tree) residentChildren(n *node, fn func(id uint32, name []byte)) {
	for id := n.first; id != 0; id = t.nodes.node(id).next {
		_, name := SplitPath(t.nodes.path(id))
		fn(id, name)
	}
}

// mergeChildren tells the children of a directory that is not all in memory:
// those the backend names and that have not been deleted since, and those that
// were born since.
func (t *Tree) mergeChildren(n *node, path []byte, l *listing, fn func(name []byte)) {
	child := append([]byte{}, path...)
	if len(path) > 1 {
		child = append(child, '/')
	}
	base := len(child)
	for name := range l.each {
		child = append(child[:base], name...)
		if id := t.lookup(child); id != 0 {
			c := t.nodes.node(id)
			if c.flags.Load()&nodeLive == 0 || c.born > t.freeze.clean {
				continue // gone, or told below
			}
		}
		fn(name)
	}
	t.residentChildren(n, func(id uint32, name []byte) {
		if t.nodes.node(id).born > t.freeze.clean {
			fn(name)
		}
	})
}

// completeMax is how many children are brought into memory at once, so that
// the next listing needs no backend. Larger directories are listed by name.
const completeMax = 1000

// LoadChildren makes the next call of Children for path succeed. Any goroutine
// may call it without a lock.
func (t *Tree) LoadChildren(path []byte) error {
	if len(path) == 0 {
		path = rootPath
	}
	if err := t.Load(path); err != nil {
		return err
	}
	t.mu.RLock()
	l := &listing{seq: t.freeze.seq}
	t.mu.RUnlock()
	err := t.backend.Children(path, func(name []byte) bool {
		l.add(name)
		return true
	})
	if err != nil {
		return fmt.Errorf("znode: listing %s: %w", path, err)
	}
	t.lists.put(string(path), l)
	if l.count <= completeMax && !t.tight() {
		return t.complete(path, l)
	}
	return nil
}

// tight reports that memory is nearly used up.
func (t *Tree) tight() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.opt.BudgetBytes > 0 && t.MemoryBytes() > t.opt.BudgetBytes*3/4
}

// complete loads all children in a listing and notes that none is missing.
func (t *Tree) complete(path []byte, l *listing) error {
	for name := range l.each {
		if err := t.Load(joinPath(path, name)); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	id := t.lookup(path)
	if id == 0 || t.freeze.seq != l.seq {
		return nil
	}
	for name := range l.each {
		if t.lookup(joinPath(path, name)) == 0 {
			return nil // evicted meanwhile
		}
	}
	if n := t.nodes.node(id); n.flags.Load()&nodeLive != 0 {
		n.flags.Or(nodeComplete)
	}
	return nil
}

func joinPath(parent, name []byte) []byte {
	out := make([]byte, 0, len(parent)+1+len(name))
	out = append(out, parent...)
	if len(parent) > 1 {
		out = append(out, '/')
	}
	return append(out, name...)
}

// Descendants counts the znodes below path. Any goroutine may call it without
// a lock. It goes directory by directory, so a count that overlaps with writes
// may include some of them and not others.
func (t *Tree) Descendants(path []byte) (int64, error) {
	if len(path) <= 1 {
		t.mu.RLock()
		defer t.mu.RUnlock()
		return t.nodeCount - 1, nil
	}
	var total int64
	for todo := [][]byte{slices.Clone(path)}; len(todo) > 0; {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		children, err := t.list(dir)
		if err != nil {
			return 0, err
		}
		total += int64(len(children))
		for _, c := range children {
			leaf, err := t.leaf(c)
			if err != nil {
				return 0, err
			}
			if !leaf {
				todo = append(todo, c)
			}
		}
	}
	return total, nil
}

// list returns the paths of a znode's children; none when it does not exist.
func (t *Tree) list(dir []byte) ([][]byte, error) {
	for {
		var out [][]byte
		t.mu.RLock()
		res := t.Children(dir, func(name []byte) { out = append(out, joinPath(dir, name)) })
		t.mu.RUnlock()
		if res != NotResident {
			return out, nil
		}
		if err := t.LoadChildren(dir); err != nil {
			return nil, err
		}
	}
}

// leaf reports whether a znode has no children, without bringing it into
// memory.
func (t *Tree) leaf(path []byte) (bool, error) {
	t.mu.RLock()
	id, res := t.live(path)
	leaf := res == Absent || res == Found && t.nodes.node(id).numChildren == 0
	t.mu.RUnlock()
	if res != NotResident {
		return leaf, nil
	}
	var rec Record
	found, _, err := t.backend.Get(path, nil, &rec)
	return !found || rec.NumChildren == 0, err
}

// listing is the names of a directory's children in the backend, as of so many
// checkpoints.
type listing struct {
	seq   uint64
	names []byte // each behind its length, as a varint
	count int
}

func (l *listing) add(name []byte) {
	l.names = binary.AppendUvarint(l.names, uint64(len(name)))
	l.names = append(l.names, name...)
	l.count++
}

// each yields the names.
func (l *listing) each(yield func(name []byte) bool) {
	for b := l.names; len(b) > 0; {
		n, w := binary.Uvarint(b)
		if !yield(b[w : w+int(n)]) {
			return
		}
		b = b[w+int(n):]
	}
}

// listingBytesMax bounds what listings take together; the newest always stays.
const listingBytesMax = 32 << 20

// listingCache keeps the listings of directories that are not all in memory
// until the next checkpoint.
type listingCache struct {
	mu    sync.Mutex
	lists map[string]*listing
	bytes int64
}

func (c *listingCache) get(path []byte, seq uint64) *listing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.lists[string(path)]; l != nil && l.seq == seq {
		return l
	}
	return nil
}

func (c *listingCache) put(path string, l *listing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := int64(len(path) + cap(l.names))
	if c.lists == nil || c.bytes+size > listingBytesMax {
		c.lists, c.bytes = map[string]*listing{}, 0
	}
	c.lists[path] = l
	c.bytes += size
}

func (c *listingCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists, c.bytes = nil, 0
}

func (c *listingCache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}
