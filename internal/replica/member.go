package replica

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// MemberOptions configure a Member.
type MemberOptions struct {
	// HoldMillis is how long clients of a server without a leader are kept
	// waiting before their connections are closed; 0 = 10,000. ZooKeeper closes
	// them at once.
	HoldMillis int64
	// Config is the text of the ensemble's configuration, for /zookeeper/config, and
	// ConfigVersion its version.
	Config        []byte
	ConfigVersion int64
	// ReadOnlyMillis is after how long without a leader reads are served to clients
	// that can do with that (readonlymode.enabled); 0 = never.
	ReadOnlyMillis int64
	// NoLeaderServes has a leader take no clients (leaderServes=no).
	NoLeaderServes bool
	// Unproven says that the tree came from another server and that no leader is known
	// to have been established since: it may be of several moments at once, until what
	// follows it is committed, and is shown to nobody.
	Unproven bool
	// Reaches reports whether the machine at the other end of a connection acknowledges
	// what is sent to it. The loop calls it; it must not block. nil is always.
	Reaches func(conn zab.ConnID) bool
	// WaitingBytesMax is from how many bytes of waiting requests on a Member is
	// Backlogged; 0 = 64 MiB.
	WaitingBytesMax int
}

// Member is one server of an ensemble without its hands: the protocol core and the
// replica, stepped together. What clients submit goes through the core of the
// leader, wherever that is, and comes back as transactions to apply.
//
// A Member belongs to one goroutine, the loop. Each input is followed by Take until
// that has no more to say. Like its parts it does no I/O and reads no clock, and
// the same inputs give the same outputs.
//
// While there is no leader the clients wait: what they send stays in their
// connections' buffers, writes that were on their way are kept, and nobody is told
// that a session is alive. When the next leader is established, every write that
// the new history does not contain, and so never will, is sent again.
type Member struct {
	core *zab.Core
	rep  *Replica
	opt  MemberOptions

	leading bool
	// epoch is that of the established leader, 0 while there is none.
	epoch int64
	// since is the time, by Replica.age, from which on there has been no leader.
	since int64
	// ticked says that sessions are to be looked at, when all is delivered that has come.
	ticked bool
	// unproven is MemberOptions.Unproven of the present tree. One that has just come as a
	// snapshot may also hold what will never be committed.
	unproven bool
	// unsent are writes that were on their way to the last leader and go to this
	// one, before anything that waits.
	unsent  []*ownWrite
	waiting waitingSteps
	// early are questions for sessions whose creation is proposed and not committed.
	early waitingSteps
	syncs syncQueue
	// orphans are sessions that a new leader has to end and had no room for.
	orphans []int64
	replies []delayedReply
	overdue overdues
	// asking are the clients that wait for the leader's word about their session.
	asking map[int64][]asked

	delivered []zab.Delivery // of the last Take
	batch     commits
	slab      slab
	log       proposals
}

// NewMember returns a server that looks for a leader and serves nobody yet. The
// replica's options say Member, and its tree is at core.Boot.Applied. The error is
// that of [zab.New].
func NewMember(core zab.Config, r *Replica, o MemberOptions, t Time) (*Member, error) {
	if !r.opt.Member {
		panic("replica: a Member of a replica that serves alone")
	}
	if o.HoldMillis == 0 {
		o.HoldMillis = 10_000
	}
	if o.WaitingBytesMax == 0 {
		o.WaitingBytesMax = 64 << 20
	}
	c, err := zab.New(core)
	if err != nil {
		return nil, err
	}
	m := &Member{core: c, rep: r, opt: o, since: r.age.At(t.Mono), asking: make(map[int64][]asked)}
	m.log.m = m
	r.full = func() bool { return c.CanPropose() != nil }
	r.doubt = m.doubt
	m.prove(!o.Unproven)
	return m, nil
}

// Core returns the protocol core, to look at.
func (m *Member) Core() *zab.Core { return m.core }

// Replica returns the replica.
func (m *Member) Replica() *Replica { return m.rep }

// Status is the core's.
func (m *Member) Status() zab.Status { return m.core.Status() }

// FollowersSuffice is the core's.
func (m *Member) FollowersSuffice() bool { return m.core.FollowersSuffice() }

// Serving reports whether clients are served.
func (m *Member) Serving() bool { return m.rep.serving }

