package replica

import (
	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

// Local sessions are known to one server and cost no transaction
// (localSessionsEnabled). They may do everything but own ephemerals: the first of
// those makes the session a global one, unless that is forbidden
// (localSessionsUpgradingEnabled). Clients of a read-only server have local sessions
// too, whatever the settings: nothing can be agreed upon there.

// openLocal makes a local session for a client and answers it.
func (r *Replica) openLocal(c *Client, timeout int32, t Time) *Session {
	id := r.ids.Next()
	for r.sessions[id] != nil || r.local[id] != nil {
		id = r.ids.Next()
	}
	s := &Session{ID: id, owner: noOwner, told: noOwner, local: true}
	r.local[id] = s
	r.localTracker.Add(id, timeout, r.age.At(t.Mono))
	r.giveSession(c, s, timeout, t)
	return s
}

// attachLocal gives a client its local session. It is false when there is none.
func (r *Replica) attachLocal(c *Client, id int64, timeout int32, t Time) bool {
	s := r.local[id]
	if s == nil || !r.localTracker.Touch(id, timeout, r.age.At(t.Mono)) {
		return false
	}
	r.giveSession(c, s, timeout, t)
	return true
}

// sessionOf returns the session with that id, global or local, or nil.
func (r *Replica) sessionOf(id int64) *Session {
	if s := r.sessions[id]; s != nil {
		return s
	}
	return r.local[id]
}

// upgraded makes a local session a global one: its creation has been applied.
func (r *Replica) upgraded(id int64) *Session {
	s := r.local[id]
	if s == nil {
		return nil
	}
	delete(r.local, id)
	r.localTracker.Remove(id)
	s.local, s.upgrading = false, false
	r.sessions[id] = s
	return s
}

// expireLocal ends the local sessions that were not heard of in time.
func (r *Replica) expireLocal(now int64) {
	until, ok := r.localSettling.until(r.localTracker, now, r.opt.Settle)
	if !ok {
		return
	}
	for _, id := range r.localTracker.Due(until) {
		s := r.local[id]
		if heard := s.lastHeard(now); heard > s.touched {
			s.touched = heard
			r.localTracker.Touch(id, s.timeout.Load(), heard)
			continue
		}
		r.Stats.SessionsExpired.Add(1)
		r.endLocal(s)
	}
}

// endLocal forgets a local session and closes its client.
func (r *Replica) endLocal(s *Session) {
	delete(r.local, s.ID)
	r.localTracker.Remove(s.ID)
	if s.client != nil {
		r.end(s.client)
	}
}

// LocalSessions returns how many local sessions there are. Only the loop calls it.
func (r *Replica) LocalSessions() int { return len(r.local) }

// closeLocal answers the closeSession of a local session, in its turn.
func (r *Replica) closeLocal(c *Client) error {
	c.session.ending = true // it goes with its connection, after what is still under way
	c.mu.Lock()
	if e := c.queue.write(c.proposed); e != nil {
		e.kind, e.code, e.zxid, e.last = entryReply, wire.OK, zxidOfReply, true
	}
	c.mu.Unlock()
	return r.drainNow(c)
}

// endedSessions are global sessions that have ended under this leader. A learner's request
// that left before the learner knew of the end must not be taken for one of a local
// session, which the leader does not know either. ZooKeeper takes it so.
type endedSessions struct {
	known map[int64]bool
	ring  []int64
	next  int
}

// endedMax is how many are remembered. What may still come for one that is forgotten has
// been on its way while so many others ended.
const endedMax = 1 << 16

func (e *endedSessions) add(id int64) {
	if e.known == nil {
		e.known = make(map[int64]bool)
	}
	if len(e.ring) < endedMax {
		e.ring = append(e.ring, id)
	} else {
		delete(e.known, e.ring[e.next])
		e.ring[e.next] = id
		e.next = (e.next + 1) % endedMax
	}
	e.known[id] = true
}

// ownsEphemeral reports whether a write makes an ephemeral.
func ownsEphemeral(op wire.Op, body []byte) bool {
	rd := wire.NewReader(body)
	if op != wire.OpMulti {
		return createsEphemeral(&rd, op)
	}
	for {
		var h wire.MultiHeader
		h.Decode(&rd)
		if h.Done || rd.Err() != nil {
			return false
		}
		if h.Op == wire.OpCreate || h.Op == wire.OpCreate2 {
			if createsEphemeral(&rd, h.Op) {
				return true
			}
		} else if skipMultiOp(&rd, h.Op) == multiEmpty {
			return false
		}
	}
}

func createsEphemeral(rd *wire.Reader, op wire.Op) bool {
	if op != wire.OpCreate && op != wire.OpCreate2 {
		return false
	}
	var c wire.CreateRequest
	c.Decode(rd, op)
	return rd.Err() == nil && (c.Flags == wire.FlagEphemeral || c.Flags == wire.FlagEphemeralSequential)
}

// upgrade has a session made global before a write that needs it to be
// (UpgradeableSessionTracker).
func (m *Member) upgrade(sub *Submission, s *Session, t Time) error {
	s.upgrading = true
	w := m.newWrite(&Submission{At: sub.At}, s.ID, wire.OpCreateSession, 0, wire.AppendInt(nil, s.timeout.Load()))
	m.rep.offers[s.ID] = w
	return m.send(w, t)
}

// connectReadOnly answers a client of a server that has no leader and serves reads
// only (ReadOnlyZooKeeperServer). Only clients that say they can do with that are
// taken, and with no session of the ensemble's: nobody could tell whether it lives. Of one
// that this server does not know a client that has seen no more than it has is told
// that it is gone. A client that has seen nothing may have a new one of the ensemble's.
func (m *Member) connectReadOnly(s *Submission, t Time) {
	r := m.rep
	req, timeout, ok := r.greet(s)
	if !ok {
		return
	}
	c := s.Client
	if !req.ReadOnly {
		r.end(c)
		return
	}
	c.mu.Lock()
	c.readOnly = true
	c.mu.Unlock()
	switch {
	case req.SessionID == 0:
		r.openLocal(c, timeout, t).readOnly = true
	case r.ofEnsemble(req.SessionID):
		r.end(c)
	case session.CheckPassword(req.SessionID, req.Passwd) && r.attachLocal(c, req.SessionID, timeout, t):
	case req.LastZxidSeen == 0:
		r.end(c)
	default:
		r.denySession(c)
	}
}

// ofEnsemble reports whether the tree has a session.
func (r *Replica) ofEnsemble(id int64) bool {
	tree := r.Tree()
	tree.RLock()
	defer tree.RUnlock()
	return tree.HasSession(id)
}

// serveReadOnly begins to serve reads without a leader.
func (m *Member) serveReadOnly() {
	r := m.rep
	tree := r.Tree()
	tree.Lock()
	r.readOnly = true
	tree.Unlock()
	r.resumeHeld(func(c *Client) bool { return c.state == StateNew })
}

// isReadOnly reports whether the client was connected by a read-only server.
func (c *Client) isReadOnly() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readOnly
}

// endReadOnly ends the sessions and closes the clients of a read-only server: there is a leader again, or
// what they were shown is replaced.
func (r *Replica) endReadOnly() {
	tree := r.Tree()
	tree.Lock()
	was := r.readOnly
	r.readOnly = false
	tree.Unlock()
	if !was {
		return
	}
	r.EachClient(func(c *Client) {
		if !c.isReadOnly() {
			return
		}
		if s := c.session; s != nil && s.local {
			r.endLocal(s)
		}
		r.end(c)
	})
	for _, id := range r.localIDs() { // of some the client is away
		if s := r.local[id]; s.readOnly {
			r.endLocal(s)
		}
	}
}
