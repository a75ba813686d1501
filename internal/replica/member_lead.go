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
	// moves says that it is no request: the session has come to the learner, whose
	// client asks for timeout.
	moves   bool
	timeout int32
}

// requestHead is session, cxid and operation in front of a forwarded request.
const requestHead = 16

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
		return m.revalidate(p, t)
	case m.leading && p.Type == zab.Ping:
		m.touchAll(p, t)
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
	if q.moves {
		m.answerMove(q, t)
		return nil
	}
	if q.op == wire.OpSync {
		_ = m.core.Sync(q.conn, 0) // a learner that is gone asks again when it is back
		return nil
	}
	done, err := m.propose(q, q.from, t)
	if err != nil || done == wire.OK {
		return err
	}
	m.proposeError(q, done, t)
	return nil
}

// propose makes a transaction of a request. A code other than OK says why it is none.
func (m *Member) propose(q *remoteRequest, from int64, t Time) (wire.Code, error) {
	r := m.rep
	if q.op == wire.OpCreateSession && (r.sessions[q.session] != nil || r.isOpening(q.session) || r.ended.known[q.session]) {
		return wire.OK, nil // its server has asked before; what came of that is on its way there
	}
	if q.op == wire.OpCloseSession {
		if from == r.opt.ServerID && r.isClosing(q.session) {
			return wire.OK, nil // the one under way ends all its connections
		}
		r.setClosing(q.session)
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
		r.opening[q.session] = opening{server: from}
	}
	if s := r.sessions[q.session]; s != nil && ok {
		s.proposed = m.core.NextZxid() - 1
	}
	if !ok {
		return code, nil
	}
	return wire.OK, nil
}

// opening is a session that is to be: the tracker learns of it when its creation is committed.
type opening struct {
	server  int64 // that asked for it
	closing bool  // its closeSession is proposed, too
}

// isClosing reports whether the closeSession of a session is proposed and not committed.
func (r *Replica) isClosing(id int64) bool { return r.opening[id].closing || r.tracker.IsClosing(id) }

// setClosing notes that it is proposed.
func (r *Replica) setClosing(id int64) {
	if o, ok := r.opening[id]; ok {
		o.closing = true
		r.opening[id] = o
		return
	}
	r.tracker.SetClosing(id)
}

// isOpening reports whether the creation of a session is proposed and not committed.
func (r *Replica) isOpening(id int64) bool {
	_, ok := r.opening[id]
	return ok
}

// proposeError gives a request a zxid and an error.
func (m *Member) proposeError(q *remoteRequest, code wire.Code, t Time) {
	zxid := m.rep.nextZxid
	h := znode.TxnHeader{ClientID: q.session, Cxid: q.cxid, Zxid: zxid, Time: t.Wall, Type: wire.OpError}
	m.log.End(znode.ErrorTxn{Code: code}.Append(h.Append(m.log.Begin())), zxid)
	m.rep.nextZxid = zxidAfter(zxid)
	m.rep.Stats.Proposals.Add(1)
}

// checkSession says whether the server from may write for a session
// (SessionTrackerImpl.checkSession).
func (r *Replica) checkSession(id, from int64) wire.Code {
	s := r.sessions[id]
	switch {
	case r.isClosing(id):
		return wire.ErrSessionExpired
	case r.isOpening(id):
	case s == nil && r.opt.LocalSessions && !r.ended.known[id] && (from != r.opt.ServerID || r.local[id] != nil):
		// A local one, of which only its own server knows: no ephemerals.
		return wire.ErrEphemeralOnLocalSession
	case s == nil:
		return wire.ErrSessionExpired
	case s.owner == noOwner:
		s.owner = from
	case s.owner != from:
		return wire.ErrSessionMoved
	}
	return wire.OK
}

// revalidate takes the question of a learner to which a session has come.
func (m *Member) revalidate(p *zab.Message, t Time) error {
	rd := wire.NewReader(p.Data)
	q := remoteRequest{conn: p.Conn, from: p.From, moves: true, session: rd.Long(), timeout: rd.Int()}
	if rd.Err() != nil {
		return nil //nolint:nilerr // its learner is broken: it gets no answer
	}
	if m.busy() {
		m.waiting.pushRemote(&q)
		return nil
	}
	m.answerMove(&q, t)
	return nil
}

// answerMove tells a learner whether the session that has come to it is alive.
func (m *Member) answerMove(q *remoteRequest, t Time) {
	if m.rep.isOpening(q.session) {
		m.early.pushRemote(q)
		return
	}
	barrier, valid := m.move(q.session, q.timeout, q.from, t)
	m.replies = append(m.replies, delayedReply{
		conn: q.conn, barrier: barrier, data: wire.AppendBool(wire.AppendLong(nil, q.session), valid),
	})
	m.releaseReplies(t)
}

