package replica

import (
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// This file is what a server does for its own clients with the help of the leader.

// newWrite makes the packet that a write travels as.
func (m *Member) newWrite(s *Submission, session int64, op wire.Op, xid int32, body []byte) *ownWrite {
	b := m.slab.room(requestHead + len(body))
	b = wire.AppendInt(wire.AppendInt(wire.AppendLong(b, session), xid), int32(op))
	b = append(b, body...)
	return &ownWrite{
		owner:   owner{client: s.Client, op: op, xid: xid, at: s.At},
		session: session, data: m.slab.keep(b), ids: s.IDs,
	}
}

// write sends a client's write on its way.
func (m *Member) write(s *Submission, t Time) error {
	c := s.Client
	if !znode.Parses(s.Op, s.Body) {
		return m.rep.refuse(c, wire.ErrMarshalling)
	}
	sess := m.rep.sessionOf(c.session.ID)
	if sess != nil && sess.local && sess == c.session {
		if s.Op == wire.OpCloseSession && !sess.upgrading {
			return m.rep.closeLocal(c)
		}
		if m.rep.opt.LocalUpgrade && !sess.upgrading && ownsEphemeral(s.Op, s.Body) {
			if err := m.upgrade(s, sess, t); err != nil {
				return err
			}
		}
	}
	if m.rep.opt.EagerACL {
		code, err := m.rep.Tree().Eager(s.Op, s.Body, s.IDs)
		if err != nil {
			return err // and no answer: it would say that the write is done
		}
		if code != wire.OK {
			return m.rep.refuseWith(c, code, 0)
		}
	}
	w := m.newWrite(s, c.session.ID, s.Op, s.Xid, s.Body)
	w.audit = m.rep.auditNote(c.session.ID, s.IDs, s.Body)
	if sess == nil || sess != c.session {
		// The session has ended; so does this connection, if it has not already.
		m.rep.end(c)
		return nil
	}
	c.proposed++
	sess.own.push(w)
	return m.send(w, t)
}

// send gives a write to the leader. If there is none it stays where it is until there
// is.
func (m *Member) send(w *ownWrite, t Time) error {
	if m.leading && !m.ready() {
		m.unsent = append(m.unsent, w) // one submission can take two transactions
		return nil
	}
	if m.leading {
		return m.proposeOwn(w, t)
	}
	if m.core.Forward(zab.Request, w.data, appendIDs(nil, w.ids)) == nil {
		w.epoch = m.epoch
	}
	return nil
}

// proposeOwn proposes the write of a client of this leader.
func (m *Member) proposeOwn(w *ownWrite, t Time) error {
	q := remoteRequest{session: w.session, cxid: w.xid, op: w.op, body: w.body(), ids: w.ids}
	w.epoch = m.epoch
	code, err := m.propose(&q, m.rep.opt.ServerID, t)
	if err != nil || code == wire.OK {
		return err
	}
	m.proposeError(&q, code, t)
	return nil
}

// resend gives the new leader every write that was on its way to the last one. All of
// the history that the last leader left has been applied, so what is still here is not
// part of it, and never will be. Only when the leader is the same, and merely the
// connection to it was lost, nobody knows: those clients are told as ZooKeeper tells
// all of them, by closing their connections.
func (m *Member) resend() {
	for _, id := range sortedIDs(m.rep.offers) {
		w := m.rep.offers[id]
		if w.epoch == m.epoch && w.client != nil {
			m.rep.end(w.client)
			delete(m.rep.offers, id)
			continue
		}
		m.unsent = append(m.unsent, w)
	}
	for _, id := range slices.Concat(m.rep.sessionIDs(), m.rep.localIDs()) {
		s := m.rep.sessionOf(id)
		if slices.ContainsFunc(s.own.list, func(w *ownWrite) bool { return w.epoch == m.epoch }) {
			for _, w := range s.own.list {
				m.rep.end(w.client)
			}
			s.own = ownQueue{}
			continue
		}
		m.unsent = append(m.unsent, s.own.list...)
	}
}

// asked is a client that waits for the leader's word about its session.
type asked struct {
	client  *Client
	session int64
	timeout int32
}

// ask has the leader say whether a session that a client brings is alive, which also
// makes it this server's (Learner.validateSession).
func (m *Member) ask(a asked) {
	m.asking[a.session] = append(m.asking[a.session], a)
	m.askLeader(&a)
}

func (m *Member) askLeader(a *asked) {
	// If there is no leader any more, all is asked again when there is one.
	_ = m.core.Forward(zab.Revalidate, wire.AppendInt(wire.AppendLong(nil, a.session), a.timeout), nil)
}

// askAgain asks a new leader what the last one has not answered. A leader asks itself,
// in turn with all else that waits.
//
// Sessions that are attached here already are not asked about. A client that has left
// for another server may look as if it were still here, and to ask would take its
// session from where it is; if it has ended, the history says so. Whoever writes for it
// first is the one it belongs to.
func (m *Member) askAgain() {
	for _, id := range sortedIDs(m.asking) {
		list := m.asking[id]
		if !m.leading {
			m.askLeader(&list[len(list)-1])
			continue
		}
		delete(m.asking, id)
		for i := range list {
			m.waiting.add(waitingStep{asked: &list[i]})
		}
	}
}

// admit gives a client its session, or tells it that there is none.
func (m *Member) admit(a *asked, valid bool, t Time) {
	r := m.rep
	s := r.sessions[a.session]
	switch {
	case a.client.State() != StateConnecting:
		return // gone by now
	case !valid:
		r.denySession(a.client)
		return
	case s == nil && m.leading:
		r.denySession(a.client) // it was closed meanwhile
		return
	case s == nil:
		s = r.openSession(a.session, a.timeout) // its creation is still on its way
	}
	r.giveSession(a.client, s, a.timeout, t)
}

// revalidated takes the leader's word about a session (Learner.revalidate).
func (m *Member) revalidated(data []byte, t Time) {
	rd := wire.NewReader(data)
	id, valid := rd.Long(), rd.Bool()
	if rd.Err() != nil {
		return
	}
	list := m.asking[id]
	delete(m.asking, id)
	for i := range list {
		m.admit(&list[i], valid, t)
	}
	if s := m.rep.sessions[id]; !valid && s != nil && s.client != nil {
		m.rep.end(s.client)
	}
}

// reportSessions fills the answers to the leader's pings with the sessions that were
// heard from since the last one (Learner.ping).
func (m *Member) reportSessions(out []zab.Message) {
	if m.leading || m.epoch == 0 {
		return
	}
	for i := range out {
		if out[i].Type == zab.Ping {
			out[i].Data = m.rep.heardFrom(out[i].Data)
		}
	}
}

// heardFrom appends the sessions, with their timeouts, that were heard from since the
// last call, or that this server does not listen to.
func (r *Replica) heardFrom(dst []byte) []byte {
	if dst == nil {
		dst = []byte{}
	}
	now := r.age.At(r.now)
	for _, id := range r.sessionIDs() {
		s := r.sessions[id]
		if heard := s.lastHeard(now); (s.client != nil || s.untold) && heard > s.reported {
			s.reported = heard
			dst = wire.AppendInt(wire.AppendLong(dst, id), s.timeout.Load())
		}
		s.untold = false
	}
	return dst
}
