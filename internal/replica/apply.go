package replica

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// Entries are committed transactions in order of their zxids, each a header,
// a record and perhaps a digest. The log's batches are.
type Entries interface {
	Len() int
	Entry(i int) (zxid int64, payload []byte)
}

// applyStretch is how many transactions are applied under one hold of the
// tree's lock before readers get their turn.
const applyStretch = 64

// Apply applies committed transactions, delivers their watch events, answers
// the clients that asked for them and serves the reads that waited behind
// them. Only the loop calls it; now is its monotonic clock in ms. An error
// means that the database can go no further.
func (r *Replica) Apply(entries Entries, now int64) error {
	r.now = now
	for i := 0; i < entries.Len() || r.stalled != nil; {
		end := min(i+applyStretch, entries.Len())
		next, need, err := r.applyStretch(entries, i, end)
		if err != nil {
			return err
		}
		if need.d.kind != needNothing {
			if err := r.satisfy(need.client, need.d); err != nil {
				return fmt.Errorf("reading %q from the tree at rest: %w", need.d.path, err)
			}
		}
		i = next
	}
	r.notifySinks()
	return nil
}

// blocked is what stopped a stretch: a node that has to be read first, for the
// transaction itself or for a client's waiting read.
type blocked struct {
	d      demand
	client *Client
}

func (r *Replica) applyStretch(entries Entries, from, to int) (next int, need blocked, err error) {
	r.Tree().Lock()
	defer r.Tree().Unlock()
	if r.stalled != nil {
		if d := r.stalled.drain(); d.kind != needNothing {
			return from, blocked{d: d, client: r.stalled}, nil
		}
		r.stalled = nil
	}
	for i := from; i < to; i++ {
		_, payload := entries.Entry(i)
		c, err := r.applyOne(payload)
		if err != nil {
			var absent *znode.NotResidentError
			if errors.As(err, &absent) {
				return i, blocked{d: demand{kind: needNode, path: absent.Path, more: absent.More}}, nil
			}
			return i, blocked{}, err
		}
		if c == nil {
			continue
		}
		if d := c.drain(); d.kind != needNothing {
			r.stalled = c
			return i + 1, blocked{d: d, client: c}, nil
		}
	}
	return to, blocked{}, nil
}

// applyOne applies one transaction. It returns the client whose answer it
// made, if any. The tree is locked.
func (r *Replica) applyOne(payload []byte) (*Client, error) {
	rd := wire.NewReader(payload)
	h := &r.header
	h.Decode(&rd)
	if err := rd.Err(); err != nil {
		return nil, fmt.Errorf("transaction header: %w", err)
	}
	var err error
	r.events, err = r.Tree().Apply(h, rd.Remaining(), &r.result, r.events[:0])
	if err != nil {
		return nil, err
	}
	r.Stats.Commits.Add(1)
	if r.Tree().Whole() {
		r.digests.note(h.Zxid, r.Tree().Digest())
	}
	for i := range r.events {
		r.countWrite(&r.events[i])
		r.deliver(&r.events[i], h.Zxid)
	}
	if h.Type == wire.OpCloseSession && r.opt.Audit != nil {
		r.auditEnd(h.ClientID, r.events)
	}
	o := r.ownerOf(h, &r.result)
	r.followSession(h, payload[znode.TxnHeaderBytes:], o)
	if o.client == nil {
		return nil, nil
	}
	o.client.complete(&o, h.Zxid, &r.result)
	return o.client, nil
}

// followSession keeps the tracker and the clients in step with the sessions
// that transactions open and close.
func (r *Replica) followSession(h *znode.TxnHeader, body []byte, o owner) {
	if h.Type == wire.OpCreateSession {
		rd := wire.NewReader(body)
		s := r.openSession(h.ClientID, rd.Int())
		if o.client != nil {
			s.client = o.client
		}
	}
	if h.Type == wire.OpCloseSession {
		s := r.sessions[h.ClientID]
		if r.tracker != nil {
			r.tracker.Remove(h.ClientID)
			if r.opt.LocalSessions {
				r.ended.add(h.ClientID)
			}
		}
		delete(r.sessions, h.ClientID)
		delete(r.offers, h.ClientID) // asked for twice
		if s != nil && s.client != nil && s.client != o.client {
			r.end(s.client)
		}
	}
}

// deliver sends one event to the clients that watch for it and may know of it.
func (r *Replica) deliver(e *znode.Event, zxid int64) {
	targets := r.fire(e)
	if len(targets) == 0 {
		return
	}
	for _, c := range targets {
		r.deliverTo(c, e, zxid)
	}
	r.Stats.event(e.Type, int64(len(targets)))
}

// countWrite counts what a change wrote, by namespace.
func (r *Replica) countWrite(e *znode.Event) {
	if e.Type == wire.EventNodeChildrenChanged {
		return // another event tells of the child
	}
	if ns := r.Stats.WriteBytes.Of(e.Path); ns != nil {
		ns.Add(int64(len(e.Path) + e.DataBytes))
	}
}

// fire consumes the watches that an event triggers and returns their clients.
func (r *Replica) fire(e *znode.Event) []*Client {
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	r.fired = r.watches.Fire(r.fired[:0], e.Type, e.Path)
	r.targets = r.targets[:0]
	for _, w := range r.fired {
		if c := r.clients[w]; c != nil {
			r.targets = append(r.targets, c)
		}
	}
	return r.targets
}