// Established reports whether this server leads an established epoch, or follows in it.
func (m *Member) Established() bool { return m.epoch != 0 }

// Backlogged reports whether so much waits that nothing more should be submitted.
func (m *Member) Backlogged() bool { return m.waiting.bytes > m.opt.WaitingBytesMax }

// Forwarded is how many bytes of requests wait that learners have sent to this leader.
func (m *Member) Forwarded() int { return m.waiting.remote }

// Step takes a message of a peer, or news of a connection.
func (m *Member) Step(msg zab.Message, t Time) {
	m.rep.now = t.Mono
	m.core.Step(msg)
}

// Durable tells that all writes up to seq are durable. Messages that waited for
// them have been handed over before.
func (m *Member) Durable(seq uint64, t Time) {
	m.rep.now = t.Mono
	m.core.Durable(seq)
}

// DiskFailed tells that a write failed; see [zab.Core.DiskFailed].
func (m *Member) DiskFailed(t Time) {
	m.rep.now = t.Mono
	m.core.DiskFailed()
}

// Purged tells that the log on disk begins after zxid now.
func (m *Member) Purged(zxid int64) { m.core.Purged(zxid) }

// HandOver begins a graceful end of this server's leadership.
func (m *Member) HandOver() error { return m.core.HandOver() }

// Tick passes one tick of the core. The sessions are looked at by the Take that finds
// nothing left to deliver: what learners report of them may have come before the tick.
func (m *Member) Tick(t Time) {
	m.rep.now = t.Mono
	m.rep.age.Tick(t.Mono)
	m.core.Tick()
	m.ticked = true
}

// lookAtClock does what is due by the clock: it ends the patience of clients without a
// leader, and expires sessions. Time in which this server stood still does not count.
func (m *Member) lookAtClock(t Time) error {
	now := m.rep.age.At(t.Mono)
	if m.epoch == 0 && now-m.since >= m.opt.HoldMillis {
		m.refuse()
	}
	m.rep.expireLocal(now)
	if wait := m.opt.ReadOnlyMillis; m.epoch == 0 && wait > 0 && now-m.since >= wait && !m.rep.readOnly && !m.unproven {
		m.serveReadOnly()
	}
	if !m.leading {
		return nil
	}
	if err := m.expireOverdue(now, t); err != nil {
		return err
	}
	return m.rep.Tick(&m.log, t)
}

// Submit takes a step that a connection asked for. It waits while there is no
// leader, or while the leader takes no more proposals.
func (m *Member) Submit(s *Submission, t Time) error {
	m.rep.now = t.Mono
	if s.Kind == SubmitDetach {
		m.rep.detach(s.Client)
		return nil
	}
	if s.Client.State() == StateClosed {
		return nil // it waits for nothing any more, and its session may be elsewhere
	}
	if m.epoch == 0 && m.rep.readOnly {
		switch {
		case s.Kind == SubmitConnect:
			m.connectReadOnly(s, t)
			return nil
		case s.Op == wire.OpCloseSession && s.Client.isReadOnly():
			return m.rep.closeLocal(s.Client) // all that a read-only server lets through
		}
	}
	if m.busy() {
		m.waiting.push(s)
		return nil
	}
	return m.submit(s, t)
}

// busy reports whether something new has to wait for its turn.
func (m *Member) busy() bool { return len(m.unsent) > 0 || m.waiting.len() > 0 || !m.ready() }

// ready reports whether requests can be dealt with.
func (m *Member) ready() bool {
	return m.epoch != 0 && (!m.leading || m.core.CanPropose() == nil)
}

func (m *Member) submit(s *Submission, t Time) error {
	switch s.Kind {
	case SubmitConnect:
		return m.connect(s, t)
	case SubmitSync:
		m.syncs.add(s.Client, s.Client.session.ID, s.Xid)
		return nil
	default:
		return m.write(s, t)
	}
}

// Recycle gives back what Take returned; see [zab.Core.Recycle].
func (m *Member) Recycle(out zab.Ready) {
	out.Deliver, m.delivered = m.delivered, nil
	m.core.Recycle(out)
}

