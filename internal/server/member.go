package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/members"
	"github.com/quorate/quorate/zab/transport"
	"github.com/quorate/quorate/znode"
)

// memberStore is the disk of a member of an ensemble, which is a [history].
type memberStore interface {
	transport.Storage
	boot() (zab.Boot, error)
	unproven() bool
	tree() *znode.Tree
	write(ws []zab.Write) (installed *znode.Tree, err error)
	retire(old *znode.Tree) error
	noteCommitted(zxid int64) error
	roll()
	purge(checkpoint, retainBytes int64) (after int64, err error)
	close() error
}

// member is the stage of a server of an ensemble: the hands of a [replica.Member].
// The loop steps it; one goroutine writes to the disk; the transport has its own.
type member struct {
	s     *Server
	l     *loop
	m     *replica.Member
	store memberStore
	net   *transport.Transport
	disk  memberDisk

	mu         sync.Mutex
	inbox      []zab.Message // from peers and about connections
	inboxBytes int
	proposed   bool      // a leader's PROPOSALs are among them
	room       sync.Cond // inbox has shrunk, or the loop has stopped
	// forwarded is how many bytes of members' requests wait for this leader.
	forwarded atomic.Int64

	// Owned by the loop.
	taken    []zab.Message
	noted    int64 // the commit the disk was told of last
	leaveBy  time.Time
	status   zab.Status
	statusMu sync.Mutex
}

// peerInboxMax and peerInboxBytesMax are how many messages of peers, and how many bytes
// of them, may wait for the loop; who reads them waits at the bound.
const (
	peerInboxMax      = 1 << 16
	peerInboxBytesMax = 64 << 20
)

// forwardedBytesMax is from how many bytes of waiting requests on a leader reads
// from those that send them more slowly, and leaderOutBytesMax how many bytes may wait
// to be written to the leader before a member takes no more from its clients.
//
// A leader cannot stop reading: the acknowledgements that would let the requests go on
// come on the same connections, behind other requests. So it pauses after each read, by
// forwardPause for each forwardedBytesMax that waits: then as much comes as goes.
const (
	forwardedBytesMax = 32 << 20
	leaderOutBytesMax = 4 << 20
	forwardPause      = 5 * time.Millisecond
	forwardPauseMax   = 100 * time.Millisecond
)

// coreTickMax is the protocol's tick; servers with a short tickTime have a shorter one.
const coreTickMax = 50 * time.Millisecond

// coreTick is how often the core is told of the time.
func coreTick(tickTime time.Duration) time.Duration {
	return min(max(tickTime/40, 5*time.Millisecond), coreTickMax)
}

// newMember puts a member together. Nothing runs yet.
func newMember(s *Server, store memberStore) (*member, error) {
	e := s.cfg.Ensemble
	w := &member{s: s, l: s.loop, store: store}
	w.room.L = &w.mu
	w.disk.init(w)
	boot, err := store.boot()
	if err != nil {
		return nil, err
	}
	if boot.Blank, err = s.cfg.blank(lastOf(&boot)); err != nil {
		return nil, err
	}
	if boot.Blank {
		s.log.Warn("the database is empty and the file initialize missing: no vote before a synchronization")
	}
	ensemble, err := zabEnsemble(&e.List)
	if err != nil {
		return nil, err
	}
	tick := coreTick(s.cfg.TickTime)
	ticks := func(d time.Duration) int { return int((d + tick - 1) / tick) }
	w.m, err = replica.NewMember(zab.Config{
		ID: e.MyID, Observer: e.self().Role == members.Observer, Ensemble: ensemble, Boot: boot,
		Rand: lockedRand{}, Check: checkEntry,
		FinalizeWaitTicks: ticks(e.finalizeWait),
		NotifyMinTicks:    ticks(e.NotifyMin), NotifyMaxTicks: ticks(e.NotifyMax),
		ConnectRetryTicks: ticks(e.LeaderConnectDelay),
		ConnectTriesMax:   e.connectTries(s.cfg.TickTime),
		InitLimitTicks:    ticks(time.Duration(e.InitLimit) * s.cfg.TickTime),
		SyncLimitTicks:    ticks(time.Duration(e.SyncLimit) * s.cfg.TickTime),
		PingTicks:         max(1, ticks(s.cfg.TickTime/2)),
		HandOverTicks:     ticks(2 * time.Second),
		WindowTxns:        e.CommitLogCount,
		DiffTxnsMax:       e.diffTxnsMax(),
		DefaultLearner:    zab.LearnerOptions{SnapForTrunc: !e.NoJavaPeers},
	}, s.rep, w.replicaMember(&ensemble, store.unproven()), s.now())
	if err != nil {
		return nil, err
	}
	w.net, err = transport.Listen(w.transportOptions(ensemble.Text))
	if err != nil {
		return nil, &exitError{exitQuorumPort, fmt.Errorf("addresses of server.%d: %w", e.MyID, err)}
	}
	return w, nil
}