func (r *Replica) deliverTo(c *Client, e *znode.Event, zxid int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= StateClosed || !r.allowed(e.ACL, wire.PermRead, c.ids) {
		return
	}
	before := len(c.out)
	c.out = wire.AppendNotification(c.out, zxid, e.Type, e.Path)
	c.unread += len(c.out) - before
	r.unread.Add(int64(len(c.out) - before))
	c.Stats.sent()
	r.Stats.Sent.Add(1)
	if c.unread > r.opt.EventBytes || c.unread > eventShare && r.unread.Load() > int64(r.opt.EventBytesAll) {
		// It does not read what it asked to be told. Its session may live on.
		c.drop()
	}
	r.markDirty(c)
}

// eventShare is what may wait for any client, however much waits for others.
const eventShare = 256 << 10

// drop closes a client and what waits for it. c is locked.
func (c *Client) drop() {
	c.out, c.part, c.state = nil, progress{}, StateClosed
	c.r.unread.Add(-int64(c.unread))
	c.unread = 0
}

// markDirty lists a client whose output has grown. Only the loop calls it.
func (r *Replica) markDirty(c *Client) {
	if !c.dirty {
		c.dirty = true
		r.dirty = append(r.dirty, c)
	}
}

// notifySinks tells the connections what happened, without locks.
func (r *Replica) notifySinks() {
	for i, c := range r.dirty {
		c.dirty = false
		c.sink.Flush()
		r.dirty[i] = nil
	}
	r.dirty = r.dirty[:0]
	for i, c := range r.resume {
		c.sink.Resume()
		r.resume[i] = nil
	}
	r.resume = r.resume[:0]
	if r.limits.MaxRequests > 0 {
		r.limits.next()
	}
}

// end closes a client from the server's side. Loop only.
func (r *Replica) end(c *Client) {
	c.mu.Lock()
	c.setState(StateClosed)
	c.mu.Unlock()
	r.markDirty(c)
	r.resume = append(r.resume, c)
}

// complete answers the oldest write of the client. The tree is locked.
func (c *Client) complete(o *owner, zxid int64, res *znode.Result) {
	c.proposed--
	if o.audit != nil {
		c.r.audit(o, res)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == StateClosed || c.queue.len() == 0 {
		return
	}
	ms := max(c.r.now-o.at, 0)
	c.Stats.latency.add(ms)
	c.Stats.LastLatency.Store(ms)
	c.Stats.LastZxid.Store(zxid)
	c.r.Stats.Updates.Add(ms)
	c.r.Stats.Sent.Add(1)
	c.r.markDirty(c)
	c.pop()
	c.answerWrite(o, zxid, res)
}

// answerWrite gives the answer to a write. c is locked.
func (c *Client) answerWrite(o *owner, zxid int64, res *znode.Result) {
	switch {
	case o.op == wire.OpCreateSession:
		c.established(zxid)
	case o.op == wire.OpCloseSession:
		c.appendReply(o.xid, zxid, wire.OK)
		c.setState(StateClosed)
	case refusedAsMoved(res):
		// The session lives on another connection (FinalRequestProcessor).
		c.setState(StateClosed)
	default:
		c.appendResult(o, zxid, res)
	}
}

// appendResult encodes the answer to a write.
func (c *Client) appendResult(o *owner, zxid int64, res *znode.Result) {
	if res.Code != wire.OK {
		c.appendReply(o.xid, zxid, res.Code)
		return
	}
	out, mark := wire.BeginFrame(c.out)
	out = wire.ReplyHeader{Xid: o.xid, Zxid: zxid}.Append(out)
	if o.op == wire.OpMulti {
		out = appendMulti(out, res.Sub)
	} else {
		out = appendRecord(out, o.op, res)
	}
	c.out = wire.EndFrame(out, mark)
	c.Stats.sent()
}

// appendRecord encodes the response record of one successful write.
func appendRecord(out []byte, op wire.Op, res *znode.Result) []byte {
	switch op {
	case wire.OpCreate:
		return wire.AppendString(out, res.Path)
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return res.Stat.Append(wire.AppendString(out, res.Path))
	case wire.OpSetData, wire.OpSetACL:
		return res.Stat.Append(out)
	default:
		return out
	}
}

// appendMulti encodes the results of a multi. Creations that return a Stat all
// answer as create2; after a failure every result is an error, and the header
// of the whole reply still says OK.
func appendMulti(out []byte, subs []znode.Result) []byte {
	for i := range subs {
		s := &subs[i]
		if s.Type == wire.OpError {
			out = wire.MultiHeader{Op: wire.OpError, Err: s.Code}.Append(out)
			out = wire.AppendInt(out, int32(s.Code))
			continue
		}
		typ := s.Type
		if typ == wire.OpCreateContainer || typ == wire.OpCreateTTL {
			typ = wire.OpCreate2
		}
		out = appendRecord(wire.MultiHeader{Op: typ}.Append(out), typ, s)
	}
	return wire.MultiEnd.Append(out)
}

// drain serves what waited behind a write that is answered now, up to the
// next write. The tree is locked.
func (c *Client) drain() demand {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.state < StateClosed && c.queue.len() > 0 {
		e := c.queue.front()
		switch e.kind {
		case entryWrite, entrySync:
			return demand{}
		case entryNone:
		case entryRead:
			if need := c.serve(e.xid, e.op, e.ids, c.queue.body(e)); need.kind != needNothing {
				return need
			}
		case entryReply:
			c.answerNow(e)
		}
		c.pop()
		c.r.markDirty(c)
	}
	if c.paused && c.queue.len() <= c.r.opt.QueueLimit/2 && len(c.out) < c.r.opt.OutBytes &&
		(c.queue.len() == 0 || !c.r.limits.crowded()) {
		c.paused = false
		c.listenAgain()
		c.r.resume = append(c.r.resume, c)
	}
	return demand{}
}
