package replica

import (
	"sync"

	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/watch"
	"github.com/quorate/quorate/znode"
)

// SessionSet is the sessions that expire together, for the dump word.
type SessionSet struct {
	Deadline int64 // ms on the monotonic clock
	IDs      []int64
}

// SessionSets returns the sessions by expiry, if this server decides about it:
// one that is alone, or leads. Touches that came since the tracker last looked
// are not counted. Only the loop calls it.
func (r *Replica) SessionSets() []SessionSet { return r.setsOf(r.tracker) }

// LocalSessionSets returns the local sessions by expiry. Only the loop calls it.
func (r *Replica) LocalSessionSets() []SessionSet { return r.setsOf(r.localTracker) }

func (r *Replica) setsOf(t *session.Tracker) (out []SessionSet) {
	if t == nil {
		return nil
	}
	for _, b := range t.Buckets() {
		out = append(out, SessionSet{Deadline: r.age.Mono(b.Deadline), IDs: b.IDs})
	}
	return out
}

// WatchSummary counts the data watches, for the wchs word.
type WatchSummary struct{ Connections, Paths, Watches int }

// WatchSummary returns the counts. Any goroutine may call it.
func (r *Replica) WatchSummary() WatchSummary {
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	var s WatchSummary
	s.Connections, s.Paths, s.Watches = r.watches.DataSummary()
	return s
}

// WatchesBySession calls fn with the paths each session watches (data watches
// only, as ZooKeeper tells them). Any goroutine may call it.
func (r *Replica) WatchesBySession(fn func(session int64, paths []string)) {
	ids := r.watcherSessions()
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	for w, paths := range r.watches.EachDataByWatcher {
		fn(ids[w], paths)
	}
}

// WatchesByPath calls fn with the sessions that watch each path. Any goroutine
// may call it.
func (r *Replica) WatchesByPath(fn func(path string, sessions []int64)) {
	ids := r.watcherSessions()
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	var sessions []int64
	for path, who := range r.watches.EachDataByPath {
		sessions = sessions[:0]
		for _, w := range who {
			sessions = append(sessions, ids[w])
		}
		fn(path, sessions)
	}
}

// watcherSessions is taken before the table is locked: a client's lock comes
// before the table's.
func (r *Replica) watcherSessions() map[watch.Watcher]int64 {
	ids := make(map[watch.Watcher]int64)
	r.EachClient(func(c *Client) {
		if s := c.Session(); s != nil {
			ids[c.watcher] = s.ID
		}
	})
	return ids
}

// WatchCount returns the number of watches in both tables.
func (r *Replica) WatchCount() int {
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	return r.watches.Count()
}

// ZxidDigest is the digest of the tree after the transaction of that zxid.
type ZxidDigest struct {
	Zxid   int64
	Digest uint64
}

const (
	digestEvery = 128  // a digest is kept for every zxid that this divides
	digestsMax  = 1024 // and so many of them
)

// digestLog keeps the latest digests, for comparing servers.
type digestLog struct {
	mu   sync.Mutex
	list []ZxidDigest
}

func (l *digestLog) note(zxid int64, digest uint64) {
	if zxid%digestEvery != 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == digestsMax {
		l.list = append(l.list[:0], l.list[1:]...)
	}
	l.list = append(l.list, ZxidDigest{Zxid: zxid, Digest: digest})
}

// clear forgets the digests: the tree is another.
func (l *digestLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

// Digests returns the digests that were kept, oldest first. Any goroutine may
// call it.
func (r *Replica) Digests() []ZxidDigest {
	r.digests.mu.Lock()
	defer r.digests.mu.Unlock()
	return append([]ZxidDigest(nil), r.digests.list...)
}

// Serving reports whether clients are served, and whether there is no leader
// but reads are served to the clients that can do with that. Any goroutine may
// call it.
func (r *Replica) Serving() (serving, readOnly bool) {
	r.View(func(tree *znode.Tree) {
		tree.RLock()
		defer tree.RUnlock()
		serving, readOnly = r.serving, r.readOnly
	})
	return serving, readOnly
}

// PendingSyncs returns how many rounds of sync wait for the leader's word. Only
// the loop calls it.
func (m *Member) PendingSyncs() int { return len(m.syncs.sent) }
