package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// Status is what Feed wants next.
type Status uint8

const (
	// More says: every whole frame is consumed; read more bytes.
	More Status = iota
	// Wait says: feed the rest again after the sink's Resume.
	Wait
	// Blocked says: call Unblock, which may take long, then feed the rest again.
	Blocked
	// Done says: the connection ends after what is in the output; read no more.
	Done
)

// Kind says what a Submission asks of the loop.
type Kind uint8

const (
	// SubmitWrite is a request that becomes a transaction.
	SubmitWrite Kind = iota
	// SubmitConnect is a connect request.
	SubmitConnect
	// SubmitDetach says that the connection is gone.
	SubmitDetach
	// SubmitSync asks the leader for a point to read from: a client's sync, or, with
	// no Op, one for the reads that wait behind it.
	SubmitSync
)

// Submission is a step for the loop. Body aliases what was fed: copy it when
// it has to outlive the call.
type Submission struct {
	Kind   Kind
	Client *Client
	Xid    int32
	Op     wire.Op
	Body   []byte
	IDs    []wire.ID
	At     int64 // ms, monotonic: when it was received
}

// errConnectShort explains why a first packet is no connect request.
var errConnectShort = errors.New("it must have a session id, a password and a timeout")

// errTooMany ends a connection that asks for a session while too many do.
var errTooMany = fmt.Errorf("%w: too many ask for a session at once", ErrProtocol)

// connectBytesMin is a ConnectRequest with an empty password.
const connectBytesMin = 28

// Feed consumes the whole frames at the start of buf. Reads are answered into
// the output at once; writes, and connect requests, are appended to subs for
// the loop, in order. It returns how many bytes it consumed. now is the
// monotonic clock in ms.
//
// An error wraps [ErrProtocol], or is the storage's: the connection is to be
// closed. Only the connection's own goroutine may call Feed, without locks.
func (c *Client) Feed(buf []byte, now int64, subs []Submission) (int, []Submission, Status, error) {
	f := feed{c: c, buf: buf, now: now, subs: subs}
	defer func() { c.r.Stats.ReceivedBytes.Add(int64(f.n)) }()
	for {
		more, err := f.run()
		if err != nil {
			return f.n, f.subs, Done, err
		}
		if more {
			continue
		}
		if c.r.limits.MaxRequests > 0 {
			f.yield()
		}
		return f.n, f.subs, f.status, nil
	}
}

// Unblock does what a Feed that returned Blocked waits for: it reads, lists or counts
// what is not in memory. Only the connection's own goroutine, or one that does
// it in its stead, may call it, without locks.
func (c *Client) Unblock() error {
	d := c.blocked
	c.blocked = demand{}
	return c.r.satisfy(c, d)
}

// feed is one call of Feed.
type feed struct {
	c      *Client
	buf    []byte
	n      int // consumed
	now    int64
	subs   []Submission
	count  int64
	touch  bool // something that renews the session came
	status Status
	// confirming says that reads wait for a confirmation asked for in this call:
	// all that follow share it.
	confirming bool
}

// run consumes frames under one hold of the locks. It returns true when it let
// go of them to read from the backend, and has to be called again.
func (f *feed) run() (again bool, err error) {
	c := f.c
	tree := c.r.lockTree()
	c.mu.Lock()
	c.busy = false
	var need demand
	f.checkGate()
	for f.status == More {
		frame, ok, ferr := f.next()
		if ferr != nil || !ok {
			err = ferr
			break
		}
		if frame == nil {
			continue
		}
		if need, err = f.frame(frame); err != nil || need.kind != needNothing {
			break
		}
		f.n += wire.FrameHeaderBytes + len(frame)
		c.announced = false
	}
	f.settle()
	// A node is read at once; what takes longer, or may be followed by more, is not.
	c.busy = err == nil && need.kind != needNothing && (need.kind != needNode || c.part.begun)
	busy := c.busy
	c.mu.Unlock()
	tree.RUnlock()
	switch {
	case err != nil || need.kind == needNothing:
		return false, err
	case !busy:
		return true, c.r.satisfy(c, need)
	}
	c.blocked = need.clone()
	f.status = Blocked
	return false, nil
}

// lockTree locks the present tree for reading.
func (r *Replica) lockTree() *znode.Tree {
	for {
		tree := r.Tree()
		tree.RLock()
		if tree == r.Tree() {
			return tree
		}
		tree.RUnlock() // it was replaced before it was locked
	}
}