// Take returns what has to be done; see [zab.Ready]. What it delivers has been dealt
// with here already. ok is false when there is nothing.
func (m *Member) Take(t Time) (out zab.Ready, ok bool, err error) {
	m.rep.now = t.Mono
	if err := m.retry(t); err != nil {
		return out, false, err
	}
	m.askSync()
	if m.ticked && !m.core.HasReady() {
		m.ticked = false
		if err := m.lookAtClock(t); err != nil {
			return out, false, err
		}
	}
	if !m.core.HasReady() {
		m.rep.Flush()
		return out, false, nil
	}
	out = m.core.Ready()
	m.core.Advance()
	if err := m.deliver(out.Deliver, t); err != nil {
		return out, false, err
	}
	out.Deliver, m.delivered = nil, out.Deliver
	m.reportSessions(out.Send)
	return out, true, nil
}

// retry deals with what waits, as far as it can be dealt with now.
func (m *Member) retry(t Time) error {
	if err := m.closeOrphans(t); err != nil {
		return err
	}
	for len(m.unsent) > 0 && m.ready() {
		w := m.unsent[0]
		m.unsent = m.unsent[1:]
		if w.client != nil && w.client.State() == StateClosed {
			m.rep.forget(w)
			continue
		}
		if err := m.send(w, t); err != nil {
			return err
		}
	}
	for m.waiting.len() > 0 && m.ready() {
		if err := m.retryOne(m.waiting.pop(), t); err != nil {
			return err
		}
	}
	return nil
}

// retryOne deals with one. What a client asked for that has gone meanwhile is dropped:
// its session may have gone on elsewhere, and must not be overtaken by its own past.
func (m *Member) retryOne(w waitingStep, t Time) error {
	switch {
	case w.remote != nil:
		return m.serveRequest(w.remote, t)
	case w.asked != nil:
		m.attachHere(*w.asked, t)
		return nil
	}
	if w.sub.Client.State() == StateClosed {
		return nil
	}
	return m.submit(&w.sub, t)
}

// deliver carries out what the core orders, in order.
func (m *Member) deliver(list []zab.Delivery, t Time) error {
	for i := range list {
		d := &list[i]
		if d.Kind == zab.DeliverCommit {
			m.batch = append(m.batch, d.Entry)
			continue
		}
		if err := m.applyBatch(t); err != nil {
			return err
		}
		if err := m.deliverOne(d, t); err != nil {
			return err
		}
	}
	return m.applyBatch(t)
}

func (m *Member) deliverOne(d *zab.Delivery, t Time) error {
	switch d.Kind {
	case zab.DeliverPacket:
		return m.packet(&d.Packet, t)
	case zab.DeliverSynced:
		return m.synced()
	case zab.DeliverServe:
		return m.serve(t)
	case zab.DeliverStop:
		m.stop(t)
	case zab.DeliverCommit:
	}
	return nil
}

// commits are entries to apply together.
type commits []zab.Entry

// Len implements [Entries].
func (c commits) Len() int { return len(c) }

// Entry implements [Entries].
func (c commits) Entry(i int) (zxid int64, payload []byte) { return c[i].Zxid, c[i].Data }

// applyBatch applies the commits that have gathered.
func (m *Member) applyBatch(t Time) error {
	if len(m.batch) == 0 {
		return nil
	}
	last := m.batch[len(m.batch)-1].Zxid
	err := m.rep.Apply(m.batch, t.Mono)
	m.countAges(t.Wall)
	clear(m.batch)
	m.batch = m.batch[:0]
	if err != nil {
		return err
	}
	if m.leading {
		m.rep.Committed(last)
		m.releaseReplies(t)
	}
	return nil
}

// countAges counts what has been applied, unless it is history that comes before this server serves.
func (m *Member) countAges(wall int64) {
	if m.epoch == 0 {
		return
	}
	committed := &m.rep.Stats.CommitNews
	if m.leading {
		committed = &m.rep.Stats.QuorumAcks
	}
	EachAge(m.batch, wall, func(age, n int64) {
		committed.AddMany(age, n)
		m.rep.Stats.Propagation.AddMany(age, n)
	})
}

