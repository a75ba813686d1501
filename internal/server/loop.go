package server

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// inboxBytesMax bounds the request bodies that wait for the loop; connections
// wait at the bound.
const inboxBytesMax = 64 << 20

// loop owns the replica: it takes what connections submit, proposes, gives
// batches to the disk goroutine, and applies them when they are durable.
type loop struct {
	s    *Server
	wake chan struct{} // room for one token

	mu      sync.Mutex
	room    sync.Cond // inbox has shrunk, or the loop has stopped
	in      inbox
	off     bool
	durable []*txnlog.Batch // written and synced, in order
	failed  error           // the log's, sticky
	jobs    []func()

	// Owned by the loop's goroutine.
	taken    inbox
	building *txnlog.Batch
	writing  int // batches given to the disk goroutine and not applied
	free     []*txnlog.Batch
	ckpt     checkpointer
}

// inbox holds submissions; bodies are copied into one buffer.
type inbox struct {
	subs   []replica.Submission
	offs   []int
	bodies []byte
}

func (in *inbox) add(s replica.Submission) {
	in.offs = append(in.offs, len(in.bodies))
	in.bodies = append(in.bodies, s.Body...)
	in.subs = append(in.subs, s)
}

// body returns the i-th submission with its own copy of the body.
func (in *inbox) at(i int) *replica.Submission {
	s := &in.subs[i]
	s.Body = in.bodies[in.offs[i] : in.offs[i]+len(s.Body)]
	return s
}

func (in *inbox) reset() {
	clear(in.subs)
	if cap(in.bodies) > 4<<20 {
		in.bodies = nil
	}
	in.subs, in.offs, in.bodies = in.subs[:0], in.offs[:0], in.bodies[:0]
}

func newLoop(s *Server) *loop {
	l := &loop{s: s, wake: make(chan struct{}, 1), building: new(txnlog.Batch)}
	l.room.L = &l.mu
	l.ckpt.init(s)
	return l
}

// submit hands steps to the loop. It waits while too much is waiting already.
func (l *loop) submit(subs []replica.Submission) {
	l.mu.Lock()
	for len(l.in.bodies) > inboxBytesMax && !l.off {
		l.room.Wait()
	}
	for _, s := range subs {
		l.in.add(s)
	}
	l.mu.Unlock()
	l.signal()
}

// do runs f on the loop's goroutine, soon. It is false when the loop is off.
func (l *loop) do(f func()) bool {
	l.mu.Lock()
	off := l.off
	if !off {
		l.jobs = append(l.jobs, f)
	}
	l.mu.Unlock()
	l.signal()
	return !off
}

func (l *loop) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run is the loop's goroutine. It returns when the server stops and all that
// was proposed is applied, or at the first error.
func (l *loop) run() error {
	tick := time.NewTicker(tickInterval(l.s.cfg.TickTime))
	defer tick.Stop()
	defer l.turnOff()
	for {
		ticked, stopping := false, false
		select {
		case <-l.wake:
		case <-tick.C:
			ticked = true
		case <-l.s.stopping:
			stopping = true
		}
		if err := l.step(ticked); err != nil {
			return err
		}
		if stopping {
			if l.writing == 0 && l.building.Len() == 0 {
				return nil
			}
			<-l.wake // what is proposed becomes durable
		}
	}
}

// tickInterval is how often sessions are looked at: a tenth of a tick, within
// reason.
func tickInterval(tick time.Duration) time.Duration {
	return min(max(tick/10, 5*time.Millisecond), 500*time.Millisecond)
}

// turnOff lets nobody wait for the loop any more.
func (l *loop) turnOff() {
	l.mu.Lock()
	l.off = true
	l.mu.Unlock()
	l.room.Broadcast()
}