// checkGate keeps clients waiting while there is no leader, or closes them. What
// they sent stays where it is.
func (f *feed) checkGate() {
	c := f.c
	switch {
	case c.r.serving || c.state >= StateClosing:
	case c.r.readOnly && (c.readOnly || c.state == StateNew):
	case c.r.refusing:
		c.setState(StateClosed)
		f.status = Done
	default:
		c.held = true
		f.status = Wait
	}
}

// settle accounts for what was received. The locks are held.
func (f *feed) settle() {
	c := f.c
	if c.session != nil && f.touch {
		c.session.heard.Store(c.r.age.At(f.now))
	}
	if f.count == 0 {
		return
	}
	c.Stats.Received.Add(f.count)
	c.r.Stats.Received.Add(f.count)
	f.count = 0
}

// next returns the next whole frame. ok is false when more bytes are needed;
// a nil frame says that bytes were skipped.
func (f *feed) next() (frame []byte, ok bool, err error) {
	rest := f.buf[f.n:]
	if f.c.skip > 0 {
		n := min(f.c.skip, len(rest))
		f.c.skip -= n
		f.n += n
		return nil, n > 0, nil
	}
	if len(rest) < wire.FrameHeaderBytes {
		return nil, false, nil
	}
	size := int(wire.FrameLength(rest))
	if err := f.checkLength(size); err != nil {
		return nil, false, err
	}
	if size > f.c.r.opt.RequestBytesMax {
		return f.oversized(rest, size)
	}
	if f.c.r.limits.LargeBytes > 0 {
		if err := f.announced(size); err != nil {
			return nil, false, err
		}
	}
	rest = rest[wire.FrameHeaderBytes:]
	if len(rest) < size {
		return nil, false, nil
	}
	return rest[:size:size], true, nil
}

func (f *feed) checkLength(size int) error {
	limit := f.c.r.opt.RequestBytesMax
	if f.c.state == StateConnected {
		limit = max(limit, f.c.r.opt.OversizedBytesMax)
	}
	if size <= 0 || size > limit {
		return fmt.Errorf("%w: packet length %d is not in 1..%d", ErrProtocol, size, limit)
	}
	return nil
}

// oversized answers a request that is too long from its header alone and
// arranges for its body to be skipped. ZooKeeper closes the connection.
func (f *feed) oversized(rest []byte, size int) ([]byte, bool, error) {
	const head = wire.FrameHeaderBytes + wire.RequestHeaderBytes
	if len(rest) < head {
		return nil, false, nil
	}
	var h wire.RequestHeader
	rd := wire.NewReader(rest[wire.FrameHeaderBytes:head])
	h.Decode(&rd)
	f.n += head
	f.c.skip = size - wire.RequestHeaderBytes
	f.count++
	f.c.r.Stats.Oversized.Add(1)
	f.c.answerInTurn(entry{xid: h.Xid, op: h.Op, kind: entryReply, code: wire.ErrBadArguments, zxid: zxidOfReply})
	return nil, true, nil
}

// frame handles one frame. The locks are held.
func (f *feed) frame(frame []byte) (demand, error) {
	c := f.c
	switch c.state {
	case StateNew:
		return demand{}, f.connect(frame)
	case StateConnecting:
		f.status = Wait
		f.n -= wire.FrameHeaderBytes + len(frame) // not consumed yet
		return demand{}, nil
	case StateConnected:
	default:
		return demand{}, nil // later requests of a closing session are dropped
	}
	if len(frame) < wire.RequestHeaderBytes {
		return demand{}, fmt.Errorf("%w: packet of %d bytes is shorter than a request header", ErrProtocol, len(frame))
	}
	rd := wire.NewReader(frame)
	var h wire.RequestHeader
	h.Decode(&rd)
	if h.Op.IsWrite() && c.queue.syncs > 0 {
		// It could be committed before the sync is answered, and then the reads between
		// them would see it.
		c.behind, f.status = true, Wait
		f.n -= wire.FrameHeaderBytes + len(frame) // not consumed yet
		return demand{}, nil
	}
	var need demand
	if body := frame[wire.RequestHeaderBytes:]; c.r.limits.on {
		var err error
		if need, err = f.within(h, body); err != nil {
			return need, err
		}
		if f.status == Wait {
			f.n -= wire.FrameHeaderBytes + len(frame) // not consumed yet
			return demand{}, nil
		}
	} else {
		need = f.request(h, body)
	}
	if need.kind != needNothing {
		return need, nil
	}
	f.count++
	if c.full() {
		c.paused = true
		f.status = Wait
	}
	return demand{}, nil
}

