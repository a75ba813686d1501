package replica

import (
	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// This file is what a leader does for its learners and for its own clients.

// remoteRequest is a client's request that a learner has forwarded.
type remoteRequest struct {
	conn    zab.ConnID
	from    int64 // the learner's sid
	session int64
	cxid    int32
	op      wire.Op
	body    []byte
	ids     []wire.ID
}

// requestHead is session, cxid and operation in front of a forwarded request.
const requestHead = 16

// idsMax bounds the credentials of one request.
const idsMax = 1024

func decodeRequest(p *zab.Message) (q remoteRequest, ok bool) {
	q.conn, q.from = p.Conn, p.From
	rd := wire.NewReader(p.Data)
	q.session, q.cxid, q.op = rd.Long(), rd.Int(), wire.Op(rd.Int())
	q.body = rd.Remaining()
	if rd.Err() != nil {
		return q, false
	}
	q.ids, ok = decodeIDs(p.Auth)
	return q, ok
}

// decodeIDs reads vector<Id>; nothing at all is an empty list.
func decodeIDs(b []byte) (ids []wire.ID, ok bool) {
	if len(b) == 0 {
		return nil, true
	}
	rd := wire.NewReader(b)
	n := rd.Int()
	if n > idsMax {
		return nil, false
	}
	for ; n > 0 && rd.Err() == nil; n-- {
		ids = append(ids, wire.ID{Scheme: rd.String(), ID: rd.String()})
	}
	return ids, rd.Err() == nil
}

func appendIDs(dst []byte, ids []wire.ID) []byte {
	dst = wire.AppendInt(dst, int32(len(ids))) //nolint:gosec // a connection has a few
	for _, id := range ids {
		dst = wire.AppendString(wire.AppendString(dst, id.Scheme), id.ID)
	}
	return dst
}

// packet takes one that came from a learner or from the leader.
func (m *Member) packet(p *zab.Message, t Time) error {
	switch {
	case m.epoch == 0:
		return nil // it came before DeliverServe or after DeliverStop
	case m.leading && p.Type == zab.Request:
		return m.request(p, t)
	case m.leading && p.Type == zab.Revalidate:
		m.revalidate(p, t)
	case m.leading && p.Type == zab.Ping:
		m.touchAll(p.Data, t)
	case p.Type == zab.Revalidate:
		m.revalidated(p.Data, t)
	case p.Type == zab.Sync:
		return m.synced()
	}
	return nil
}

// request takes a forwarded request. One that cannot be read is ignored: its learner
// is broken.
func (m *Member) request(p *zab.Message, t Time) error {
	q, ok := decodeRequest(p)
	if !ok {
		return nil
	}
	if m.busy() {
		m.waiting.pushRemote(&q)
		return nil
	}
	return m.serveRequest(&q, t)
}

// serveRequest proposes what a learner's client asked for. Every request becomes a
// transaction, for the learner waits for one; what cannot be served becomes an error
// (PrepRequestProcessor.pRequest).
func (m *Member) serveRequest(q *remoteRequest, t Time) error {
	if q.op == wire.OpSync {
		_ = m.core.Sync(q.conn, 0) // a learner that is gone asks again when it is back
		return nil
	}
	done, err := m.propose(q, q.from, t)
	if err != nil || done == wire.OK {
		return err
	}
	return m.proposeError(q, done, t)
}

// propose makes a transaction of a request. A code other than OK says why it is none.
func (m *Member) propose(q *remoteRequest, from int64, t Time) (wire.Code, error) {
	r := m.rep
	if q.op == wire.OpCloseSession {
		if r.tracker.IsClosing(q.session) {
			return wire.OK, nil // the one under way ends all its connections
		}
		r.tracker.SetClosing(q.session)
	}
	req := znode.Request{Session: q.session, Cxid: q.cxid, Op: q.op, Body: q.body, IDs: q.ids}
	if q.op != wire.OpCreateSession && q.op != wire.OpCloseSession {
		req.SessionErr = r.checkSession(q.session, from)
	}
	ok, code, err := r.propose(&m.log, &req, t, owner{})
	if err != nil {
		return wire.OK, err
	}
	if ok && q.op == wire.OpCreateSession {
		r.opening[q.session] = true
	}
	if s := r.sessions[q.session]; s != nil && ok {
		s.proposed = m.core.NextZxid() - 1
	}
	if !ok {
		return code, nil
	}
	return wire.OK, nil
}

// proposeError gives a request a zxid and an error.
func (m *Member) proposeError(q *remoteRequest, code wire.Code, t Time) error {
	zxid := m.rep.nextZxid
	h := znode.TxnHeader{ClientID: q.session, Cxid: q.cxid, Zxid: zxid, Time: t.Wall, Type: wire.OpError}
	m.log.End(znode.ErrorTxn{Code: code}.Append(h.Append(m.log.Begin())), zxid)
	m.rep.nextZxid = zxidAfter(zxid)
	m.rep.Stats.Proposals.Add(1)
	return nil
}

// checkSession says whether the server from may write for a session
// (SessionTrackerImpl.checkSession).
func (r *Replica) checkSession(id, from int64) wire.Code {
	s := r.sessions[id]
	switch {
	case r.opening[id]:
	case s == nil && r.opt.LocalSessions && (from != r.opt.ServerID || r.local[id] != nil):
		// A local one, of which only its own server knows: no ephemerals.
		return wire.ErrEphemeralOnLocalSession
	case s == nil || r.tracker.IsClosing(id):
		return wire.ErrSessionExpired
	case s.owner == noOwner:
		s.owner = from
	case s.owner != from:
		return wire.ErrSessionMoved
	}
	return wire.OK
}

// revalidate answers a learner to which a session has come. The answer follows the
// session's last proposal: what the session did elsewhere is then over, and is not
// mistaken for what it does there.
func (m *Member) revalidate(p *zab.Message, t Time) {
	rd := wire.NewReader(p.Data)
	id, timeout := rd.Long(), rd.Int()
	if rd.Err() != nil {
		return
	}
	r := m.rep
	s := r.sessions[id]
	valid := s != nil && r.tracker.Touch(id, timeout, t.Mono)
	var barrier int64
	if valid {
		s.owner, barrier = p.From, s.proposed
		s.timeout.Store(timeout)
		s.heard.Store(t.Mono)
		s.touched = t.Mono
		if c := s.client; c != nil {
			s.client = nil
			r.end(c)
		}
	}
	m.replies = append(m.replies, delayedReply{
		conn: p.Conn, barrier: barrier, data: wire.AppendBool(wire.AppendLong(nil, id), valid),
	})
	m.releaseReplies()
}

// delayedReply is the answer to a revalidation, which leaves behind the commit of
// barrier.
type delayedReply struct {
	conn    zab.ConnID
	barrier int64
	data    []byte
}

func (m *Member) releaseReplies() {
	n, applied := 0, m.rep.Tree().LastZxid()
	for n < len(m.replies) && m.replies[n].barrier <= applied {
		_ = m.core.Reply(m.replies[n].conn, m.replies[n].data) // a learner that is gone asks again
		n++
	}
	m.replies = m.replies[n:]
}

// touchAll takes a learner's list of the sessions it has heard from.
func (m *Member) touchAll(list []byte, t Time) {
	rd := wire.NewReader(list)
	for len(rd.Remaining()) > 0 {
		id, timeout := rd.Long(), rd.Int()
		if rd.Err() != nil {
			return
		}
		if s := m.rep.sessions[id]; s != nil && m.rep.tracker.Touch(id, timeout, t.Mono) {
			s.heard.Store(t.Mono)
			s.touched = t.Mono
		}
	}
}

// closeOrphans ends sessions that have ephemerals and are no sessions any more. None
// should be; a Java ensemble can leave one behind.
func (m *Member) closeOrphans(t Time) error {
	for _, id := range m.rep.Tree().EphemeralSessions() {
		if m.rep.sessions[id] != nil || m.rep.full() {
			continue
		}
		if err := m.rep.closeExpired(&m.log, id, t); err != nil {
			return err
		}
	}
	return nil
}

// attachHere gives a client of the leader its session.
func (m *Member) attachHere(c *Client, id int64, timeout int32, t Time) {
	r := m.rep
	s := r.sessions[id]
	if s == nil || !r.tracker.Touch(id, timeout, t.Mono) {
		r.denySession(c)
		return
	}
	s.owner = r.opt.ServerID
	r.giveSession(c, s, timeout, t)
}

// connect decides a connect request. A new session is one more write; a known one is
// the leader's to judge.
func (m *Member) connect(s *Submission, t Time) error {
	r := m.rep
	req, timeout, ok := r.greet(s)
	if !ok {
		return nil
	}
	c := s.Client
	switch {
	case req.SessionID == 0 && r.opt.LocalSessions:
		r.openLocal(c, timeout, t)
	case req.SessionID == 0:
		id := r.offerSession(c, timeout)
		w := m.newWrite(s, id, wire.OpCreateSession, 0, wire.AppendInt(nil, timeout))
		c.proposed++
		r.offers[id] = w
		return m.send(w, t)
	case !session.CheckPassword(req.SessionID, req.Passwd):
		r.denySession(c)
	case r.attachLocal(c, req.SessionID, timeout, t):
	case m.leading:
		m.attachHere(c, req.SessionID, timeout, t)
	default:
		m.ask(c, req.SessionID, timeout)
	}
	return nil
}