// step does what there is to do: first let the disk work, then apply what it
// has finished, then propose.
func (l *loop) step(ticked bool) error {
	durable, jobs, err := l.take()
	if err != nil {
		return err
	}
	l.writing -= len(durable)
	if err := l.propose(ticked); err != nil {
		return err
	}
	l.giveToDisk()
	for _, b := range durable {
		if err := l.apply(b); err != nil {
			return err
		}
	}
	for _, f := range jobs {
		f()
	}
	return l.ckpt.step(l)
}

// take empties what others left for the loop.
func (l *loop) take() (durable []*txnlog.Batch, jobs []func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	durable, l.durable = l.durable, nil
	jobs, l.jobs = l.jobs, nil
	if !l.ckpt.throttled(l.s) {
		l.taken, l.in = l.in, l.taken
	}
	l.room.Broadcast()
	return durable, jobs, l.failed
}

// propose turns what was submitted into transactions.
func (l *loop) propose(ticked bool) error {
	t := l.s.now()
	for i := range l.taken.subs {
		if err := l.s.rep.Submit(l.building, l.taken.at(i), t); err != nil {
			return err
		}
	}
	l.taken.reset()
	if ticked {
		if err := l.s.rep.Tick(l.building, t); err != nil {
			return err
		}
	}
	l.s.rep.Flush()
	return nil
}

// giveToDisk hands over the batch that is being built when the disk is idle;
// while it works, the next batch gathers.
func (l *loop) giveToDisk() {
	if l.writing > 0 || l.building.Len() == 0 {
		return
	}
	b := l.building
	l.building = l.newBatch()
	l.writing++
	l.s.disk.work <- diskWork{batch: b}
}

func (l *loop) newBatch() *txnlog.Batch {
	if n := len(l.free); n > 0 {
		b := l.free[n-1]
		l.free = l.free[:n-1]
		return b
	}
	return new(txnlog.Batch)
}

// apply applies a durable batch and keeps it for reuse.
func (l *loop) apply(b *txnlog.Batch) error {
	if err := l.s.rep.Apply(b, l.s.mono()); err != nil {
		return fmt.Errorf("applying committed transactions: %w", err)
	}
	zxid, _ := b.Entry(b.Len() - 1)
	l.s.rep.Committed(zxid)
	l.ckpt.applied(b.Len(), int64(b.Bytes()))
	b.Reset()
	l.free = append(l.free, b)
	return nil
}

// disk is the goroutine that alone writes the transaction log.
type disk struct {
	s    *Server
	work chan diskWork
}

// diskWork is a batch to make durable, or something else to do with the log.
type diskWork struct {
	batch *txnlog.Batch
	other func(*txnlog.Log) error
}

func (d *disk) run() {
	for w := range d.work {
		if w.other != nil {
			if err := w.other(d.s.txns); err != nil {
				d.s.log.Error("transaction log", zap.Error(err))
			}
			continue
		}
		err := d.write(w.batch)
		l := d.s.loop
		l.mu.Lock()
		if err != nil {
			l.failed = fmt.Errorf("transaction log: %w", err)
		} else {
			l.durable = append(l.durable, w.batch)
		}
		l.mu.Unlock()
		l.signal()
	}
}

func (d *disk) write(b *txnlog.Batch) error {
	if d.s.cfg.hooks.proposed != nil {
		d.s.cfg.hooks.proposed(b)
	}
	if err := d.s.txns.Append(b); err != nil {
		return err
	}
	start := time.Now()
	err := d.s.txns.Sync()
	took := time.Since(start)
	d.s.stats.fsync(took)
	if took > d.s.cfg.SyncWarn {
		d.s.log.Warn("a sync of the transaction log was slow", zap.Duration("took", took))
	}
	return err
}

// checkpointRetry is how long a failed checkpoint is left alone.
const checkpointRetry = 10 * time.Second

