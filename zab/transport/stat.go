package transport

import (
	"cmp"
	"slices"
	"time"

	"github.com/quorate/quorate/zab"
)

// PeerStat is a look at one connection to another server, for operators.
type PeerStat struct {
	// ID is the sid of the other server.
	ID int64
	// Conn is the connection of the quorum port; 0 is the election channel.
	Conn zab.ConnID
	// Dialled tells that this server is the learner of a quorum connection.
	Dialled bool
	// Observer tells that the learner introduced itself as one.
	Observer bool
	// Local and Remote are the addresses of the two ends.
	Local, Remote string
	// Since is when the connection was made, Heard when bytes came last.
	Since, Heard time.Time
	// QueuedBytes and QueuedPackets wait to be written.
	QueuedBytes, QueuedPackets int
	// Received counts packets that came, Sent those that were queued to leave.
	Received, Sent int64
}

// Peers returns all open connections, ordered by sid, the election channel first.
func (t *Transport) Peers() []PeerStat {
	out := t.election.stats()
	t.mu.RLock()
	for _, c := range t.conns {
		s := PeerStat{
			ID: c.sid, Conn: c.id, Dialled: c.dialled, Observer: c.observer,
			Local: c.nc.LocalAddr().String(), Remote: c.nc.RemoteAddr().String(),
			Since: c.since, Heard: time.Unix(0, c.heard.Load()),
			Received: c.received.Load(),
		}
		s.QueuedBytes, s.QueuedPackets, s.Sent = c.out.stat()
		out = append(out, s)
	}
	t.mu.RUnlock()
	slices.SortFunc(out, func(a, b PeerStat) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Conn, b.Conn)) })
	return out
}

func (e *election) stats() (out []PeerStat) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.peers {
		l := p.link
		if l == nil {
			continue
		}
		s := PeerStat{
			ID: p.sid, Local: l.nc.LocalAddr().String(), Remote: l.nc.RemoteAddr().String(),
			Since: l.since, Heard: p.seen, Received: l.received.Load(), Sent: l.sent.Load(),
		}
		if p.pending != nil {
			s.QueuedBytes, s.QueuedPackets = len(p.pending), 1
		}
		out = append(out, s)
	}
	return out
}
