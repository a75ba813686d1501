package znode

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/quorate/quorate/wire"
)

// Options configure a Tree.
type Options struct {
	// Backend is the tree at rest; it stays the caller's to close.
	Backend Backend
	// BudgetBytes is the memory that nodes may take before clean ones are
	// dropped; 0 = no limit.
	BudgetBytes int64
	// Digest checks the digests that transactions carry; a mismatch is counted.
	Digest bool
	// Kinds tells how owners read.
	Kinds OwnerKinds
}

// Tree is the database: znodes, sessions, access control lists and quotas as
// of one zxid. In memory it is a cache of its backend that also holds all
// changes since the last checkpoint.
//
// Many goroutines may read under RLock. One goroutine applies, under Lock, and
// it alone calls Apply, Evict, BeginCheckpoint and EndCheckpoint. No lock is
// held during reads from the backend, except where a method says so.
type Tree struct {
	mu      sync.RWMutex
	opt     Options
	backend Backend

	nodes nodeTable
	index index
	root  uint32

	acls     *ACLTable
	sessions map[int64]int32
	owned    ownedIndex
	quotas   map[string]*quota

	zxid       int64
	digest     uint64
	nodeCount  int64
	dataBytes  int64
	mismatches int64
	wholeFrom  int64 // see Meta.WholeFrom
	doubted    bool

	freeze  freezer
	hand    uint32 // of the clock, see Evict
	inVain  int    // nodes the hand has passed since it found one to drop
	pinned  bool   // they were all nodes, twice
	lists   listingCache
	txn     Txn // the transaction being applied
	sub     Txn
	scratch []byte
}

// NotResidentError says which znodes have to be loaded before a transaction can
// be applied: Path, More, and perhaps others after these; see
// [Tree.LoadMissing]. Nothing was changed. The paths alias the transaction.
type NotResidentError struct {
	Path []byte
	More [][]byte
}

// Error names the path.
func (e *NotResidentError) Error() string { return fmt.Sprintf("znode %s is not in memory", e.Path) }

// Open reads a backend's metadata, not its znodes, and returns the tree as of
// its checkpoint; of a backend that was never written, the tree of a new
// ensemble.
func Open(o Options) (*Tree, error) {
	t := &Tree{
		opt: o, backend: o.Backend, index: newIndex(), acls: NewACLTable(),
		sessions: map[int64]int32{}, quotas: map[string]*quota{},
	}
	t.freeze.init()
	t.owned.init()
	m, found, err := o.Backend.Meta()
	if err != nil {
		return nil, err
	}
	if !found {
		t.plant()
		return t, nil
	}
	t.zxid, t.digest, t.nodeCount, t.dataBytes = m.Zxid, m.Digest, m.NodeCount, m.DataBytes
	t.wholeFrom = m.WholeFrom
	if m.Sessions != nil {
		t.sessions = m.Sessions
	}
	t.acls.Load(m.ACLs)
	if err := t.restore(); err != nil {
		return nil, err
	}
	return t, nil
}

// restore reads what has to be in memory at all times: the root, who owns
// what, and the quotas.
func (t *Tree) restore() error {
	if err := t.Load(rootPath); err != nil {
		return err
	}
	t.root = t.lookup(rootPath)
	if t.root == 0 || t.nodes.node(t.root).flags.Load()&nodeLive == 0 {
		return fmt.Errorf("znode: the tree at rest has no root: %w", ErrCorrupt)
	}
	if err := t.restoreOwned(); err != nil {
		return err
	}
	return t.restoreQuotas()
}

var rootPath = []byte("/")

// plant makes the tree of a new ensemble: the four system nodes, which no
// transaction creates (DataTree's constructor).
func (t *Tree) plant() {
	t.root = t.plantNode("/", OpenACLID)
	t.plantNode("/zookeeper", OpenACLID)
	t.plantNode("/zookeeper/quota", OpenACLID)
	readOnly := t.acls.Intern([]wire.ACL{{Perms: wire.PermRead, ID: wire.ID{Scheme: "world", ID: "anyone"}}})
	config := t.plantNode("/zookeeper/config", readOnly)
	t.nodes.node(config).stat.Aversion = -1
	for id := uint32(1); id < t.nodes.top; id++ {
		n := t.nodes.node(id)
		t.digest += NodeDigest(n.prefix, &n.stat, t.nodes.path(id))
	}
}