// checkpointer decides when the tree is written to rest and sees it through.
type checkpointer struct {
	txns, bytes int64 // applied since the last checkpoint began
	dueTxns     int64
	running     bool
	current     *znode.Checkpoint
	retryAt     time.Time // after a failure; zero otherwise
	done        chan error
	flushing    bool // as soon as possible, whatever the counts say
}

func (k *checkpointer) init(s *Server) {
	k.done = make(chan error, 1)
	k.schedule(s)
}

// schedule draws the next count from the upper half of SnapCount, so that the
// servers of an ensemble do not all write at once.
func (k *checkpointer) schedule(s *Server) {
	n := int64(max(s.cfg.SnapCount, 2))
	k.txns, k.bytes, k.dueTxns = 0, 0, n/2+rand.Int64N(n/2)
}

func (k *checkpointer) applied(txns int, bytes int64) {
	k.txns += int64(txns)
	k.bytes += bytes
}

func (k *checkpointer) due(s *Server) bool {
	return k.flushing || k.txns >= k.dueTxns || k.bytes >= s.cfg.CheckpointLogBytes
}

// throttled says that the tree has outgrown its budget by changes that are not
// at rest yet, so that no more are taken until a checkpoint is through: one that
// is being written, or one that failed and is to be tried again.
func (k *checkpointer) throttled(s *Server) bool {
	b := s.cfg.TreeBytes
	if b <= 0 || !k.running && k.retryAt.IsZero() {
		return false
	}
	s.tree.RLock()
	defer s.tree.RUnlock()
	return s.tree.MemoryBytes() > b+b/2+(64<<20)
}

// step is called by the loop after each round.
func (k *checkpointer) step(l *loop) error {
	s := l.s
	if k.running {
		select {
		case err := <-k.done:
			k.finish(s, err)
		default:
		}
	}
	k.evict(s)
	if k.running || !k.due(s) || time.Now().Before(k.retryAt) {
		return nil
	}
	k.start(s)
	return nil
}

// evict keeps the tree within its budget, a little at a time.
func (k *checkpointer) evict(s *Server) {
	s.tree.RLock()
	over := s.tree.OverBudget()
	s.tree.RUnlock()
	if !over {
		return
	}
	s.tree.Lock()
	n := s.tree.Evict(512)
	pinned := s.tree.Pinned()
	// Pinned by changes, that is: else a checkpoint would not help.
	k.flushing = pinned && s.tree.DirtyBytes() > 0
	s.tree.Unlock()
	if n > 0 || !pinned {
		s.loop.signal()
	}
}

func (k *checkpointer) start(s *Server) {
	k.schedule(s)
	k.running, k.flushing = true, false
	s.tree.Lock()
	c := s.tree.BeginCheckpoint()
	s.tree.Unlock()
	k.current = c
	began := time.Now()
	s.disk.work <- diskWork{other: func(log *txnlog.Log) error { log.Roll(); return nil }}
	s.goAttach(func() {
		err := c.Write()
		s.stats.checkpoint(time.Since(began))
		k.done <- err
		s.loop.signal()
	})
}

func (k *checkpointer) finish(s *Server, err error) {
	s.tree.Lock()
	s.tree.EndCheckpoint(k.current, err)
	s.tree.Unlock()
	k.running, k.current, k.retryAt = false, nil, time.Time{}
	if err != nil {
		// The log has everything: a full disk may have room again by then.
		s.log.Error("checkpoint", zap.Error(err), zap.Duration("next try in", checkpointRetry))
		k.retryAt, k.flushing = time.Now().Add(checkpointRetry), true
		return
	}
	s.loop.signal() // what was throttled may go on
	zxid := s.tree.CheckpointZxid()
	s.log.Debug("checkpoint", zap.Int64("zxid", zxid))
	if s.cfg.LogRetainBytes < 0 {
		return
	}
	s.disk.work <- diskWork{other: func(log *txnlog.Log) error {
		_, err := log.Purge(zxid+1, s.cfg.LogRetainBytes)
		return err
	}}
}
