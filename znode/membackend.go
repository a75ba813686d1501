package znode

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// MemBackend is a [Backend] in memory: the twin of [Store] for tests and
// simulation. It holds what the last checkpoint left, answers in the same
// order as Store, and survives whatever a simulated crash does to the rest of
// the server. Use [NewMemBackend].
type MemBackend struct {
	mu    sync.RWMutex
	state memState
}

// memState is one checkpoint. The records are never changed in place, so a
// snapshot shares them.
type memState struct {
	found bool
	meta  Meta
	nodes map[string]*Record
	kids  map[string]map[string]struct{} // parent -> names
	owned map[string]int64
}

// NewMemBackend returns a backend that has never been written.
func NewMemBackend() *MemBackend {
	return &MemBackend{state: memState{
		nodes: map[string]*Record{},
		kids:  map[string]map[string]struct{}{},
		owned: map[string]int64{},
	}}
}

// Meta implements [Backend].
func (b *MemBackend) Meta() (m Meta, found bool, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.state.meta.clone(), b.state.found, nil
}

// Get implements [Backend].
func (b *MemBackend) Get(path, buf []byte, rec *Record) (found bool, out []byte, err error) {
	b.mu.RLock()
	r := b.state.nodes[string(path)]
	b.mu.RUnlock()
	if r == nil {
		return false, buf, nil
	}
	*rec = *r
	buf = append(buf[:0], r.Data...)
	if r.Data != nil {
		rec.Data = storedData(buf)
	}
	return true, buf, nil
}

// Children implements [Backend].
func (b *MemBackend) Children(path []byte, fn func(name []byte) bool) error {
	b.mu.RLock()
	names := slices.Sorted(maps.Keys(b.state.kids[string(path)]))
	b.mu.RUnlock()
	for _, name := range names {
		if !fn([]byte(name)) {
			break
		}
	}
	return nil
}

// Owned implements [Backend]. The order is that of [CompareKeys].
func (b *MemBackend) Owned(fn func(owner int64, path []byte) bool) error {
	b.mu.RLock()
	owned := maps.Clone(b.state.owned)
	b.mu.RUnlock()
	for _, path := range memSortedPaths(owned) {
		if !fn(owned[path], []byte(path)) {
			break
		}
	}
	return nil
}

// Checkpoint implements [Backend]. An error of next leaves the last checkpoint
// as it was.
func (b *MemBackend) Checkpoint(m Meta, next func(*Change) (more bool, err error)) error {
	changes, err := collectChanges(next)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range changes {
		b.state.put(&changes[i])
	}
	b.state.meta, b.state.found = m.clone(), true
	return nil
}

// collectChanges drains next into copies.
func collectChanges(next func(*Change) (bool, error)) ([]Change, error) {
	var all []Change
	for {
		var c Change
		more, err := next(&c)
		if err != nil || !more {
			return all, err
		}
		if n := len(all); n > 0 && CompareKeys(all[n-1].Path, c.Path) >= 0 {
			return nil, errChangeOrder(all[n-1].Path, c.Path)
		}
		if err := checkChange(&c); err != nil {
			return nil, err
		}
		c.Path = bytes.Clone(c.Path)
		c.Record.Data = bytes.Clone(c.Record.Data)
		all = append(all, c)
	}
}

// checkChange refuses what Store refuses.
func checkChange(c *Change) error {
	if err := checkStoredPath(c.Path); err != nil || c.Deleted {
		return err
	}
	_, err := appendRecord(nil, c.Path, &c.Record)
	return err
}

// errChangeOrder tells that a caller of Checkpoint broke the order it promised.
func errChangeOrder(last, path []byte) error {
	return fmt.Errorf("znode: checkpoint changes are not in ascending order: %q after %q", path, last)
}

func (s *memState) put(c *Change) {
	path := string(c.Path)
	parent, name := SplitPath(c.Path)
	delete(s.owned, path)
	if c.Deleted {
		delete(s.nodes, path)
		s.unlink(string(parent), string(name))
		return
	}
	rec := c.Record
	s.nodes[path] = &rec
	s.link(string(parent), string(name))
	if owner := rec.Stat.EphemeralOwner; owner != 0 {
		s.owned[path] = owner
	}
}

func (s *memState) link(parent, name string) {
	if parent == "" {
		return // the root is nobody's child
	}
	if s.kids[parent] == nil {
		s.kids[parent] = map[string]struct{}{}
	}
	s.kids[parent][name] = struct{}{}
}

func (s *memState) unlink(parent, name string) {
	delete(s.kids[parent], name)
	if len(s.kids[parent]) == 0 {
		delete(s.kids, parent)
	}
}

// Snapshot implements [Backend].
func (b *MemBackend) Snapshot() (Snapshot, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return &memSnapshot{meta: b.state.meta.clone(), nodes: maps.Clone(b.state.nodes)}, nil
}

// DiskBytes implements [Backend]: nothing is on disk.
func (b *MemBackend) DiskBytes() int64 { return 0 }

// Close implements [Backend]. The contents stay: a simulated restart goes on
// with the same MemBackend.
func (b *MemBackend) Close() error { return nil }

type memSnapshot struct {
	meta  Meta
	nodes map[string]*Record
}

// Meta implements [Snapshot].
func (s *memSnapshot) Meta() (Meta, error) { return s.meta.clone(), nil }

// Walk implements [Snapshot].
func (s *memSnapshot) Walk(fn func(path []byte, rec *Record) error) error {
	for _, path := range memSortedPaths(s.nodes) {
		rec := *s.nodes[path]
		rec.Data = bytes.Clone(rec.Data)
		if err := fn([]byte(path), &rec); err != nil {
			return err
		}
	}
	return nil
}

// Close implements [Snapshot].
func (s *memSnapshot) Close() error { return nil }

// memSortedPaths returns the keys of m in the order of [CompareKeys].
func memSortedPaths[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if c := strings.Compare(memParent(a), memParent(b)); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
}

// memParent is the parent of SplitPath, for strings.
func memParent(path string) string {
	if len(path) <= 1 {
		return ""
	}
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// clone returns a copy that shares no map or slice with m.
func (m Meta) clone() Meta {
	m.Sessions = maps.Clone(m.Sessions)
	m.ACLs = maps.Clone(m.ACLs)
	for id, e := range m.ACLs {
		e.ACL = slices.Clone(e.ACL)
		m.ACLs[id] = e
	}
	return m
}

// storedData makes the empty slice of data that is empty but not null.
func storedData(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
