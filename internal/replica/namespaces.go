package replica

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Namespaces count bytes by the first component of paths. There are 256 at most, and
// none of more than 256 bytes; what is beyond that counts under [OtherNamespaces]. Any
// goroutine may call the methods. The zero value is ready.
type Namespaces struct {
	table atomic.Pointer[map[string]*Namespace] // replaced, never changed in place
	mu    sync.Mutex                            // of who replaces it
}

// Namespace is what was counted below one component.
type Namespace struct {
	Name string
	Summary
}

const (
	namespacesMax     = 256
	namespaceBytesMax = 256
	// OtherNamespaces stands for all for which there is no room. No znode can have that name.
	OtherNamespaces = "/"
)

// Of returns the namespace of a path, nil for the root.
func (n *Namespaces) Of(path []byte) *Namespace {
	name, ok := topOf(path)
	if !ok {
		return nil
	}
	t := n.names()
	if ns := t[string(name)]; ns != nil {
		return ns
	}
	if len(t) >= namespacesMax || len(name) > namespaceBytesMax {
		if ns := t[OtherNamespaces]; ns != nil {
			return ns
		}
		return n.enter(OtherNamespaces)
	}
	return n.enter(string(name))
}

// names is the present table; read it only.
func (n *Namespaces) names() map[string]*Namespace {
	if t := n.table.Load(); t != nil {
		return *t
	}
	return nil
}

// topOf is the first component of a path that stands for a znode; the root has none.
func topOf(path []byte) (name []byte, ok bool) {
	if len(path) < 2 {
		return nil, false
	}
	name = path[1:]
	for i, b := range name {
		if b == '/' {
			return name[:i], true
		}
	}
	return name, true
}

// enter makes room for a namespace.
func (n *Namespaces) enter(name string) *Namespace {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.names()
	if len(t) >= namespacesMax {
		name = OtherNamespaces
	}
	if ns := t[name]; ns != nil {
		return ns
	}
	ns := &Namespace{Name: name}
	next := map[string]*Namespace{name: ns}
	maps.Copy(next, t)
	n.table.Store(&next)
	return ns
}

// All returns the namespaces in the order of their names.
func (n *Namespaces) All() []*Namespace {
	return slices.SortedFunc(maps.Values(n.names()), func(a, b *Namespace) int { return strings.Compare(a.Name, b.Name) })
}

// Reset forgets what was counted, and keeps the names, as ZooKeeper does.
func (n *Namespaces) Reset() {
	for _, ns := range n.All() {
		ns.Reset()
	}
}

// holds reports whether a path is in the namespace.
func (n *Namespace) holds(path []byte) bool {
	end := 1 + len(n.Name)
	return len(path) >= end && string(path[1:end]) == n.Name && (len(path) == end || path[end] == '/')
}

// statOverheadBytes is what ZooKeeper counts for the Stat of an answer.
const statOverheadBytes = 6*8 + 5*4

// lastReads are reads of a client, all of as many bytes in one namespace, that are not
// counted there yet: most clients read the same again and again, and a number of their
// own costs them less than those that all share.
type lastReads struct {
	ns       *Namespace
	bytes, n int64
}

// read counts a read. c is locked.
func (c *Client) read(path []byte, bytes int) {
	v := int64(len(path) + bytes + statOverheadBytes)
	if l := &c.reads; l.bytes == v && l.ns.holds(path) {
		l.n++
		return
	}
	c.countReads()
	if ns := c.r.Stats.ReadBytes.Of(path); ns != nil {
		c.reads = lastReads{ns: ns, bytes: v, n: 1}
	}
}

// countReads counts what was put off. c is locked.
func (c *Client) countReads() {
	if l := &c.reads; l.n > 0 {
		l.ns.AddMany(l.bytes, l.n)
	}
	c.reads = lastReads{}
}

// CountReads has all counted that clients have read. Any goroutine may call it, without
// locks.
func (r *Replica) CountReads() {
	r.EachClient(func(c *Client) {
		c.mu.Lock()
		c.countReads()
		c.mu.Unlock()
	})
}