func (w *member) replicaMember(z *zab.Ensemble, unproven bool) replica.MemberOptions {
	e := w.s.cfg.Ensemble
	o := replica.MemberOptions{
		Config: z.Text, ConfigVersion: z.Version, Unproven: unproven,
		HoldMillis: e.HoldClients.Milliseconds(), NoLeaderServes: e.LeaderRefusesClients,
	}
	o.Reaches = func(conn zab.ConnID) bool { return w.net.Reaches(conn) }
	if o.HoldMillis == 0 {
		o.HoldMillis = -1 // at once
	}
	if e.ReadOnly {
		o.ReadOnlyMillis = max(2000, w.s.cfg.TickTime.Milliseconds())
	}
	return o
}

func (w *member) transportOptions(text []byte) transport.Options {
	c, e := &w.s.cfg, w.s.cfg.Ensemble
	election, quorum := e.listenAddrs()
	return transport.Options{
		ID: e.MyID, ElectionAddrs: election, QuorumAddrs: quorum,
		Advertise: strings.Join(e.self().ElectionAddrs(), "|"),
		Lookup: func(sid int64) (p transport.Peer, ok bool) {
			if m := e.List.Find(sid); m != nil {
				return transport.Peer{Election: m.ElectionAddrs(), Quorum: m.QuorumAddrs()}, true
			}
			return p, false
		},
		ConfigText: func() []byte { return text },
		Handler:    w, Storage: newGates(w.store, e.SnapSyncsMax, e.DiffSyncsMax),
		TickTime: c.TickTime, SyncLimit: e.SyncLimit, InitLimit: e.InitLimit, CnxTimeout: e.CnxTimeout,
		PacketBytesMax: c.RequestBytesMax + c.RecordExtraBytes, Log: w.s.log,
	}
}

// lockedRand is the process's source of randomness for the core.
type lockedRand struct{}

// Intn implements [zab.Rand].
func (lockedRand) Intn(n int) int { return rand.IntN(n) }

// Step implements [transport.Handler].
func (w *member) Step(ms []zab.Message) (pause time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for (len(w.inbox) > peerInboxMax || w.inboxBytes > peerInboxBytesMax) && !w.l.isOff() {
		w.l.signal()
		w.room.Wait()
	}
	w.inbox = append(w.inbox, ms...)
	requests := false
	for i := range ms {
		w.inboxBytes += len(ms[i].Data) + len(ms[i].Auth)
		w.proposed = w.proposed || ms[i].Type == zab.Proposal
		requests = requests || ms[i].Type == zab.Request
	}
	if requests {
		pause = w.forwardingPause()
	}
	return pause
}

// forwardingPause is for how long the connection of a member that sends requests is not to be
// read. See forwardedBytesMax.
func (w *member) forwardingPause() time.Duration {
	return min(time.Duration(w.forwarded.Load()/forwardedBytesMax)*forwardPause, forwardPauseMax)
}

// Settle implements [transport.Handler].
func (w *member) Settle() {
	w.mu.Lock()
	waiting, proposed := len(w.inbox), w.proposed
	w.proposed = false
	w.mu.Unlock()
	switch {
	case waiting == 0: // somebody has taken it
	case proposed && w.disk.isQuick():
		w.disk.promise()
		w.l.help(w.l.helpOnce)
		w.disk.keepPromise()
	case waiting <= helpMax:
		w.l.help(w.l.helpOnce)
	default:
		w.l.signal()
	}
}

// start implements stage.
func (w *member) start() {
	w.net.Start()
	go w.disk.run()
}

// end implements stage. The loop has ended.
func (w *member) end() error {
	w.mu.Lock()
	w.room.Broadcast()
	w.mu.Unlock()
	if err := w.net.Shutdown(context.Background()); err != nil {
		w.s.log.Warn("closing the connections to other servers", zap.Error(err))
	}
	return w.disk.end()
}

// tick implements stage.
func (w *member) tick() time.Duration { return coreTick(w.s.cfg.TickTime) }