// connect takes the first packet of a connection.
func (f *feed) connect(frame []byte) error {
	var req wire.ConnectRequest
	rd := wire.NewReader(frame)
	req.Decode(&rd)
	if rd.Err() != nil || len(frame) < connectBytesMin {
		return fmt.Errorf("%w: connect request of %d bytes: %w", ErrProtocol, len(frame), errors.Join(rd.Err(), errConnectShort))
	}
	f.c.hasReadOnly = req.HasReadOnly
	f.c.r.Stats.Connects.Add(1)
	if req.SessionID != 0 {
		f.c.r.Stats.Reconnects.Add(1)
	}
	if admit := f.c.r.opt.Admit; admit != nil && !admit(req.SessionID != 0, f.now) {
		return errTooMany
	}
	f.c.setState(StateConnecting)
	f.count++
	f.subs = append(f.subs, Submission{Kind: SubmitConnect, Client: f.c, Body: frame, At: f.now})
	f.status = Wait
	return nil
}

// request dispatches one request of a session.
func (f *feed) request(h wire.RequestHeader, body []byte) demand {
	c := f.c
	c.Stats.LastOp.Store(int32(h.Op))
	c.Stats.LastXid.Store(h.Xid)
	if !c.authenticated(h.Op) {
		c.endInTurn(entry{xid: h.Xid, op: h.Op, kind: entryReply, code: wire.ErrSessionClosedRequiresAuth})
		return demand{}
	}
	if c.readOnly && needsQuorum(h.Op) {
		c.answerInTurn(entry{xid: h.Xid, op: h.Op, kind: entryReply, code: wire.ErrNotReadOnly, zxid: zxidOfReply})
		return demand{}
	}
	f.touch = f.touch || (h.Op != wire.OpAuth && h.Op != wire.OpSASL)
	switch {
	case h.Op == wire.OpAuth:
		f.auth(h, body)
	case h.Op == wire.OpCreateSession || !served(h.Op):
		c.endInTurn(entry{xid: h.Xid, op: h.Op, kind: entryReply, code: wire.ErrUnimplemented, zxid: -1})
	case h.Op.IsWrite():
		f.write(h, body)
	case h.Op == wire.OpSync && c.r.opt.Member:
		f.sync(h, body)
	default:
		return f.read(h, body)
	}
	return demand{}
}

// write queues a request for the loop.
func (f *feed) write(h wire.RequestHeader, body []byte) {
	c := f.c
	c.push(entry{xid: h.Xid, op: h.Op, kind: entryWrite, held: len(body)}, nil)
	if h.Op == wire.OpCloseSession {
		c.setState(StateClosing)
	}
	f.subs = append(f.subs, Submission{
		Kind: SubmitWrite, Client: c, Xid: h.Xid, Op: h.Op, Body: body, IDs: c.ids, At: f.now,
	})
}

// read answers a request that changes nothing, or queues it behind the
// client's own writes.
func (f *feed) read(h wire.RequestHeader, body []byte) demand {
	c := f.c
	if c.r.opt.LinearizableReads && !c.readOnly && !f.confirming && needsLeader(h.Op) {
		f.confirming = true
		c.push(entry{kind: entrySync}, nil)
		f.subs = append(f.subs, Submission{Kind: SubmitSync, Client: c, At: f.now})
	}
	if c.queue.len() > 0 {
		c.push(entry{xid: h.Xid, op: h.Op, kind: entryRead, ids: c.ids}, body)
		return demand{}
	}
	need := c.serve(h.Xid, h.Op, c.ids, body)
	if need.kind == needNothing {
		c.Stats.latency.add(0)
		c.r.Stats.Reads.Add(0)
	}
	return need
}

// needsQuorum reports whether a read-only server refuses a request
// (ReadOnlyRequestProcessor): what writes, and what only makes sense beside that.
func needsQuorum(op wire.Op) bool {
	switch op {
	case wire.OpSync, wire.OpCheck:
		return true
	case wire.OpCloseSession: // its clients' sessions are its own
		return false
	default:
		return op.IsWrite() && op != wire.OpCreateSession
	}
}