// serve begins to serve clients under an established leader.
func (m *Member) serve(t Time) error {
	st := m.core.Status()
	if st.Phase != zab.Broadcast {
		return nil // it is over already: DeliverStop follows
	}
	m.leading, m.epoch = st.Role == zab.Leading, st.CurrentEpoch
	if m.opt.Config != nil {
		if err := m.rep.Tree().SetConfig(m.opt.Config, m.opt.ConfigVersion, t.Wall); err != nil {
			return err
		}
	}
	m.rep.endReadOnly()
	m.prove(true) // what a snapshot held beyond its stamp has come, and is applied
	m.rep.reconcile()
	if m.leading {
		m.rep.lead(m.core.NextZxid())
	}
	if m.leading && m.opt.NoLeaderServes {
		m.refuse()
	} else {
		m.askAgain()
		m.rep.open()
	}
	if m.leading {
		m.orphans = m.rep.Tree().EphemeralSessions()
		if err := m.closeOrphans(t); err != nil {
			return err
		}
	}
	m.resend()
	return nil
}

// stop begins the time without a leader. What was answered before is told before.
func (m *Member) stop(t Time) {
	m.rep.Flush()
	m.leading, m.epoch, m.since = false, 0, m.rep.age.At(t.Mono)
	m.rep.follow()
	m.rep.shut()
	m.takeBackAsked()
	m.waiting.dropRemote()
	m.early = waitingSteps{}
	m.replies, m.unsent, m.orphans, m.overdue = nil, nil, nil, overdues{}
	m.syncs.unsend()
}

// takeBackAsked has clients that wait for their sessions ask the next leader.
func (m *Member) takeBackAsked() {
	for i := range m.replies {
		if a := m.replies[i].asked; a.client != nil {
			m.asking[a.session] = append(m.asking[a.session], a)
		}
	}
	for _, list := range []*waitingSteps{&m.early, &m.waiting} {
		list.drop(func(s *waitingStep) bool {
			if s.asked != nil {
				m.asking[s.asked.session] = append(m.asking[s.asked.session], *s.asked)
			}
			return s.asked != nil
		})
	}
}

// refuse closes all clients, and those that come, until there is a leader.
func (m *Member) refuse() {
	if m.rep.refusing {
		return
	}
	tree := m.rep.Tree()
	tree.Lock()
	m.rep.serving, m.rep.refusing = false, true
	tree.Unlock()
	m.endAll()
}

// endAll closes all clients and forgets what they wait for.
func (m *Member) endAll() {
	m.rep.EachClient(func(c *Client) {
		if !c.isReadOnly() {
			m.rep.end(c)
		}
	})
	m.waiting.dropOwn()
	m.early.dropOwn()
	m.unsent = nil
	m.syncs = syncQueue{}
	clear(m.asking)
	for _, all := range []map[int64]*Session{m.rep.sessions, m.rep.local} {
		for _, s := range all {
			s.own, s.upgrading = ownQueue{}, false
		}
	}
	clear(m.rep.offers)
}

// Installed replaces the tree by the one that a WriteInstall has put in place; call
// it before the Durable of that write. Nobody has followed from one tree to the
// other, so all clients are closed: their sessions go on elsewhere or here.
func (m *Member) Installed(tree *znode.Tree, t Time) error {
	m.rep.now = t.Mono
	if m.epoch != 0 {
		panic("replica: a snapshot is installed while clients are served")
	}
	m.endAll()
	m.rep.endReadOnly()
	m.rep.replaceTree(tree)
	m.prove(false)
	return nil
}

// prove says whether the present tree is what its zxid says.
func (m *Member) prove(yes bool) {
	m.unproven = !yes
	tree := m.rep.Tree()
	tree.Lock()
	tree.Doubt(!yes)
	tree.Unlock()
}

// replaceTree makes tree the database.
func (r *Replica) replaceTree(tree *znode.Tree) {
	r.loading.Lock()
	old := r.Tree()
	old.Lock()
	r.db.Store(tree)
	old.Unlock()
	r.loading.Unlock()
	r.stalled = nil
	r.digests.clear()
	clear(r.sessions)
	for id, timeout := range tree.Sessions() {
		r.openSession(id, timeout)
	}
}

// open lets clients be served, and those that wait go on.
func (r *Replica) open() {
	tree := r.Tree()
	tree.Lock()
	r.serving, r.refusing = true, false
	tree.Unlock()
	r.resumeHeld(func(*Client) bool { return true })
}

// resumeHeld has the clients go on that wait for a leader and that may.
func (r *Replica) resumeHeld(may func(*Client) bool) {
	r.EachClient(func(c *Client) {
		c.mu.Lock()
		held := c.held && may(c)
		c.held = c.held && !held
		if held {
			c.listenAgain()
		}
		c.mu.Unlock()
		if held {
			r.resume = append(r.resume, c)
		}
	})
}