func (t *Tree) plantNode(path string, acl ACLID) uint32 {
	at := t.locate([]byte(path))
	id := t.add(&at, []byte{}, &Stat{}, acl)
	if parent := t.nodes.node(id).parent; parent != 0 {
		t.nodes.node(parent).numChildren++
	}
	return id
}

// RLock locks the tree for reading.
func (t *Tree) RLock() { t.mu.RLock() }

// RUnlock ends RLock.
func (t *Tree) RUnlock() { t.mu.RUnlock() }

// Lock locks the tree for changing.
func (t *Tree) Lock() { t.mu.Lock() }

// Unlock ends Lock.
func (t *Tree) Unlock() { t.mu.Unlock() }

// Close gives the tree's memory back. Nobody may use it any more.
func (t *Tree) Close() error {
	t.nodes.closeTable()
	t.index.close()
	return nil
}

// lookup returns the number of the node, live or known to be absent, at path;
// 0 when memory knows nothing of it.
func (t *Tree) lookup(path []byte) uint32 {
	return t.index.find(&t.nodes, t.index.tag(path), path)
}

// live returns the live node at path, or 0 and what is known of it.
func (t *Tree) live(path []byte) (uint32, Residency) {
	if id := t.lookup(path); id != 0 {
		return t.entry(id)
	}
	if _, absent := t.horizon(path); absent {
		return 0, Absent
	}
	return 0, NotResident
}

// entry is live of a path that is known to be in memory.
func (t *Tree) entry(id uint32) (uint32, Residency) {
	n := t.nodes.node(id)
	f := n.flags.Load()
	if f&nodeUsed == 0 {
		n.flags.Or(nodeUsed)
	}
	if f&nodeLive != 0 {
		return id, Found
	}
	return 0, Absent
}

// place is where a znode is, or would be: what memory knows of a path and of
// its parent, each looked up once for all that a transaction does with them.
type place struct {
	path, parent []byte // parent is nil for the root's
	mark         uint32 // the entry at path, live or known to be absent; 0 for none
	id           uint32 // the live node at path
	res          Residency
	parentID     uint32
	parentRes    Residency // Absent for the root's
}

// locateAlone is locate without the parent.
func (t *Tree) locateAlone(path []byte) place {
	at := place{path: path, mark: t.lookup(path)}
	if at.mark != 0 {
		at.id, at.res = t.entry(at.mark)
	} else if _, absent := t.horizon(path); !absent {
		at.res = NotResident
	}
	return at
}

// locate looks a path up, and its parent.
func (t *Tree) locate(path []byte) place {
	at := place{path: path, mark: t.lookup(path)}
	if at.parent, _ = SplitPath(path); at.parent != nil {
		at.parentID, at.parentRes = t.live(at.parent)
	}
	switch {
	case at.mark != 0:
		at.id, at.res = t.entry(at.mark)
	case at.parentRes == Found && t.nodes.node(at.parentID).flags.Load()&nodeComplete != 0:
		at.res = Absent
	default:
		if _, absent := t.horizon(path); !absent {
			at.res = NotResident
		}
	}
	return at
}

// horizon looks at a path that is not in memory: absent when it cannot exist,
// because an ancestor does not, or has all its children in memory, or because
// it is no path; else next is the shortest prefix of it that only the backend
// knows, whose parent is live in memory.
func (t *Tree) horizon(path []byte) (next []byte, absent bool) {
	if checkStoredPath(path) != nil {
		return nil, true
	}
	if len(path) == 1 || t.root == 0 {
		return rootPath, false
	}
	id, end := t.deepest(path)
	if t.nodes.node(id).flags.Load()&nodeComplete != 0 {
		return nil, true
	}
	next = path
	if i := bytes.IndexByte(path[end+1:], '/'); i >= 0 {
		next = path[:end+1+i]
		absent = t.lookup(next) != 0 // known, and not live: it would be deeper
	}
	return next, absent
}