// stop implements stage: a leader hands over before it leaves.
func (w *member) stop() {
	w.leaveBy = time.Now().Add(handOverMax)
	if err := w.m.HandOver(); err != nil && !errors.Is(err, zab.ErrNotLeading) {
		w.s.log.Warn("handing over", zap.Error(err))
	}
}

// handOverMax bounds how long a leader that stops waits for its successor.
const handOverMax = 5 * time.Second

// done implements stage. A follower has nothing to finish: what its clients wait for
// goes on without it. A leader stays until its successor is elected, because the
// others would have to wait for its vote.
func (w *member) done() bool {
	return !w.m.Status().HandingOver || time.Now().After(w.leaveBy)
}

// rollLog implements stage.
func (w *member) rollLog(f func(error)) {
	w.disk.push(diskOrder{other: func(err error) {
		if err == nil {
			w.store.roll()
		}
		f(err)
	}})
}

// purgeLog implements stage.
func (w *member) purgeLog(checkpoint int64) {
	w.disk.push(diskOrder{other: func(err error) {
		if err != nil {
			return
		}
		after, err := w.store.purge(checkpoint, w.s.cfg.LogRetainBytes)
		if err != nil {
			w.s.log.Error("purging the transaction log", zap.Error(err))
			return
		}
		w.l.do(func() { w.m.Purged(after) })
	}})
}

// step takes what the disk has done, what peers sent and what clients asked for, and
// carries out what follows from it.
func (w *member) step(ticked bool) error {
	w.takeAll()
	t := w.s.now()
	if err := w.diskNews(t); err != nil {
		return err
	}
	for i := range w.taken {
		w.m.Step(w.taken[i], t)
	}
	clear(w.taken)
	w.taken = w.taken[:0]
	subs := &w.l.taken
	for i := range subs.subs {
		if err := w.m.Submit(subs.at(i), t); err != nil {
			return err
		}
	}
	subs.reset()
	if ticked {
		w.m.Tick(t)
		w.net.Relieve()
	}
	return w.carryOut(t)
}

// stepAtDisk is a step made by the disk's goroutine. A step may have to wait for a
// checkpoint under way, and that for the disk.
func (w *member) stepAtDisk() error {
	if w.l.ckpt.running {
		w.l.signal()
		return nil
	}
	return w.l.step(false)
}

// takeAll empties what others left for the loop.
func (w *member) takeAll() {
	if !w.m.Backlogged() && w.net.Waiting() <= leaderOutBytesMax {
		w.l.mu.Lock()
		w.l.take()
		w.l.mu.Unlock()
	}
	w.takeInbox()
}

// takeInbox empties what peers left.
func (w *member) takeInbox() {
	w.mu.Lock()
	w.taken, w.inbox, w.inboxBytes = w.inbox, w.taken, 0
	w.room.Broadcast()
	w.mu.Unlock()
}

// diskNews tells the core what is durable; the messages that waited for it have left. A disk that failed is the end: this server gives up its role at once, so that
// the others go on without it, and stops.
func (w *member) diskNews(t replica.Time) error {
	seq, installed, err := w.disk.news()
	if err != nil {
		w.m.DiskFailed(t)
		return errors.Join(fmt.Errorf("transaction log: %w", err), w.carryOut(t))
	}
	if installed != nil {
		w.l.ckpt.settle() // one of the old tree may have begun since the order
		w.noted = 0
		old := w.s.rep.Tree()
		if err := w.m.Installed(installed, t); err != nil {
			return err
		}
		w.s.goAttach(func() {
			if err := w.store.retire(old); err != nil {
				w.s.log.Error("closing the database that a snapshot replaced", zap.Error(err))
			}
		})
	}
	if seq == 0 {
		return nil
	}
	w.m.Durable(seq, t)
	return nil
}

// carryOut does what the core orders until it has nothing more to say.
func (w *member) carryOut(t replica.Time) error {
	for {
		out, ok, err := w.m.Take(t)
		if err != nil || !ok {
			w.publish()
			return err
		}
		if len(out.Writes)+len(out.SendAfterSync) > 0 {
			w.giveToDisk(out.Writes, out.SendAfterSync, t.Wall)
		}
		if len(out.Send) > 0 {
			w.net.Send(out.Send)
		}
		for _, sid := range out.Connect {
			// A leader that stops has a vote for its successor, but is not to be of its quorum: it would be lost again at once.
			if w.leaveBy.IsZero() {
				w.net.Connect(sid)
			}
		}
		for _, c := range out.Close {
			w.net.Close(c)
		}
		for i := range out.Events {
			w.event(&out.Events[i])
		}
		w.m.Recycle(out)
	}
}

