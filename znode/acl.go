package znode

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/quorate/quorate/wire"
)

// NoACLID is the id of the empty list, which clients cannot set and which
// restricts nothing. It is not counted.
const NoACLID ACLID = 0

// idleBytesMax bounds what lists without a user occupy in an ACLTable.
const idleBytesMax = 4 << 20

// openACLList is the list of OpenACLID.
var openACLList = []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "world", ID: "anyone"}}}

// nobodyList lets in no one but super.
var nobodyList = []wire.ACL{{}}

// ACLTable holds every distinct access control list once and counts its
// users. A list nobody uses any more stays for a while: an event about a
// deleted znode still names it, and the next znode often wants it back.
//
// All methods may be called from any goroutine; Get and Allowed take no lock.
type ACLTable struct {
	auth  atomic.Pointer[Auth]
	slots atomic.Pointer[[]atomic.Pointer[aclSlot]] // by id

	mu        sync.Mutex
	byBytes   map[string]*aclSlot // encoded vector
	free      []ACLID             // below next
	next      ACLID
	idle      []idleACL // oldest first, some used again since
	idleBytes int
}

type aclSlot struct {
	id   ACLID
	acl  []wire.ACL
	key  string
	refs int64 // under mu
	// idled counts how often refs fell to 0: only the last such entry of the
	// idle list is worth anything.
	idled uint32
}

type idleACL struct {
	slot  *aclSlot
	idled uint32
}

// NewACLTable returns a table that knows only the open list.
func NewACLTable() *ACLTable {
	t := &ACLTable{byBytes: map[string]*aclSlot{}, next: OpenACLID + 1}
	slots := make([]atomic.Pointer[aclSlot], 16)
	slots[OpenACLID].Store(&aclSlot{id: OpenACLID, acl: openACLList})
	t.slots.Store(&slots)
	return t
}

// Get returns the list, which must not be modified; nil for an id that names
// none.
func (t *ACLTable) Get(id ACLID) []wire.ACL {
	if s := t.slot(id); s != nil {
		return s.acl
	}
	return nil
}

// SetAuth chooses the schemes that Allowed asks; they are the default ones
// before.
func (t *ACLTable) SetAuth(a *Auth) { t.auth.Store(a) }

// Allowed reports whether a connection with these ids has the permission on a
// znode with the list of this id. An id that names no list allows nothing, so
// that a fault of ours opens no door.
func (t *ACLTable) Allowed(id ACLID, perm int32, ids []wire.ID) bool {
	if id <= OpenACLID {
		return true
	}
	a := t.auth.Load()
	s := t.slot(id)
	if s == nil {
		return a.Allowed(nobodyList, perm, ids)
	}
	return a.Allowed(s.acl, perm, ids)
}

func (t *ACLTable) slot(id ACLID) *aclSlot {
	slots := *t.slots.Load()
	if int(id) >= len(slots) {
		return nil
	}
	return slots[id].Load()
}

// Intern returns the id of the list and takes a reference to it for the
// caller.
func (t *ACLTable) Intern(acl []wire.ACL) ACLID {
	id, err := t.InternVector(wire.AppendACLs(nil, acl))
	if err != nil {
		panic(fmt.Sprintf("znode: a list just encoded does not decode: %v", err))
	}
	return id
}

// InternVector is Intern for the encoded list. It decodes and allocates only
// for a list the table does not know; the error is that of decoding.
func (t *ACLTable) InternVector(v wire.ACLVector) (ACLID, error) {
	if bytes.Equal(v, wire.OpenACL) {
		return OpenACLID, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byBytes[string(v)]; s != nil {
		s.refs++
		return s.id, nil
	}
	r := wire.NewReader(v)
	acl := wire.DecodeACLs(&r)
	if r.Err() != nil {
		return NoACLID, fmt.Errorf("access control list: %w", r.Err())
	}
	if len(acl) == 0 {
		return NoACLID, nil
	}
	s := &aclSlot{id: t.newID(), acl: acl, key: string(v), refs: 1}
	t.put(s)
	return s.id, nil
}

func (t *ACLTable) newID() ACLID {
	if n := len(t.free); n > 0 {
		id := t.free[n-1]
		t.free = t.free[:n-1]
		return id
	}
	t.next++
	return t.next - 1
}

// put publishes a list. Readers go on with the old array while a larger one is
// made: who knows the new id also sees the new array.
func (t *ACLTable) put(s *aclSlot) {
	t.byBytes[s.key] = s
	slots := *t.slots.Load()
	if int(s.id) >= len(slots) {
		grown := make([]atomic.Pointer[aclSlot], max(2*len(slots), int(s.id)+1))
		for i := range slots {
			grown[i].Store(slots[i].Load())
		}
		grown[s.id].Store(s)
		t.slots.Store(&grown)
		return
	}
	slots[s.id].Store(s)
}

// Ref takes one more reference to a list that is in use.
func (t *ACLTable) Ref(id ACLID) {
	if id <= OpenACLID {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.must(id).refs++
}

// Unref gives a reference back. A list without references keeps its id until
// some megabytes of others have followed it.
func (t *ACLTable) Unref(id ACLID) {
	if id <= OpenACLID {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.must(id)
	if s.refs--; s.refs > 0 {
		return
	}
	if s.refs < 0 {
		panic(fmt.Sprintf("znode: list %d given back more often than taken", id))
	}
	s.idled++
	t.idle = append(t.idle, idleACL{s, s.idled})
	t.idleBytes += s.cost()
	t.dropIdle()
}

func (t *ACLTable) must(id ACLID) *aclSlot {
	s := t.slot(id)
	if s == nil {
		panic(fmt.Sprintf("znode: no list %d", id))
	}
	return s
}

// cost is roughly what the list and its place in the table occupy.
func (s *aclSlot) cost() int { return 2*len(s.key) + 256 }

func (t *ACLTable) dropIdle() {
	for t.idleBytes > idleBytesMax {
		d := t.idle[0]
		t.idle[0] = idleACL{}
		t.idle = t.idle[1:]
		t.idleBytes -= d.slot.cost()
		if d.slot.refs == 0 && d.slot.idled == d.idled {
			delete(t.byBytes, d.slot.key)
			(*t.slots.Load())[d.slot.id].Store(nil)
			t.free = append(t.free, d.slot.id)
		}
	}
}

// Entries returns the lists in use with their counts, for a checkpoint. The
// open list is not among them: its id is the same everywhere.
func (t *ACLTable) Entries() map[ACLID]ACLEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[ACLID]ACLEntry, len(t.byBytes))
	for _, s := range t.byBytes {
		if s.refs > 0 {
			out[s.id] = ACLEntry{ACL: s.acl, Refs: s.refs}
		}
	}
	return out
}

// Load replaces the whole table by a checkpoint's. Ids stay what they were.
func (t *ACLTable) Load(entries map[ACLID]ACLEntry) {
	fresh := NewACLTable()
	for id, e := range entries {
		if id <= OpenACLID {
			continue
		}
		fresh.next = max(fresh.next, id+1)
		fresh.put(&aclSlot{id: id, acl: e.ACL, key: string(wire.AppendACLs(nil, e.ACL)), refs: e.Refs})
	}
	for id := OpenACLID + 1; id < fresh.next; id++ {
		if _, used := entries[id]; !used {
			fresh.free = append(fresh.free, id)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.slots.Store(fresh.slots.Load())
	t.byBytes, t.free, t.next = fresh.byBytes, fresh.free, fresh.next
	t.idle, t.idleBytes = nil, 0
}
