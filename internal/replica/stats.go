package replica

import (
	"sync/atomic"

	"github.com/quorate/quorate/wire"
)

// Stats count what a server did since its start or the last reset. All fields
// may be read at any time.
type Stats struct {
	Received, Sent atomic.Int64
	// ReceivedBytes are those of whole packets.
	ReceivedBytes atomic.Int64
	// Connects are requests for a session, Reconnects those among them that name
	// one.
	Connects, Reconnects atomic.Int64
	// Reads and Updates are times from receipt to answer, in ms. Reads that wait,
	// behind a write or for the disk, are not among them.
	Reads, Updates Summary
	// Propagation is how old transactions were when they had been applied, in ms, see [Summary.AddAge]; QuorumAcks are those
	// among them of this leader, when a quorum had them on disk, and CommitNews those of other leaders, when this
	// server heard that they are committed.
	Propagation, QuorumAcks, CommitNews Summary
	// Watchers told of an event, by kind of change; events that nobody waits for
	// are not among them.
	Created, Deleted, Changed, Children Summary
	Proposals, Commits                  atomic.Int64
	AuthFailed                          atomic.Int64
	SessionsExpired                     atomic.Int64
	Oversized                           atomic.Int64
	// LargeRejected are requests that cost their connection, as Limits.LargeBytesMax
	// wants it; ThrottleWaits requests that found no room, ThrottleTimes how long they
	// and all others waited for it in ms; ThrottledOps those refused for that, Stale and
	// StaleDropped those that had waited for longer than their session's timeout.
	LargeRejected, ThrottleWaits, ThrottledOps, Stale, StaleDropped atomic.Int64
	ThrottleTimes                                                   Summary
	// ReadBytes and WriteBytes are of the answers to getData, exists and getChildren, and
	// of creates, deletes and setData, as ZooKeeper reckons them: the path, the data or
	// the children's names, and for a read 68 bytes of Stat. Of reads see also
	// [Replica.CountReads].
	ReadBytes, WriteBytes Namespaces
}

// Latency returns the time from receipt to answer of requests, in ms.
func (s *Stats) Latency() (lowest int64, avg float64, highest int64, count int64) {
	v := View2(&s.Reads, &s.Updates)
	return v.Min, v.Avg(), v.Max, v.Count
}

// Reset starts counting anew, as the srst word does.
func (s *Stats) Reset() {
	for _, c := range []*atomic.Int64{
		&s.Received, &s.Sent, &s.ReceivedBytes, &s.Connects, &s.Reconnects, &s.Proposals, &s.Commits, &s.AuthFailed, &s.SessionsExpired, &s.Oversized,
		&s.LargeRejected, &s.ThrottleWaits, &s.ThrottledOps, &s.Stale, &s.StaleDropped,
	} {
		c.Store(0)
	}
	for _, m := range []*Summary{
		&s.Reads, &s.Updates, &s.Propagation, &s.QuorumAcks, &s.CommitNews, &s.Created, &s.Deleted, &s.Changed, &s.Children, &s.ThrottleTimes,
	} {
		m.Reset()
	}
	s.ReadBytes.Reset()
	s.WriteBytes.Reset()
}

// event counts watch notifications by kind.
func (s *Stats) event(typ wire.EventType, n int64) {
	switch typ {
	case wire.EventNodeCreated:
		s.Created.Add(n)
	case wire.EventNodeDeleted:
		s.Deleted.Add(n)
	case wire.EventNodeDataChanged:
		s.Changed.Add(n)
	case wire.EventNodeChildrenChanged:
		s.Children.Add(n)
	}
}

// latency keeps minimum, maximum, sum and count of durations in ms. Updates
// are not atomic as a whole: a reader may see one of them half done, which a
// statistic can bear.
type latency struct {
	min, max, sum, count atomic.Int64
}

func (l *latency) add(ms int64) {
	if l.count.Load() == 0 || ms < l.min.Load() {
		l.min.Store(ms)
	}
	if ms > l.max.Load() {
		l.max.Store(ms)
	}
	if ms != 0 {
		l.sum.Add(ms)
	}
	l.count.Add(1)
}

func (l *latency) get() (lowest int64, avg float64, highest int64, count int64) {
	count = l.count.Load()
	if count > 0 {
		avg = float64(l.sum.Load()) / float64(count)
	}
	return l.min.Load(), avg, l.max.Load(), count
}

func (l *latency) reset() {
	l.min.Store(0)
	l.max.Store(0)
	l.sum.Store(0)
	l.count.Store(0)
}

// ClientStats is what the cons word prints of a connection.
type ClientStats struct {
	Received, Sent atomic.Int64
	LastOp         atomic.Int32
	LastXid        atomic.Int32
	LastZxid       atomic.Int64
	LastMillis     atomic.Int64 // when the last answer was made, wall clock
	LastLatency    atomic.Int64
	latency        latency
}

func (s *ClientStats) sent() { s.Sent.Add(1) }

// Op returns the last operation, for the lop field.
func (s *ClientStats) Op() wire.Op { return wire.Op(s.LastOp.Load()) }

// Latency returns the connection's latencies in ms.
func (s *ClientStats) Latency() (lowest int64, avg float64, highest int64, count int64) {
	return s.latency.get()
}

// Reset starts counting anew, as the crst word does.
func (s *ClientStats) Reset() {
	s.Received.Store(0)
	s.Sent.Store(0)
	s.latency.reset()
}
