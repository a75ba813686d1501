package replica

import (
	"fmt"

	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// Appender takes the transactions that Submit proposes, for the log. Begin
// returns a buffer to append one to, End gives it back.
type Appender interface {
	Begin() []byte
	End(buf []byte, zxid int64)
}

// Time is the loop's view of the clock, in ms.
type Time struct {
	Mono int64 // never goes back
	Wall int64 // since 1970: what ctime and mtime are made of
}

// Submit handles one step that a connection asked for. What it proposes goes
// to log, and must be given to Apply once it is committed. Only the loop calls
// it; call Flush after a run of them. An error means that the tree at rest
// could not be read.
func (r *Replica) Submit(log Appender, s *Submission, t Time) error {
	r.now = t.Mono
	switch s.Kind {
	case SubmitConnect:
		return r.connect(log, s, t)
	case SubmitDetach:
		r.detach(s.Client)
		return nil
	default:
		return r.write(log, s, t)
	}
}

// Flush tells connections about what Submit answered at once.
func (r *Replica) Flush() { r.notifySinks() }

// write proposes one request of a session.
func (r *Replica) write(log Appender, s *Submission, t Time) error {
	sess := s.Client.session
	req := znode.Request{Session: sess.ID, Cxid: s.Xid, Op: s.Op, Body: s.Body, IDs: s.IDs}
	if !r.tracker.Has(sess.ID) || r.tracker.IsClosing(sess.ID) {
		if s.Op == wire.OpCloseSession {
			return nil // the one under way closes the connection
		}
		req.SessionErr = wire.ErrSessionExpired
	}
	if s.Op == wire.OpCloseSession {
		r.tracker.SetClosing(sess.ID)
	}
	ok, code, err := r.propose(log, &req, t, owner{
		client: s.Client, op: s.Op, xid: s.Xid, at: s.At, audit: r.auditNote(sess.ID, s.IDs, s.Body),
	})
	if err != nil || ok {
		return err
	}
	return r.refuse(s.Client, code)
}

// propose turns a request into a transaction and gives it to the log.
func (r *Replica) propose(log Appender, req *znode.Request, t Time, o owner) (bool, wire.Code, error) {
	req.Zxid, req.Time = r.nextZxid, t.Wall
	out, ok, code, err := r.prep.Prepare(log.Begin(), req)
	if err != nil || !ok {
		return false, code, err
	}
	log.End(out, r.nextZxid)
	if !r.opt.Member {
		o.zxid = r.nextZxid
		r.inflight.push(o)
		if o.client != nil {
			o.client.proposed++
		}
	}
	r.nextZxid = zxidAfter(r.nextZxid)
	r.Stats.Proposals.Add(1)
	return true, wire.OK, nil
}

// zxidAfter returns the next transaction's zxid. Without peers nobody starts a
// new epoch when the counter is used up, so it starts by itself; counter 0 is
// never a transaction.
func zxidAfter(zxid int64) int64 {
	if zxid++; uint32(zxid) == 0 {
		zxid++
	}
	return zxid
}

// refuse answers a write that did not become a transaction, in its turn.
func (r *Replica) refuse(c *Client, code wire.Code) error { return r.refuseWith(c, code, zxidOfReply) }

func (r *Replica) refuseWith(c *Client, code wire.Code, zxid int64) error {
	c.mu.Lock()
	if e := c.queue.write(c.proposed); e != nil {
		e.kind, e.code, e.zxid = entryReply, code, zxid
	}
	c.mu.Unlock()
	return r.drainNow(c)
}

// drainNow drains a client outside Apply.
func (r *Replica) drainNow(c *Client) error {
	for {
		r.Tree().RLock()
		d := c.drain()
		r.Tree().RUnlock()
		if d.kind == needNothing {
			return nil
		}
		if err := r.satisfy(c, d); err != nil {
			return fmt.Errorf("reading %q from the tree at rest: %w", d.path, err)
		}
	}
}

// connect decides a connect request (ZooKeeperServer.processConnectRequest).
func (r *Replica) connect(log Appender, s *Submission, t Time) error {
	c := s.Client
	req, timeout, ok := r.greet(s)
	if !ok {
		return nil
	}
	if req.SessionID == 0 {
		return r.createSession(log, c, timeout, s.At, t)
	}
	r.attach(c, req.SessionID, req.Passwd, timeout, t)
	return nil
}

// greet reads a connect request and negotiates the timeout. ok is false for a
// client that is not answered.
func (r *Replica) greet(s *Submission) (req wire.ConnectRequest, timeout int32, ok bool) {
	if s.Client.State() != StateConnecting {
		return req, 0, false // gone by now
	}
	rd := wire.NewReader(s.Body)
	req.Decode(&rd)
	if req.LastZxidSeen > r.Tree().LastZxid() {
		// The client has seen more than this server: it must try another.
		r.end(s.Client)
		return req, 0, false
	}
	return req, session.Negotiate(req.TimeOut, r.opt.SessionMillisMin, r.opt.SessionMillisMax), true
}

// offerSession draws an id for a client's new session.
func (r *Replica) offerSession(c *Client, timeout int32) (id int64) {
	id = r.ids.Next()
	for r.sessions[id] != nil || r.offers[id] != nil {
		id = r.ids.Next()
	}
	c.mu.Lock()
	c.push(entry{op: wire.OpCreateSession, kind: entryWrite}, nil)
	c.offered = offer{id: id, timeout: timeout}
	c.mu.Unlock()
	return id
}

// createSession proposes a new session; the client is answered when it is
// applied.
func (r *Replica) createSession(log Appender, c *Client, timeout int32, at int64, t Time) error {
	id := r.offerSession(c, timeout)
	req := znode.Request{Session: id, Op: wire.OpCreateSession, Body: wire.AppendInt(nil, timeout)}
	ok, code, err := r.propose(log, &req, t, owner{client: c, op: wire.OpCreateSession, at: at})
	if err == nil && !ok {
		err = fmt.Errorf("createSession was refused: %w", code)
	}
	return err
}

// offer is a session that is being created for a client.
type offer struct {
	id      int64
	timeout int32
}

// established answers a new session. The tree and c are locked; loop only.
func (c *Client) established(int64) {
	s := c.r.sessions[c.offered.id]
	if s == nil {
		c.setState(StateClosed)
		return
	}
	c.session = s
	c.accept(s.ID, c.offered.timeout)
}

// accept writes the connect response for a valid session. c is locked.
func (c *Client) accept(id int64, timeout int32) {
	pw := session.Password(id)
	c.respond(&wire.ConnectResponse{TimeOut: timeout, SessionID: id, Passwd: pw[:]})
	c.state = StateConnected
	c.r.resume = append(c.r.resume, c)
}

func (c *Client) respond(resp *wire.ConnectResponse) {
	resp.HasReadOnly, resp.ReadOnly = c.hasReadOnly, c.readOnly
	out, mark := wire.BeginFrame(c.out)
	c.out = wire.EndFrame(resp.Append(out), mark)
	c.Stats.sent()
	c.r.markDirty(c)
}

// attach gives a known session to a new connection, or says that it is gone.
// Unlike ZooKeeper it checks the password before the session's present
// connection is closed.
func (r *Replica) attach(c *Client, id int64, passwd []byte, timeout int32, t Time) {
	s := r.sessions[id]
	if s == nil || !session.CheckPassword(id, passwd) || !r.tracker.Touch(id, timeout, r.age.At(t.Mono)) {
		r.denySession(c)
		return
	}
	r.giveSession(c, s, timeout, t)
}

// denySession tells a client that its session is gone.
func (r *Replica) denySession(c *Client) {
	c.mu.Lock()
	c.respond(&wire.ConnectResponse{Passwd: make([]byte, wire.PasswdBytes)})
	c.setState(StateClosed)
	c.mu.Unlock()
	r.resume = append(r.resume, c)
}

// giveSession attaches a client to a session, in the place of another.
func (r *Replica) giveSession(c *Client, s *Session, timeout int32, t Time) {
	if old := s.client; old != nil && old != c {
		r.end(old)
	}
	s.client = c
	s.timeout.Store(timeout)
	now := r.age.At(t.Mono)
	if r.tracker != nil { // a while may have passed since it was asked for
		r.tracker.Touch(s.ID, timeout, now)
	}
	s.heard.Store(now)
	s.touched = now
	c.mu.Lock()
	c.session = s
	c.accept(s.ID, timeout)
	c.mu.Unlock()
}

// detach forgets a connection. Its session lives on until it expires.
func (r *Replica) detach(c *Client) {
	c.mu.Lock()
	c.setState(StateClosed)
	s := c.session
	c.uncount()
	c.countReads()
	c.mu.Unlock()
	if s != nil && s.client == c {
		s.heard.Store(s.lastHeard(r.age.At(r.now)))
		s.untold = true
		s.client = nil
		if s.local && s.ending {
			r.endLocal(s)
		}
	}
	r.watchMu.Lock()
	r.watches.Drop(c.watcher)
	delete(r.clients, c.watcher)
	r.watchMu.Unlock()
}

// openSession starts tracking a session with its full timeout. One that is known
// already, because the leader said so before its creation arrived here, stays as
// it is.
func (r *Replica) openSession(id int64, timeout int32) *Session {
	s, now := r.sessions[id], r.age.At(r.now)
	if s == nil {
		s = r.upgraded(id)
	}
	if s == nil {
		s = &Session{ID: id, touched: now, owner: noOwner, told: noOwner}
		s.timeout.Store(timeout)
		s.heard.Store(now)
		r.sessions[id] = s
	}
	if r.tracker != nil {
		r.tracker.Add(id, timeout, now)
		if o, ok := r.opening[id]; ok {
			s.told = o.server
			delete(r.opening, id)
			if o.closing {
				r.tracker.SetClosing(id)
			}
		}
	}
	return s
}

// Tick expires sessions and reaps containers and TTL nodes. Only the loop calls it,
// every Options.StepMillis.
func (r *Replica) Tick(log Appender, t Time) error {
	r.now = t.Mono
	if err := r.expire(log, r.age.Tick(t.Mono), t); err != nil {
		return err
	}
	if t.Mono < r.nextReap {
		return nil
	}
	r.nextReap = t.Mono + r.opt.ReapMillis
	return r.reap(log, t)
}

// expire closes the sessions that were not heard of in time, now being the time by
// which they age. The tracker is told of touches only here: connections note them
// without a lock.
func (r *Replica) expire(log Appender, now int64, t Time) error {
	until, ok := r.settling.until(r.tracker, now, r.opt.Settle)
	if !ok {
		return nil
	}
	for {
		due := r.tracker.Due(until)
		if len(due) == 0 {
			return nil
		}
		for _, id := range due {
			s := r.sessions[id]
			if r.full != nil && r.full() {
				r.tracker.Touch(id, 0, now) // it comes up again at the next tick
				continue
			}
			if r.renewed(s, now) || r.doubt != nil && r.doubt(s) {
				continue
			}
			if err := r.closeExpired(log, id, t); err != nil {
				return err
			}
		}
	}
}

// renewed tells the tracker when a session was heard from, if that is news to it.
func (r *Replica) renewed(s *Session, now int64) bool {
	heard := s.lastHeard(now)
	if heard <= s.touched {
		return false
	}
	s.touched = heard
	r.tracker.Touch(s.ID, s.timeout.Load(), heard)
	return true
}

func (r *Replica) closeExpired(log Appender, id int64, t Time) error {
	r.tracker.SetClosing(id)
	r.Stats.SessionsExpired.Add(1)
	_, _, err := r.propose(log, &znode.Request{Session: id, Op: wire.OpCloseSession, Internal: true}, t, owner{})
	return err
}

// reap proposes the deletion of empty containers and of TTL nodes past their
// time (ContainerManager).
func (r *Replica) reap(log Appender, t Time) error {
	due, err := r.Tree().ReapCandidates(t.Wall, r.opt.NeverUsedMillis, r.opt.ReapPerCheck)
	if err != nil {
		return err
	}
	for _, path := range due {
		if r.full != nil && r.full() {
			return nil
		}
		req := znode.Request{Op: wire.OpDeleteContainer, Internal: true, Body: wire.AppendBuffer(nil, path)}
		if _, _, err := r.propose(log, &req, t, owner{}); err != nil {
			return err
		}
	}
	return nil
}

// Committed says that everything up to zxid has been applied, so that pending
// changes up to it can be forgotten. Only the loop calls it.
func (r *Replica) Committed(zxid int64) { r.prep.Applied(zxid) }

// InFlight returns how many transactions are proposed and not applied. Only
// the loop calls it.
func (r *Replica) InFlight() int { return r.inflight.len() }