// needsLeader reports whether an answer tells of the tree, which other servers
// may know better.
func needsLeader(op wire.Op) bool {
	return op != wire.OpPing && op != wire.OpWhoAmI && op != wire.OpSASL &&
		op != wire.OpCheckWatches && op != wire.OpRemoveWatches
}

// sync queues a sync, which the leader answers.
func (f *feed) sync(h wire.RequestHeader, body []byte) {
	c := f.c
	rd := wire.NewReader(body)
	if rd.Ustring(); rd.Err() != nil {
		c.answerInTurn(entry{xid: h.Xid, op: h.Op, kind: entryReply, code: wire.ErrMarshalling, zxid: zxidOfReply})
		return
	}
	c.push(entry{xid: h.Xid, op: h.Op, kind: entrySync, ids: c.ids}, body)
	f.subs = append(f.subs, Submission{Kind: SubmitSync, Client: c, Xid: h.Xid, Op: h.Op, At: f.now})
}

// served reports whether op is one that a client may send.
func served(op wire.Op) bool {
	if op == wire.OpNotification || op == wire.OpCheck || op == wire.OpError {
		return false
	}
	return op.Short() != "NA"
}

// authenticated applies enforce.auth.schemes.
func (c *Client) authenticated(op wire.Op) bool {
	if len(c.r.opt.EnforceAuth) == 0 || op == wire.OpAuth || op == wire.OpSASL {
		return true
	}
	for _, id := range c.ids {
		for _, s := range c.r.opt.EnforceAuth {
			if id.Scheme == s {
				return true
			}
		}
	}
	return false
}

// auth adds credentials to the connection. They count for the requests that
// were received after it; the answer keeps its place in the order.
func (f *feed) auth(h wire.RequestHeader, body []byte) {
	c := f.c
	var p wire.AuthPacket
	rd := wire.NewReader(body)
	p.Decode(&rd)
	e := entry{xid: h.Xid, op: h.Op, kind: entryReply}
	code := wire.ErrAuthFailed
	var add []wire.ID
	if rd.Err() == nil {
		add, code = c.r.opt.Rules.Auth.Authenticate(string(p.Scheme), p.Auth, c.remote)
	}
	if code == znode.AuthHangUp {
		c.setState(StateClosed)
		return
	}
	if code == wire.OK && !c.addIDs(add) {
		code = wire.ErrAuthFailed
	}
	if code != wire.OK {
		c.r.Stats.AuthFailed.Add(1)
		e.code = code
		c.endInTurn(e)
		return
	}
	c.answerInTurn(e)
}

// Bounds of a connection's credentials, its address among them. Every forwarded
// request carries them, and a leader takes no more than idsMax.
const (
	idsMax     = 1024
	idBytesMax = 1 << 20
)

// addIDs replaces the credentials by a larger set. It is false when that would be too
// large; those that are there already are not in the way.
func (c *Client) addIDs(add []wire.ID) bool {
	add = slices.DeleteFunc(slices.Clone(add), func(id wire.ID) bool { return slices.Contains(c.ids, id) })
	if len(add) == 0 {
		return true
	}
	ids := append(slices.Clip(c.ids), add...)
	size := 0
	for _, id := range ids {
		size += len(id.Scheme) + len(id.ID)
	}
	if len(ids) > idsMax || size > idBytesMax {
		return false
	}
	c.ids = ids
	return true
}

// answerInTurn gives an answer that is known already, behind earlier ones.
func (c *Client) answerInTurn(e entry) {
	if c.queue.len() > 0 {
		c.push(e, nil)
		return
	}
	c.answerNow(&e)
}

// endInTurn is answerInTurn, after which the connection closes.
func (c *Client) endInTurn(e entry) {
	e.last = true
	if c.queue.len() > 0 {
		c.push(e, nil)
		c.setState(StateClosing)
		return
	}
	c.answerNow(&e)
}

// zxidOfReply, as the zxid of a known answer, means the last processed one at
// the time it is given.
const zxidOfReply = -2

// answerNow writes a known answer. The locks are held.
func (c *Client) answerNow(e *entry) {
	zxid := e.zxid
	if zxid == zxidOfReply {
		zxid = c.r.Tree().LastZxid()
	}
	c.appendReply(e.xid, zxid, e.code)
	if e.last {
		c.setState(StateClosed)
	}
}
