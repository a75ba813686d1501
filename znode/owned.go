package znode

import (
	"fmt"
	"maps"
	"slices"
)

// ownedIndex knows the znodes that somebody else than a client removes.
type ownedIndex struct {
	ephemerals map[int64]map[string]struct{} // by session
	containers map[string]struct{}
	ttls       map[string]struct{}
	count      int // of ephemerals
}

func (x *ownedIndex) init() {
	x.ephemerals = map[int64]map[string]struct{}{}
	x.containers, x.ttls = map[string]struct{}{}, map[string]struct{}{}
}

func (x *ownedIndex) add(kind Kind, owner int64, path []byte) {
	switch kind {
	case Ephemeral:
		set := x.ephemerals[owner]
		if set == nil {
			set = map[string]struct{}{}
			x.ephemerals[owner] = set
		}
		set[string(path)] = struct{}{}
		x.count++
	case Container:
		x.containers[string(path)] = struct{}{}
	case TTL:
		x.ttls[string(path)] = struct{}{}
	case Persistent:
	}
}

func (x *ownedIndex) remove(kind Kind, owner int64, path []byte) {
	switch kind {
	case Ephemeral:
		set := x.ephemerals[owner]
		if _, ok := set[string(path)]; !ok {
			return
		}
		x.count--
		if delete(set, string(path)); len(set) == 0 {
			delete(x.ephemerals, owner)
		}
	case Container:
		delete(x.containers, string(path))
	case TTL:
		delete(x.ttls, string(path))
	case Persistent:
	}
}

// restoreOwned fills the index from the backend's, which may name nodes that
// are owned no more.
func (t *Tree) restoreOwned() error {
	var rec Record
	var buf []byte
	var failed error
	err := t.backend.Owned(func(_ int64, path []byte) bool {
		found, out, err := t.backend.Get(path, buf, &rec)
		if buf = out; err != nil {
			failed = fmt.Errorf("znode: reading %s: %w", path, err)
			return false
		}
		if owner := rec.Stat.EphemeralOwner; found && owner != 0 {
			kind := t.opt.Kinds.Of(owner)
			t.owned.remove(kind, owner, path) // named twice counts once
			t.owned.add(kind, owner, path)
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}

// Ephemerals implements [View]: the paths of a session's ephemerals, sorted.
// Locking as for LastZxid.
func (t *Tree) Ephemerals(session int64) []string {
	return slices.Sorted(maps.Keys(t.owned.ephemerals[session]))
}

// EphemeralSessions returns the sessions that own ephemerals, sorted. Locking
// as for LastZxid.
func (t *Tree) EphemeralSessions() []int64 {
	return slices.Sorted(maps.Keys(t.owned.ephemerals))
}

// EphemeralCount counts the ephemerals. Locking as for LastZxid.
func (t *Tree) EphemeralCount() int { return t.owned.count }

// ReapCandidates returns up to limit containers and TTL nodes that are due to
// go at the time now (ms, wall clock): containers that had a child and have
// none, or never had one for neverUsed ms unless that is 0; TTL nodes without
// children whose time is over (ContainerManager). The goroutine that applies
// calls it, without a lock.
func (t *Tree) ReapCandidates(now, neverUsed int64, limit int) ([][]byte, error) {
	var due [][]byte
	for _, path := range slices.Concat(slices.Sorted(maps.Keys(t.owned.containers)), slices.Sorted(maps.Keys(t.owned.ttls))) {
		if len(due) >= limit {
			break
		}
		info, found, err := t.Lookup([]byte(path))
		if err != nil {
			return nil, err
		}
		if found && info.NumChildren == 0 && t.over(&info, now, neverUsed) {
			due = append(due, []byte(path))
		}
	}
	return due, nil
}

func (t *Tree) over(i *Info, now, neverUsed int64) bool {
	owner := i.Stat.EphemeralOwner
	switch t.opt.Kinds.Of(owner) {
	case Container:
		return i.Stat.Cversion > 0 || neverUsed != 0 && now-i.Stat.Mtime > neverUsed
	case TTL:
		return now-i.Stat.Mtime > t.opt.Kinds.TTLOf(owner)
	default:
		return false
	}
}