// giveToDisk queues writes, and the messages that may leave after them. A snapshot does
// not replace a tree that is being written to rest.
func (w *member) giveToDisk(ws []zab.Write, after []zab.Delayed, wall int64) {
	for i := range ws {
		if ws[i].Kind == zab.WriteInstall || ws[i].Kind == zab.WriteTruncate {
			w.l.ckpt.settle()
		}
		w.s.stats.member.appended(&w.status, ws[i].Entries, wall)
		// As in ZooKeeper, what is logged counts: it is what a start replays.
		bytes := 0
		for _, e := range ws[i].Entries {
			bytes += len(e.Data)
		}
		w.l.ckpt.applied(len(ws[i].Entries), int64(bytes))
	}
	w.disk.push(diskOrder{
		writes: ws, after: after, patient: w.m.FollowersSuffice(),
		voted: w.status.Phase == zab.Broadcast && w.status.Role != zab.Observing,
	})
}

// publish keeps the status for others to read, and lets the disk know how far the log
// is committed.
func (w *member) publish() {
	st := w.m.Status()
	w.statusMu.Lock()
	w.status = st
	w.statusMu.Unlock()
	w.forwarded.Store(int64(w.m.Forwarded()))
	w.s.stats.member.delivered(st.Role, w.s.rep.Stats.Commits.Load())
	due := w.noted == 0 || st.Committed-w.noted >= commitNoteTxns
	if due && w.m.Established() && st.Synced >= st.Committed && st.Committed > 0 {
		w.noted = st.Committed
		zxid := st.Committed
		w.disk.push(diskOrder{other: func(err error) {
			if err == nil {
				err = w.store.noteCommitted(zxid)
			}
			if err != nil {
				w.s.log.Debug("noting what is committed", zap.Error(err))
			}
		}})
	}
}

// commitNoteTxns is after how many commits a note of them is left on disk, beside the one
// when a leader is established. A start holds what follows the note in memory.
const commitNoteTxns = 10_000

// event tells operators what the core tells.
func (w *member) event(e *zab.Event) {
	w.s.stats.member.event(e, time.Now())
	fields := []zap.Field{zap.String("reason", e.Reason)}
	if e.Peer != zab.NoServer && e.Peer != 0 {
		fields = append(fields, zap.Int64("peer", e.Peer))
	}
	switch e.Kind {
	case zab.EventRole:
		w.s.log.Info("role", append(fields, zap.Stringer("role", e.Role), zap.Stringer("phase", e.Phase),
			zap.Int64("epoch", w.m.Status().CurrentEpoch))...)
	case zab.EventLearnerJoined:
		w.s.log.Info("learner joined", append(fields, zap.String("zxid", zab.FormatZxid(e.Zxid)))...)
	case zab.EventLearnerDropped:
		w.s.log.Warn("learner dropped", append(fields, zap.String("zxid", zab.FormatZxid(e.Zxid)))...)
	case zab.EventHandedOver:
		w.s.log.Info("handed over", fields...)
	case zab.EventConfigSeen:
		w.s.log.Info("a peer has a later configuration", append(fields, zap.String("version", zab.FormatZxid(e.Zxid)))...)
	case zab.EventIgnored:
		w.s.log.Debug("message ignored", fields...)
	}
}

// memberDisk writes to the log and the epoch files: a goroutine does, or whoever has promised to.
type memberDisk struct {
	w    *member
	bell bell // rung when there is something in the queue, or at the end

	working sync.Mutex // held by whoever carries out orders
	broken  error      // what the disk has failed with; theirs

	mu        sync.Mutex
	queue     []diskOrder
	promises  int       // callers that will see to the queue
	quickFrom time.Time // not before this is the disk taken to be quick
	ended     bool
	idle      chan struct{} // closed when the goroutine has ended
	seq       uint64        // durable up to here, and not told yet
	fresh     *znode.Tree
	failed    error

	send  func([]zab.Message)
	leave []zab.Message   // theirs who hold working
	free  [][]zab.Delayed // lists of orders that are carried out
}

// diskListsKept is how many lists are kept for later orders.
const diskListsKept = 64

