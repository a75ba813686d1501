package transport

import (
	"errors"
	"fmt"
	"sync"

	"github.com/quorate/quorate/zab"
)

const (
	// referBytes is from where on a message's data is not copied: it waits as it is, and is written by itself.
	referBytes = 64 << 10
	// keepBytes is the largest buffer that is kept for the next write, and keepWrites how many writes in a row may leave
	// most of it unused.
	keepBytes  = 4 << 20
	keepWrites = 256
)

// outbox is what waits to be written to one connection: bytes, and between them things that are more than bytes. Any
// goroutine adds; one writes.
//
// The two buffers change places, so that nothing is allocated once they have grown to what one write takes.
type outbox struct {
	mu    sync.Mutex
	ready sync.Cond // of mu: there is something to do

	buf     []byte  // leaves first
	orders  []order // then these, each with the bytes behind it
	spare   []byte  // the writer's, between two writes
	bytes   int     // waiting, with those being written
	packets int     // waiting in buf and orders
	added   int64   // packets ever
	grace   int     // of bytes: what was queued up to NEWLEADER and does not count
	joining bool    // until NEWLEADER: there is no limit
	running bool    // an order is being carried out
	parked  bool    // the writer waits for something to do
	lent    bool    // a sender writes what was in buf
	closing bool    // nothing more is added
	dead    bool    // nothing more is written
	roomy   int     // writes in a row that were small for their buffer
	snaps   int     // snapshots among orders, or being sent without saying yet what they hold
	covered int64   // transactions up to here are in a snapshot that has been sent: they are not queued
}

// order is what is not simply bytes: a snapshot or a range of the log to be sent, or data by reference.
type order struct {
	m     zab.Message // Snap or LogRange; else zero
	data  []byte      // by reference
	after []byte      // what follows it
}

func (q *outbox) init(joining bool) {
	q.ready.L = &q.mu
	q.joining = joining
}

// tail returns the buffer that bytes are added to.
func (q *outbox) tail() *[]byte {
	if n := len(q.orders); n > 0 {
		return &q.orders[n-1].after
	}
	return &q.buf
}

// add queues m. It reports false if more than limit bytes wait: then the connection is to be given up. wake must
// follow.
func (q *outbox) add(m *zab.Message, toLeader bool, limit int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing || q.dead || q.covered > 0 && m.Zxid <= q.covered && ofTransaction(m.Type) {
		return true
	}
	q.packets++
	q.added++
	tail := q.tail()
	before := len(*tail)
	switch {
	case m.Type == zab.Snap || m.Type == zab.LogRange:
		if m.Type == zab.Snap {
			q.snaps++
		}
		q.orders = append(q.orders, order{m: *m})
		return true
	case len(m.Data) >= referBytes && q.snaps == 0: // behind a snapshot all has to be in one piece, see cover
		*tail = appendLongPacketHead(*tail, m)
		q.bytes += len(*tail) - before + len(m.Data)
		q.orders = append(q.orders, order{data: m.Data})
		tail, before = q.tail(), 0
		*tail = appendAuth(*tail, m)
	default:
		*tail = appendPacket(*tail, m, toLeader)
	}
	q.bytes += len(*tail) - before
	if m.Type == zab.NewLeader {
		q.joining, q.grace = false, q.bytes
	}
	return q.joining || q.bytes-q.grace <= limit
}

// ofTransaction tells the packets that bring one, or say that it is committed.
func ofTransaction(t zab.Type) bool {
	return t == zab.Proposal || t == zab.Commit || t == zab.Inform
}

// cover drops what is queued, and what will be, of transactions up to zxid, which the snapshot that is about to be sent
// holds. The writer calls it.
func (q *outbox) cover(zxid int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.snaps--
	q.covered = max(q.covered, zxid)
	kept := q.buf[:0]
	for rest := q.buf; len(rest) > 0; {
		p, n, _, err := parsePacket(rest, len(rest))
		if err != nil || n == 0 {
			return fmt.Errorf("what waits behind a snapshot: %w", errors.Join(err, errLength))
		}
		if p.zxid > zxid || !ofTransaction(zab.Type(p.typ)) {
			kept = append(kept, rest[:n]...)
		} else {
			q.bytes -= n
			q.packets--
		}
		rest = rest[n:]
	}
	q.grace = min(q.grace, q.bytes)
	q.buf = kept
	return nil
}

func (q *outbox) wake() { q.ready.Signal() }

// take waits for something to write: buf, which is given back by done, or o. ok is false when there is nothing more to
// come.
func (q *outbox) take() (buf []byte, o order, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.parked = true
	for !q.dead && (q.lent || len(q.buf) == 0 && len(q.orders) == 0 && !q.closing) {
		q.ready.Wait()
	}
	q.parked = false
	switch {
	case q.dead:
		return nil, o, false
	case len(q.buf) > 0:
		buf = q.buf
		q.buf, q.spare = q.spare[:0], nil
		if len(q.orders) == 0 {
			q.packets = 0
		}
		return buf, o, true
	case len(q.orders) > 0:
		o = q.orders[0]
		q.orders = q.orders[1:]
		if o.after != nil {
			q.spare, q.buf, o.after = q.buf, o.after, nil
		}
		q.running = o.data == nil
		return nil, o, true
	}
	return nil, o, false
}

// done tells that what take gave has been written: buf, or data of so many bytes, or an order.
func (q *outbox) done(buf []byte, dataBytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running = false
	if q.dead {
		return
	}
	q.bytes -= len(buf) + dataBytes
	q.grace = max(0, q.grace-len(buf)-dataBytes)
	if len(q.buf) == 0 && len(q.orders) == 0 {
		q.packets = 0
	}
	if buf != nil {
		q.keep(buf)
	}
}

// keep keeps buf for the next write, unless it is larger than what is usual by now.
func (q *outbox) keep(buf []byte) {
	switch {
	case cap(buf) <= slabBytes:
	case len(buf) < cap(buf)/4:
		q.roomy++
	default:
		q.roomy = 0
	}
	if cap(buf) > keepBytes || q.roomy > keepWrites {
		q.roomy = 0
		return
	}
	q.spare = buf[:0]
}

// close lets the writer end when all that waits has been written. It reports false if that could take long, because a
// snapshot or a range of the log is among it, which is of no use to anybody once the connection is to be closed.
func (q *outbox) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closing = true
	q.ready.Signal()
	for _, o := range q.orders {
		if o.data == nil {
			return false
		}
	}
	return !q.running
}

// kill ends the writer, and forgets what waits.
func (q *outbox) kill() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dead = true
	q.buf, q.orders, q.spare = nil, nil, nil
	q.bytes, q.packets = 0, 0
	q.ready.Signal()
}

// stat returns how many bytes and packets wait, and how many packets have ever been added.
func (q *outbox) stat() (bytes, packets int, added int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes, q.packets, q.added
}