// deepest returns the deepest live node above path in memory, and how long its
// path is, the root's counted as 0. The ancestors of what is live are in
// memory and live too, so the border is found by halving: a path of a million
// components that are not there costs no more than its length.
func (t *Tree) deepest(path []byte) (id uint32, end int) {
	id, end = t.root, 0
	for high := len(path); ; {
		cut := slashBetween(path, end, high)
		if cut == 0 {
			return id, end
		}
		n := t.lookup(path[:cut])
		if n != 0 && t.nodes.node(n).flags.Load()&nodeLive != 0 {
			id, end = n, cut
		} else {
			high = cut
		}
	}
}

// slashBetween returns where a slash is between low and high, exclusive: the
// last one at first, since mostly the parent is there, then one in the middle;
// 0 when there is none.
func slashBetween(path []byte, low, high int) int {
	mid := (low + high + 1) / 2
	if high == len(path) {
		mid = high
	}
	if i := bytes.LastIndexByte(path[low+1:mid], '/'); i >= 0 {
		return low + 1 + i
	}
	if i := bytes.IndexByte(path[mid:high], '/'); i >= 0 {
		return mid + i
	}
	return 0
}

// Find looks path up; "" stands for the root. The caller holds a lock, and
// what n.Data aliases is valid while it does.
func (t *Tree) Find(path []byte, n *Node) Residency {
	if len(path) == 0 {
		path = rootPath
	}
	id, res := t.live(path)
	if res == Found {
		m := t.nodes.node(id)
		m.info(&n.Info)
		n.Data = t.nodes.nodeData(m)
	}
	return res
}

func (n *node) info(i *Info) {
	i.Stat, i.ACL, i.NumChildren, i.DataLength, i.Prefix = n.stat, n.acl, n.numChildren, n.dataLen, n.prefix
}

// Lookup implements [View]: it finds a znode, reading it from the backend if
// need be. The caller holds no lock.
func (t *Tree) Lookup(path []byte) (i Info, found bool, err error) {
	for {
		t.mu.RLock()
		id, res := t.live(path)
		if res == Found {
			t.nodes.node(id).info(&i)
		}
		t.mu.RUnlock()
		if res != NotResident {
			return i, res == Found, nil
		}
		if err := t.Load(path); err != nil {
			return i, false, err
		}
	}
}

// add makes a live node and links it to its parent, which must be in memory.
// It does not change the parent otherwise.
func (t *Tree) add(at *place, data []byte, s *Stat, acl ACLID) uint32 {
	id, path := at.mark, at.path
	if id == 0 {
		id = t.enter(path)
	}
	n := t.nodes.node(id)
	if n.changed > t.freeze.clean {
		n.flags.Or(nodeShadows)
	}
	t.freeze.touch(&t.nodes, id, true)
	n.born = t.freeze.now
	n.flags.Or(nodeLive | nodeComplete | nodeUsed)
	n.stat, n.acl, n.numChildren = *s, acl, 0
	t.setData(n, path, data)
	if at.parentID != 0 {
		t.link(id, at.parentID)
	}
	t.nodeCount++
	t.dataBytes += int64(len(path)) + int64(len(data))
	return id
}

// remove deletes a live node without children. What remains is a mark that it
// is gone, as long as the backend may think otherwise.
func (t *Tree) remove(id uint32) {
	n := t.nodes.node(id)
	t.nodeCount--
	t.dataBytes -= int64(n.pathLen) + int64(max(n.dataLen, 0))
	t.unlink(id)
	if n.born == t.freeze.now && n.flags.Load()&nodeShadows == 0 {
		t.forget(id)
		return
	}
	t.freeze.touch(&t.nodes, id, true)
	n.flags.And(^uint32(nodeLive | nodeComplete))
	t.nodes.clearData(n)
	t.freeze.tombs.add(id)
}