// diskOrder is writes of the core and messages that may leave when these, and all
// before them, are durable; or something else to do in their order, which is told the
// error that the disk has failed with.
type diskOrder struct {
	writes  []zab.Write
	after   []zab.Delayed
	other   func(error)
	patient bool // nobody waits for it, most likely
	voted   bool // entries are proposals, and being durable is a vote for them
}

func (d *memberDisk) init(w *member) {
	d.w, d.idle = w, make(chan struct{})
	d.send = func(ms []zab.Message) { w.net.Send(ms) }
}

func (d *memberDisk) push(o diskOrder) {
	d.mu.Lock()
	var own []zab.Delayed // the list is the core's, also when it is empty
	if n := len(d.free); len(o.after) > 0 && n > 0 {
		own, d.free = d.free[n-1], d.free[:n-1]
	}
	o.after = append(own, o.after...)
	d.queue = append(d.queue, o)
	// A step may wait for what is no write.
	ended, promised := d.ended, d.promises > 0 && o.other == nil
	d.mu.Unlock()
	if !promised {
		d.bell.ring()
	}
	if ended {
		d.refuse()
	}
}

// refuse tells what is left that it is too late.
func (d *memberDisk) refuse() {
	d.mu.Lock()
	left := d.queue
	d.queue = nil
	d.mu.Unlock()
	for _, o := range left {
		if o.other != nil {
			o.other(errStageEnded)
		}
	}
}

// end stops the goroutine when it has done what was pushed. It returns the error that the
// disk has failed with: the loop may have ended before it could hear of it.
func (d *memberDisk) end() error {
	d.mu.Lock()
	d.ended = true
	d.mu.Unlock()
	d.bell.ring()
	<-d.idle
	d.refuse()
	_, _, err := d.news()
	if err != nil {
		err = fmt.Errorf("transaction log: %w", err)
	}
	return err
}

// news returns what has become durable since the last call, the tree of a snapshot that
// has been put in place, and the error that the disk has failed with.
func (d *memberDisk) news() (seq uint64, installed *znode.Tree, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seq, installed, err = d.seq, d.fresh, d.failed
	d.seq, d.fresh = 0, nil
	return seq, installed, err
}

func (d *memberDisk) run() {
	defer close(d.idle)
	for {
		d.gather()
		orders, ended := d.work()
		if orders == 0 && ended {
			return
		}
		if orders == 0 {
			d.bell.wait(forever)
		}
	}
}

// leaderGathers is how long a leader lets entries gather before it writes them, when its followers are a quorum
// without it: about what they take to acknowledge. They commit by then, and the leader, which has the most to do, saves
// most of its syncs; should one of them be late, it is only this much later with its own.
const (
	leaderGathers = 500 * time.Microsecond
	// gatheredBytes is from how many bytes of entries on it writes them at once.
	gatheredBytes = 1 << 20
)

// gather waits a little if nobody waits for what is in the queue.
func (d *memberDisk) gather() {
	if d.mayGather() {
		nap(leaderGathers)
	}
}

func (d *memberDisk) mayGather() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	bytes := 0
	hurry := func(o diskOrder) bool {
		for i := range o.writes {
			for _, e := range o.writes[i].Entries {
				bytes += len(e.Data)
			}
		}
		return !o.patient || !o.onlyAppends() || bytes > gatheredBytes
	}
	return len(d.queue) > 0 && !d.ended && !slices.ContainsFunc(d.queue, hurry)
}

// work carries out what is in the queue.
func (d *memberDisk) work() (orders int, ended bool) {
	d.working.Lock()
	defer d.working.Unlock()
	d.mu.Lock()
	os, ended := d.queue, d.ended
	d.queue = nil
	d.mu.Unlock()
	d.performAll(os)
	return len(os), ended
}

// performAll carries out orders. The caller holds d.working.
func (d *memberDisk) performAll(orders []diskOrder) {
	for len(orders) > 0 {
		n := d.perform(orders, &d.broken)
		orders = orders[n:]
	}
}

// diskQuick is how long a write may take for others than the disk's goroutine to make the next,
// and diskSlowFor for how long they do not after one that took longer.
const (
	diskQuick   = 10 * time.Millisecond
	diskSlowFor = 100 * time.Millisecond
)

// isQuick reports whether a write would not keep its caller for long, by what the last ones took.
func (d *memberDisk) isQuick() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.quickFrom.IsZero() || time.Now().After(d.quickFrom)
}