// shut has clients wait.
func (r *Replica) shut() {
	tree := r.Tree()
	tree.Lock()
	r.serving = false
	tree.Unlock()
}

// reconcile makes the sessions those of the tree, which holds all that is committed.
func (r *Replica) reconcile() {
	known := r.Tree().Sessions()
	for _, id := range r.sessionIDs() {
		if _, ok := known[id]; ok {
			continue
		}
		if c := r.sessions[id].client; c != nil {
			r.end(c)
		}
		delete(r.sessions, id)
	}
}

// sessionIDs and localIDs return the ids of all sessions in ascending order.
func (r *Replica) sessionIDs() []int64 { return sortedIDs(r.sessions) }
func (r *Replica) localIDs() []int64   { return sortedIDs(r.local) }

func sortedIDs[K ~int64, V any](m map[K]V) []K {
	ids := make([]K, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// waitingStep is a submission, a request that a learner sent to this leader, or a
// client that asked the last leader for its session.
type waitingStep struct {
	sub    Submission
	remote *remoteRequest
	asked  *asked
	bytes  int
}

// waitingSteps is a FIFO of them.
type waitingSteps struct {
	list   []waitingStep
	bytes  int
	remote int // those of learners
}

// remoteBytes is what a request of a learner takes beside its body.
const remoteBytes = 128

func (w *waitingSteps) len() int { return len(w.list) }

// push keeps a copy of a submission.
func (w *waitingSteps) push(s *Submission) {
	c := *s
	c.Body = append([]byte(nil), s.Body...)
	w.add(waitingStep{sub: c, bytes: len(c.Body)})
}

func (w *waitingSteps) pushRemote(q *remoteRequest) {
	w.add(waitingStep{remote: q, bytes: remoteBytes + len(q.body)})
}

func (w *waitingSteps) add(s waitingStep) {
	w.list = append(w.list, s)
	w.count(&s, 1)
}

// count notes that s has come, or, with -1, gone.
func (w *waitingSteps) count(s *waitingStep, n int) {
	w.bytes += n * s.bytes
	if s.remote != nil {
		w.remote += n * s.bytes
	}
}

func (w *waitingSteps) pop() waitingStep {
	s := w.list[0]
	w.list[0] = waitingStep{}
	w.count(&s, -1)
	if w.list = w.list[1:]; len(w.list) == 0 {
		w.list = nil
	}
	return s
}

// dropRemote forgets the learners' requests: they will send them to the next leader.
func (w *waitingSteps) dropRemote() { w.drop(func(s *waitingStep) bool { return s.remote != nil }) }

func (w *waitingSteps) dropOwn() { w.drop(func(s *waitingStep) bool { return s.remote == nil }) }

func (w *waitingSteps) drop(which func(*waitingStep) bool) {
	kept := w.list[:0]
	for i := range w.list {
		if which(&w.list[i]) {
			w.count(&w.list[i], -1)
		} else {
			kept = append(kept, w.list[i])
		}
	}
	clear(w.list[len(kept):])
	w.list = kept
}

// slab cuts small pieces of memory from large ones. Pieces are never reused.
type slab struct{ free []byte }

// slabBytes is the size of the large ones.
const slabBytes = 64 << 10

// room returns an empty slice to append about n bytes to; keep takes what came of it.
func (s *slab) room(n int) []byte {
	if cap(s.free) < n {
		s.free = make([]byte, 0, max(slabBytes, n))
	}
	return s.free[:0]
}

// keep returns the piece, whose memory is its own from now on.
func (s *slab) keep(b []byte) []byte {
	s.free = b[len(b):]
	return b[:len(b):len(b)]
}

// proposals is the Appender of a leader: what is prepared is proposed.
type proposals struct{ m *Member }

// proposalRoom is what most transactions need.
const proposalRoom = 512

// Begin implements [Appender].
func (p *proposals) Begin() []byte { return p.m.slab.room(proposalRoom) }

// End implements [Appender].
func (p *proposals) End(buf []byte, zxid int64) {
	got, err := p.m.core.Propose(p.m.slab.keep(buf))
	if err != nil || got != zxid {
		panic(fmt.Sprintf("replica: transaction %#x was proposed as %#x: %v", zxid, got, err))
	}
}