// forget takes a node out of memory.
func (t *Tree) forget(id uint32) {
	t.index.remove(t.nodes.node(id).tag, id)
	t.nodes.drop(id)
}

// enter makes an entry for path that is not live yet.
func (t *Tree) enter(path []byte) uint32 {
	id := t.nodes.take()
	n := t.nodes.node(id)
	n.tag = t.index.tag(path)
	n.path, n.pathLen = t.nodes.put(path), uint32(len(path))
	n.dataLen = -1
	t.index.insert(n.tag, id)
	return id
}

// setData replaces a node's bytes and the prefix of its digest.
func (t *Tree) setData(n *node, path, data []byte) {
	old := max(int(n.dataLen), 0)
	n.data = t.nodes.replace(n.data, old, data)
	n.dataLen = int32(len(data))
	if data == nil {
		n.dataLen = -1
	}
	n.prefix = DataPrefix(path, data)
}

// link puts a live node among its parent's resident children.
func (t *Tree) link(id, pid uint32) {
	n, p := t.nodes.node(id), t.nodes.node(pid)
	n.parent, n.prev, n.next = pid, 0, p.first
	if p.first != 0 {
		t.nodes.node(p.first).prev = id
	}
	p.first = id
}

// unlink is the reverse of link.
func (t *Tree) unlink(id uint32) {
	n := t.nodes.node(id)
	if n.prev != 0 {
		t.nodes.node(n.prev).next = n.next
	} else if n.parent != 0 {
		t.nodes.node(n.parent).first = n.next
	}
	if n.next != 0 {
		t.nodes.node(n.next).prev = n.prev
	}
	n.parent, n.next, n.prev = 0, 0, 0
}

// ACLs returns the tree's lists.
func (t *Tree) ACLs() *ACLTable { return t.acls }

// LastZxid is the last transaction applied. The caller holds a lock, or is the
// goroutine that applies.
func (t *Tree) LastZxid() int64 { return t.zxid }

// Digest is the digest of the whole tree; locking as for LastZxid.
func (t *Tree) Digest() uint64 { return t.digest }

// Whole reports whether the tree is as of LastZxid: one from a Java server's
// snapshot may be ahead of it for a while, and its digest is nobody else's then.
// Locking as for LastZxid.
func (t *Tree) Whole() bool { return t.zxid >= t.wholeFrom && !t.doubted }

// Doubt says that the tree may be ahead of LastZxid in ways that do not show, or no
// longer so: of a znode that was deleted, or got another list, while a Java server wrote
// its snapshot, nothing tells when. The caller holds Lock.
func (t *Tree) Doubt(yes bool) { t.doubted = yes }

// DigestMismatches counts the transactions whose digest differed from the
// tree's after them, while it was whole; locking as for LastZxid.
func (t *Tree) DigestMismatches() int64 { return t.mismatches }

// NodeCount counts the znodes, the root once; locking as for LastZxid.
func (t *Tree) NodeCount() int64 { return t.nodeCount }

// DataBytes is the sum of the lengths of all paths and data; locking as for
// LastZxid.
func (t *Tree) DataBytes() int64 { return t.dataBytes }

// MemoryBytes is what the nodes in memory take; locking as for LastZxid.
func (t *Tree) MemoryBytes() int64 {
	return t.nodes.memory() + t.index.bytes() + t.freeze.bytes() + t.lists.size()
}

// Sessions returns a copy of the session table: timeouts in ms by id. Locking
// as for LastZxid.
func (t *Tree) Sessions() map[int64]int32 {
	out := make(map[int64]int32, len(t.sessions))
	for id, timeout := range t.sessions {
		out[id] = timeout
	}
	return out
}

// HasSession reports whether there is a session.
func (t *Tree) HasSession(id int64) bool {
	_, ok := t.sessions[id]
	return ok
}

// SessionCount counts the sessions; locking as for LastZxid.
func (t *Tree) SessionCount() int { return len(t.sessions) }
