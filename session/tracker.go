package session

import (
	"fmt"
	"slices"
)

// Tracker knows the sessions of a server and when each of them expires.
//
// Expiry is in steps of one tick, as in ZooKeeper: the deadline of a touch is
// the first multiple of the tick that lies after now+timeout, and all sessions
// of one deadline form a bucket and expire together. So a session lives for at
// least its timeout and at most one tick longer, and a touch within the same
// tick as the last one has nothing to do.
//
// A session is open or closing. It is closing from the moment its closeSession
// is proposed until that is applied: still known, no longer touched nor
// expired.
//
// All times are milliseconds of one clock of the caller's choice.
type Tracker struct {
	tick     int64
	sessions map[int64]*entry
	buckets  bucketQueue
}

// entry is one session. Open entries of one deadline are linked in their
// bucket; bucket is nil while the session is closing, or taken out by Due.
type entry struct {
	id         int64
	deadline   int64
	bucket     *bucket
	prev, next *entry
	timeout    int32
	closing    bool
}

// NewTracker returns an empty Tracker that expires sessions in steps of
// tickMillis. It panics unless that is positive.
func NewTracker(tickMillis int64) *Tracker {
	if tickMillis <= 0 {
		panic(fmt.Sprintf("session: tick of %d ms", tickMillis))
	}
	return &Tracker{
		tick:     tickMillis,
		sessions: make(map[int64]*entry),
		buckets:  bucketQueue{byDeadline: make(map[int64]*bucket)},
	}
}

// Add makes the session known and open, with its full timeout from now on. A
// session that is known already is replaced: closing or not, it is open again
// and its old deadline is forgotten.
func (t *Tracker) Add(id int64, timeoutMillis int32, now int64) {
	e := t.sessions[id]
	if e == nil {
		e = &entry{id: id}
		t.sessions[id] = e
	}
	t.buckets.remove(e)
	e.timeout, e.closing = timeoutMillis, false
	e.deadline = t.deadline(timeoutMillis, now)
	t.buckets.insert(e)
}

// Touch gives the session timeoutMillis more from now on. The timeout is the
// one negotiated by the connection that was heard from; what Timeout returns
// stays as it was added. A touch that comes late, with a now before that of an
// earlier touch, never takes time away.
//
// Touch returns false, and does nothing, if the session is unknown or closing.
func (t *Tracker) Touch(id int64, timeoutMillis int32, now int64) bool {
	e := t.sessions[id]
	if e == nil || e.closing {
		return false
	}
	deadline := max(e.deadline, t.deadline(timeoutMillis, now))
	if e.bucket != nil && deadline == e.deadline {
		return true
	}
	t.buckets.remove(e)
	e.deadline = deadline
	t.buckets.insert(e)
	return true
}

// deadline returns the first multiple of the tick after now+timeout.
func (t *Tracker) deadline(timeoutMillis int32, now int64) int64 {
	end := now + int64(timeoutMillis)
	past := end % t.tick
	if past < 0 {
		past += t.tick
	}
	return end - past + t.tick
}

// Due takes the sessions whose deadline is at or before now out of their
// buckets and returns their ids in ascending order, nil if there are none.
//
// The caller decides each of them, or it never comes up again: [Tracker.Touch]
// with the time it was last heard from if that turns out to be later than the
// tracker was told, else [Tracker.SetClosing] (or Remove). A touch that is not
// late enough puts the session where the next Due finds it.
func (t *Tracker) Due(now int64) []int64 {
	var ids []int64
	for {
		deadline, ok := t.buckets.first()
		if !ok || deadline > now {
			slices.Sort(ids)
			return ids
		}
		ids = t.buckets.takeFirst(ids)
	}
}

// NextDeadline returns the earliest time at which Due has something to return;
// false if no session is waiting to expire.
func (t *Tracker) NextDeadline() (int64, bool) { return t.buckets.first() }

// SetClosing marks the session as closing, so that it expires no more. It
// returns true once: false means that the session is closing already, or
// unknown, and that no closeSession needs to be proposed.
func (t *Tracker) SetClosing(id int64) bool {
	e := t.sessions[id]
	if e == nil || e.closing {
		return false
	}
	t.buckets.remove(e)
	e.closing = true
	return true
}

// IsClosing reports whether the session is known and closing.
func (t *Tracker) IsClosing(id int64) bool {
	e := t.sessions[id]
	return e != nil && e.closing
}

// Has reports whether the session is known, closing or not.
func (t *Tracker) Has(id int64) bool { return t.sessions[id] != nil }

// Remove forgets the session; an unknown one is ignored.
func (t *Tracker) Remove(id int64) {
	e := t.sessions[id]
	if e == nil {
		return
	}
	t.buckets.remove(e)
	delete(t.sessions, id)
}

// Timeout returns the timeout in milliseconds with which the session was added;
// false if it is unknown.
func (t *Tracker) Timeout(id int64) (int32, bool) {
	e := t.sessions[id]
	if e == nil {
		return 0, false
	}
	return e.timeout, true
}

// Len returns how many sessions are known, closing ones included.
func (t *Tracker) Len() int { return len(t.sessions) }

// Each calls f with every known session, closing ones included, and the timeout
// it was added with, in ascending order of their ids. f must not add or remove
// sessions.
func (t *Tracker) Each(f func(id int64, timeoutMillis int32)) {
	ids := make([]int64, 0, len(t.sessions))
	for id := range t.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		f(id, t.sessions[id].timeout)
	}
}

// Bucket is a set of sessions that expire together.
type Bucket struct {
	Deadline int64   // ms
	IDs      []int64 // ascending
}

// Buckets returns the sessions that are waiting to expire, by ascending
// deadline. Closing sessions are in none.
func (t *Tracker) Buckets() []Bucket { return t.buckets.all() }
