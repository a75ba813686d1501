package replica

import "github.com/quorate/quorate/wire"

// entryKind says what a queued request waits for.
type entryKind uint8

const (
	entryRead  entryKind = iota // a read behind an earlier write of its session
	entryWrite                  // a write on its way through the log
	entryReply                  // an answer that is known and only waits for its turn
	entrySync                   // a sync, or reads' wait for one, that the leader has not answered
	entryNone                   // nothing to answer
)

// entry is one request that was received and is not answered yet.
type entry struct {
	xid   int32
	op    wire.Op
	kind  entryKind
	code  wire.Code // entryReply: the answer
	zxid  int64     // entryReply: the header's zxid, or zxidOfReply
	last  bool      // entryReply: the connection closes after it
	large int32     // the size of a large request that waits: see limiter
	ids   []wire.ID // entryRead: the credentials at the time of arrival
	off   int       // entryRead: where its body is in requestQueue.bodies
	size  int
	held  int // entryWrite: the size of its body, which waits elsewhere
}

// requestQueue is the FIFO of a client's unanswered requests. Bodies of
// waiting reads are copied into one buffer, because the connection's own is
// read into again. Its zero value is empty.
type requestQueue struct {
	entries []entry
	head    int
	bodies  []byte
	held    int // sum of the entries' held
	syncs   int // how many of them are entrySync
}

func (q *requestQueue) len() int   { return len(q.entries) - q.head }
func (q *requestQueue) bytes() int { return len(q.bodies) + q.held }

func (q *requestQueue) push(e entry, body []byte) {
	e.off, e.size = len(q.bodies), len(body)
	q.bodies = append(q.bodies, body...)
	q.held += e.held
	if e.kind == entrySync {
		q.syncs++
	}
	q.entries = append(q.entries, e)
}

func (q *requestQueue) front() *entry { return &q.entries[q.head] }

func (q *requestQueue) body(e *entry) []byte { return q.bodies[e.off : e.off+e.size] }

// pop drops the front. Space is reused when the queue runs empty, and moved
// down when the dead part outweighs the living.
func (q *requestQueue) pop() {
	q.held -= q.entries[q.head].held
	q.entries[q.head].ids = nil
	q.head++
	if q.head == len(q.entries) {
		q.entries, q.head = q.entries[:0], 0
		if cap(q.bodies) > 1<<16 {
			q.bodies = nil
		}
		q.bodies = q.bodies[:0]
		return
	}
	if q.head >= 256 && q.head*2 >= len(q.entries) {
		q.compact()
	}
}

func (q *requestQueue) compact() {
	base := q.entries[q.head].off
	n := copy(q.entries, q.entries[q.head:])
	clear(q.entries[n:])
	q.entries, q.head = q.entries[:n], 0
	q.bodies = q.bodies[:copy(q.bodies, q.bodies[base:])]
	for i := range q.entries {
		q.entries[i].off -= base
	}
}

// synced makes the oldest sync that is not answered a read, which can be answered in
// its turn. It is false when there is none.
func (q *requestQueue) synced() bool {
	for i := q.head; i < len(q.entries); i++ {
		e := &q.entries[i]
		if e.kind != entrySync {
			continue
		}
		q.syncs--
		e.kind = entryRead
		if e.op != wire.OpSync {
			e.kind = entryNone
		}
		return true
	}
	return false
}

// write returns the n-th queued write, counted from 0, or nil.
func (q *requestQueue) write(n int) *entry {
	for i := q.head; i < len(q.entries); i++ {
		if q.entries[i].kind != entryWrite {
			continue
		}
		if n == 0 {
			return &q.entries[i]
		}
		n--
	}
	return nil
}
