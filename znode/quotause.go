package znode

import (
	"bytes"
	"maps"
	"slices"
)

// quota is a znode's quota: its limits while zookeeper_limits exists, and its
// usage while zookeeper_stats does too.
type quota struct {
	limits   QuotaLimits
	use      QuotaUsage
	hasStats bool
}

// QuotaState is one quota, for metrics.
type QuotaState struct {
	Root   string
	Limits QuotaLimits
	Usage  QuotaUsage
}

// Namespace is the first component of the quota's path.
func (q *QuotaState) Namespace() string {
	root := []byte(q.Root)[1:]
	name, _, _ := bytes.Cut(root, []byte("/"))
	return string(name)
}

// Quotas returns all quotas by path. Locking as for LastZxid.
func (t *Tree) Quotas() []QuotaState {
	out := make([]QuotaState, 0, len(t.quotas))
	for _, root := range slices.Sorted(maps.Keys(t.quotas)) {
		q := t.quotas[root]
		out = append(out, QuotaState{Root: root, Limits: q.limits, Usage: q.use})
	}
	return out
}

// Quota implements [View].
func (t *Tree) Quota(path []byte) (root string, lim QuotaLimits, use QuotaUsage, ok bool) {
	target, q := t.quotaOf(path)
	if q == nil || !q.hasStats {
		return "", lim, use, false
	}
	return string(target), q.limits, q.use, true
}

// quotaOf returns the deepest quota on a path.
func (t *Tree) quotaOf(path []byte) ([]byte, *quota) {
	if len(t.quotas) == 0 {
		return nil, nil
	}
	for len(path) > 1 {
		if q := t.quotas[string(path)]; q != nil {
			return path, q
		}
		path, _ = SplitPath(path)
	}
	return nil, nil
}

// statsPath is where a quota's usage is told.
func statsPath(target []byte) []byte {
	p := make([]byte, 0, len(QuotaRoot)+len(target)+1+len(QuotaStatsName))
	return append(append(append(append(p, QuotaRoot...), target...), '/'), QuotaStatsName...)
}

// account adds to the usage of the quota a path counts in, and rewrites the
// node that tells it, whose Stat does not change.
func (t *Tree) account(path []byte, count, size int64) {
	target, q := t.quotaOf(path)
	if q == nil || !q.hasStats || count == 0 && size == 0 {
		return
	}
	q.use.Count += count
	q.use.Bytes += size
	t.tellUsage(target, q)
}

func (t *Tree) tellUsage(target []byte, q *quota) {
	path := statsPath(target)
	id, res := t.live(path)
	if res != Found {
		return
	}
	n := t.nodes.node(id)
	t.freeze.touch(&t.nodes, id, false)
	t.scratch = q.use.Append(t.scratch[:0])
	t.dataBytes += int64(len(t.scratch)) - int64(max(n.dataLen, 0))
	t.setData(n, path, t.scratch)
}

// followQuota keeps the quotas in step with the nodes that say them, after one
// of these was created, set, or deleted (data nil).
func (t *Tree) followQuota(path, data []byte, exists bool) error {
	target, limits, ok := QuotaTarget(path)
	if !ok {
		return nil
	}
	if limits {
		t.followLimits(target, data, exists)
		return nil
	}
	q := t.quotas[string(target)]
	if q == nil {
		return nil
	}
	if q.hasStats = exists; exists {
		q.use = parseUsage(data)
	}
	return nil
}

func (t *Tree) followLimits(target, data []byte, exists bool) {
	if !exists {
		delete(t.quotas, string(target))
		return
	}
	q := t.quotas[string(target)]
	if q == nil {
		q = &quota{}
		if id, res := t.live(statsPath(target)); res == Found {
			q.hasStats, q.use = true, parseUsage(t.nodes.nodeData(t.nodes.node(id)))
		}
		t.quotas[string(target)] = q
	}
	q.limits = parseLimits(data)
}

