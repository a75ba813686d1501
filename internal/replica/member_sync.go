package replica

import (
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
)

// syncRound is one question to the leader, which all share that asked until it left.
// The answer comes behind everything committed before, and after the leader has made
// sure that it leads still (zab.Core.Sync).
type syncRound struct {
	clients []*Client // one entry for each sync
	// session and xid are of the first of them: a Java leader wants a session.
	session int64
	xid     int32
}

// syncQueue is the rounds under way, oldest first, and the one that gathers.
type syncQueue struct {
	sent      []syncRound
	gathering syncRound
}

func (q *syncQueue) add(c *Client, session int64, xid int32) {
	if len(q.gathering.clients) == 0 {
		q.gathering.session, q.gathering.xid = session, xid
	}
	q.gathering.clients = append(q.gathering.clients, c)
}

// unsend makes one round of all that were asked for: who was asked is gone.
func (q *syncQueue) unsend() {
	for i := len(q.sent) - 1; i >= 0; i-- {
		s := q.sent[i]
		s.clients = append(s.clients, q.gathering.clients...)
		q.gathering = s
	}
	q.sent = nil
}

// askSync sends the round that has gathered.
func (m *Member) askSync() {
	q := &m.syncs
	if m.epoch == 0 || len(q.gathering.clients) == 0 {
		return
	}
	g := q.gathering
	var err error
	if m.leading {
		err = m.core.Sync(0, 0)
	} else {
		data := wire.AppendInt(wire.AppendLong(nil, g.session), g.xid)
		data = wire.AppendBuffer(wire.AppendInt(data, int32(wire.OpSync)), []byte("/"))
		err = m.core.Forward(zab.Request, data, appendIDs(nil, nil))
	}
	if err == nil {
		q.sent = append(q.sent, g)
		q.gathering = syncRound{}
	}
}

// synced answers the oldest round.
func (m *Member) synced() error {
	if len(m.syncs.sent) == 0 {
		return nil // it was asked for by clients that are closed
	}
	g := m.syncs.sent[0]
	m.syncs.sent = m.syncs.sent[1:]
	for _, c := range g.clients {
		c.mu.Lock()
		found := c.queue.synced()
		if c.behind && c.queue.syncs == 0 {
			c.behind = false
			c.listenAgain()
			m.rep.resume = append(m.rep.resume, c)
		}
		c.mu.Unlock()
		if !found {
			continue
		}
		if err := m.rep.drainNow(c); err != nil {
			return fmt.Errorf("after a sync: %w", err)
		}
	}
	return nil
}