// promise has whoever pushes an order not wake the disk's goroutine: the caller sees to it, with
// keepPromise, which is to follow soon. A learner has nothing better to do than to write what it was proposed, and the
// hand-over would cost as much as the write: what comes meanwhile leaves with the next. Should the disk hang, the transport
// has another goroutine read on (Transport.Relieve).
func (d *memberDisk) promise() {
	d.mu.Lock()
	d.promises++
	d.mu.Unlock()
}

// keepPromise carries out what is in the queue, if that is nothing but entries for the log and nobody is at
// it; else it wakes the disk's goroutine. The caller holds no lock that a step takes.
func (d *memberDisk) keepPromise() {
	if d.working.TryLock() {
		d.performAll(d.takeAppends())
		d.working.Unlock()
	}
	d.mu.Lock()
	d.promises--
	left := len(d.queue) > 0
	d.mu.Unlock()
	if left {
		d.bell.ring()
	}
}

// takeAppends empties the queue if there is nothing in it but entries for the log.
func (d *memberDisk) takeAppends() (orders []diskOrder) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.ContainsFunc(d.queue, func(o diskOrder) bool { return !o.onlyAppends() }) {
		return nil
	}
	orders, d.queue = d.queue, nil
	return orders
}

// onlyAppends reports whether o is nothing but entries for the log.
func (o *diskOrder) onlyAppends() bool {
	return o.other == nil && !slices.ContainsFunc(o.writes, func(w zab.Write) bool { return w.Kind != zab.WriteAppend })
}

// perform carries out the first order, and all that follow of its kind: writes that
// have gathered share a sync.
func (d *memberDisk) perform(orders []diskOrder, failed *error) (n int) {
	if orders[0].other != nil {
		orders[0].other(*failed)
		return 1
	}
	ws := orders[0].writes
	for n = 1; n < len(orders) && orders[n].other == nil; n++ {
		ws = append(ws, orders[n].writes...)
	}
	if *failed != nil {
		return n
	}
	tree, err := d.write(ws)
	if tree != nil {
		// Before what waited for it leaves: the leader's answer may make the
		// loop serve clients, which must not find the old tree.
		d.mu.Lock()
		d.fresh = tree
		d.mu.Unlock()
	}
	if err == nil {
		d.release(orders[:n])
		d.countAcks(orders[:n])
	}
	*failed = err
	d.mu.Lock()
	if d.failed = err; err == nil && len(ws) > 0 {
		d.seq = ws[len(ws)-1].Seq
	}
	for i := range orders[:n] {
		if after := orders[i].after; cap(after) > 0 && len(d.free) < diskListsKept {
			clear(after)
			d.free = append(d.free, after[:0])
		}
	}
	idle := n == len(orders) && len(d.queue) == 0
	d.mu.Unlock()
	if idle || orders[0].patient {
		d.w.l.help(d.w.stepAtDisk)
	} else {
		d.w.l.signal()
	}
	return n
}

// countAcks counts what has been voted for.
func (d *memberDisk) countAcks(orders []diskOrder) {
	wall := d.w.s.now().Wall
	for i := range orders {
		for k := range orders[i].writes {
			if orders[i].voted {
				replica.EachAge(orders[i].writes[k].Entries, wall, d.w.s.stats.member.acks.AddMany)
			}
		}
	}
}

// write makes writes durable.
func (d *memberDisk) write(ws []zab.Write) (installed *znode.Tree, err error) {
	if len(ws) == 0 {
		return nil, nil
	}
	start := time.Now()
	installed, err = d.w.store.write(ws)
	took := time.Since(start)
	d.w.s.stats.fsync(took)
	if took > diskQuick {
		d.mu.Lock()
		d.quickFrom = time.Now().Add(diskSlowFor)
		d.mu.Unlock()
	}
	if took > d.w.s.cfg.SyncWarn {
		d.w.s.stats.slowSyncs.Add(1)
		d.w.s.log.Warn("writing to the transaction log was slow", zap.Duration("took", took), zap.Int("writes", len(ws)))
	}
	return installed, err
}

// release sends the messages that waited for what is durable now. It does not wait for
// the loop: an acknowledgement is what a whole ensemble waits for.
func (d *memberDisk) release(orders []diskOrder) {
	for i := range orders {
		for k := range orders[i].after {
			d.leave = append(d.leave, orders[i].after[k].Message)
		}
	}
	if len(d.leave) > 0 {
		d.send(d.leave)
		clear(d.leave)
		d.leave = d.leave[:0]
	}
}