// parseLimits reads limits; what cannot be read limits nothing.
func parseLimits(data []byte) QuotaLimits {
	l, err := ParseQuota(data)
	if err != nil {
		l, _ = ParseQuota(nil)
	}
	return l
}

// parseUsage reads the usage, which has the form of limits.
func parseUsage(data []byte) QuotaUsage {
	l := parseLimits(data)
	return QuotaUsage{Count: l.Count, Bytes: l.Bytes}
}

// measure sets a quota's usage to what there is, when its zookeeper_stats has
// been created. It reads what is not in memory while the tree is locked: a
// rare request of an administrator.
func (t *Tree) measure(target []byte) error {
	use := QuotaUsage{}
	err := t.walkLocked(target, func(dataLen int32) {
		use.Count++
		use.Bytes += int64(max(dataLen, 0))
	})
	if err != nil {
		return err
	}
	q := t.quotas[string(target)]
	if q == nil {
		q = &quota{} // no limits yet: the usage is told all the same
	}
	q.hasStats, q.use = true, use
	t.tellUsage(target, q)
	return nil
}

// MeasureQuotas sets the usage of every quota to what there is. It is for a tree
// that was just imported: a Java server writes its snapshots while it goes on,
// so the usage in one may already count what the log behind it creates. Java
// too counts anew when it loads a snapshot. The caller holds Lock.
func (t *Tree) MeasureQuotas() error {
	for _, root := range slices.Sorted(maps.Keys(t.quotas)) {
		if !t.quotas[root].hasStats {
			continue
		}
		if err := t.measure([]byte(root)); err != nil {
			return err
		}
	}
	return nil
}

// walkLocked visits a znode and all below it, reading from the backend what is
// not in memory. The tree is locked.
func (t *Tree) walkLocked(path []byte, visit func(dataLen int32)) error {
	for todo := [][]byte{path}; len(todo) > 0; {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		var rec Record
		id, res := t.live(p)
		switch res {
		case Found:
			t.nodes.node(id).info(&rec.Info)
		case NotResident:
			found, _, err := t.backend.Get(p, nil, &rec)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
		case Absent:
			continue
		}
		visit(rec.DataLength)
		if rec.NumChildren == 0 {
			continue
		}
		children, err := t.listLocked(p)
		if err != nil {
			return err
		}
		todo = append(todo, children...)
	}
	return nil
}

// listLocked returns the paths of a znode's children while the tree is locked.
func (t *Tree) listLocked(dir []byte) (out [][]byte, err error) {
	collect := func(name []byte) { out = append(out, joinPath(dir, name)) }
	id := t.lookup(dir)
	if id != 0 && t.nodes.node(id).flags.Load()&nodeComplete != 0 {
		t.residentChildren(t.nodes.node(id), func(_ uint32, name []byte) { collect(name) })
		return out, nil
	}
	var l listing
	if err := t.backend.Children(dir, func(name []byte) bool { l.add(name); return true }); err != nil {
		return nil, err
	}
	if id == 0 {
		l.each(func(name []byte) bool { collect(name); return true })
		return out, nil
	}
	t.mergeChildren(t.nodes.node(id), dir, &l, collect)
	return out, nil
}

// restoreQuotas reads the quotas when the tree is opened.
func (t *Tree) restoreQuotas() error {
	for todo := [][]byte{[]byte(QuotaRoot)}; len(todo) > 0; {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		children, err := t.list(dir)
		if err != nil {
			return err
		}
		todo = append(todo, children...)
		for _, path := range children {
			if err := t.restoreQuota(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Tree) restoreQuota(path []byte) error {
	target, limits, ok := QuotaTarget(path)
	if !ok || !limits {
		return nil
	}
	if err := t.Load(path); err != nil {
		return err
	}
	if err := t.Load(statsPath(target)); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, res := t.live(path); res == Found {
		t.followLimits(target, t.nodes.nodeData(t.nodes.node(id)), true)
	}
	return nil
}