// move makes a session that is alive that of the server to. The client is to be told
// behind barrier: what the session did elsewhere is then over, and is not mistaken for
// what it does there.
//
// A session that comes from another server, or from one that this leader does not
// know, leaves a transaction that changes nothing: an error of the session that no
// request of a client has caused. Where the session was attached before, and what it
// asked for there may still wait for a leader, this is how the server learns that it
// is not to be carried out any more. Whoever serves under a later leader has applied
// it, because the client was not told before it was committed.
func (m *Member) move(id int64, timeout int32, to int64, t Time) (barrier int64, valid bool) {
	r := m.rep
	s, now := r.sessions[id], r.age.At(t.Mono)
	if s == nil || !r.tracker.Touch(id, timeout, now) {
		return 0, false
	}
	if s.owner != to {
		if s.owner != noOwner {
			s.told = s.owner // its client may have come here first, and be there now
		}
		s.owner, s.proposed = to, r.nextZxid
		m.proposeError(&remoteRequest{session: id, cxid: movedCxid}, wire.ErrSessionMoved, t)
	}
	s.timeout.Store(timeout)
	s.heard.Store(now)
	s.touched = now
	return s.proposed, true
}

// movedCxid is the request number of the transaction that says that a session has
// moved. Clients count from 1, and have other negative numbers for what is no write.
const movedCxid = 0

// delayedReply is the answer to a client whose session has come here or, with no
// client, to a learner to which one has come. It leaves behind the commit of barrier.
type delayedReply struct {
	conn    zab.ConnID
	barrier int64
	data    []byte
	asked
}

func (m *Member) releaseReplies(t Time) {
	m.answerEarly(t)
	n, applied := 0, m.rep.Tree().LastZxid()
	for n < len(m.replies) && m.replies[n].barrier <= applied {
		switch d := &m.replies[n]; {
		case d.client != nil && m.movedOn(d.session):
			m.rep.end(d.client)
		case d.client != nil:
			m.admit(&d.asked, true, t)
		default:
			_ = m.core.Reply(d.conn, d.data) // a learner that is gone asks again
		}
		n++
	}
	m.replies = m.replies[n:]
}

// answerEarly answers who asked for a local session while it was being made a global one.
func (m *Member) answerEarly(t Time) {
	list := m.early.list
	m.early = waitingSteps{}
	for i := range list {
		switch w := &list[i]; {
		case m.busy():
			m.waiting.add(*w)
		case w.remote != nil:
			m.answerMove(w.remote, t)
		default:
			m.attachHere(*w.asked, t)
		}
	}
}

// movedOn reports whether a session that was about to come to this leader's client has
// gone to another server meanwhile. To give it to the client nevertheless would have its
// first write refused.
func (m *Member) movedOn(id int64) bool {
	s := m.rep.sessions[id]
	return s != nil && s.owner != m.rep.opt.ServerID
}

// touchAll takes a learner's list of the sessions it has heard from.
func (m *Member) touchAll(p *zab.Message, t Time) {
	rd, now := wire.NewReader(p.Data), m.rep.age.At(t.Mono)
	for len(rd.Remaining()) > 0 {
		id, timeout := rd.Long(), rd.Int()
		if rd.Err() != nil {
			return
		}
		if s := m.rep.sessions[id]; s != nil && m.rep.tracker.Touch(id, timeout, now) {
			s.heard.Store(now)
			s.touched, s.told = now, p.From
		}
	}
}

// closeOrphans ends sessions that have ephemerals and are no sessions any more, as many
// as the leader has room for; the others wait. None should be; a Java ensemble can leave
// some behind.
func (m *Member) closeOrphans(t Time) error {
	for len(m.orphans) > 0 && m.ready() {
		id := m.orphans[0]
		m.orphans = m.orphans[1:]
		if m.rep.sessions[id] != nil {
			continue
		}
		if err := m.rep.closeExpired(&m.log, id, t); err != nil {
			return err
		}
	}
	return nil
}

// attachHere gives a client of the leader its session, when all is over that the
// session did elsewhere.
func (m *Member) attachHere(a asked, t Time) {
	if m.rep.isOpening(a.session) {
		m.early.add(waitingStep{asked: &a})
		return
	}
	barrier, valid := m.move(a.session, a.timeout, m.rep.opt.ServerID, t)
	if !valid {
		m.admit(&a, false, t)
		return
	}
	m.replies = append(m.replies, delayedReply{barrier: barrier, asked: a})
	m.releaseReplies(t)
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
	default:
		m.reattach(asked{c, req.SessionID, timeout}, t)
	}
	return nil
}

// reattach asks for a session that a client brings. The connection it had here, if any,
// ends at once: what may still come on it, however late, is from before what the client
// has done elsewhere meanwhile.
func (m *Member) reattach(a asked, t Time) {
	if s := m.rep.sessions[a.session]; s != nil && s.client != nil {
		m.rep.end(s.client)
	}
	if m.leading {
		m.attachHere(a, t)
	} else {
		m.ask(a)
	}
}
