package server

import (
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab/txnlog"
)

// alone is the stage of a server without peers: what is proposed is committed when
// it is on disk.
type alone struct {
	s    *Server
	l    *loop
	disk disk

	mu      sync.Mutex
	durable []*txnlog.Batch // written and synced, in order
	failed  error           // the log's, sticky

	// Owned by whoever makes a step of the loop.
	building *txnlog.Batch
	writing  int             // batches given to the disk goroutine that it has not written
	written  []*txnlog.Batch // batches that it has, not applied yet
	free     []*txnlog.Batch
}

func newAlone(s *Server) *alone {
	a := &alone{s: s, l: s.loop, building: new(txnlog.Batch)}
	a.disk.a, a.disk.idle = a, make(chan struct{})
	return a
}

// start implements stage.
func (a *alone) start() {
	go a.disk.run()
}

// end implements stage. The loop has waited for all that was written.
func (a *alone) end() error {
	a.disk.end()
	return nil
}

// tick implements stage.
func (a *alone) tick() time.Duration { return tickInterval(a.s.cfg.TickTime) }

// stop implements stage: there is nobody to tell.
func (a *alone) stop() {}

// done implements stage.
func (a *alone) done() bool { return a.writing+len(a.written)+a.building.Len() == 0 }

// rollLog implements stage. What is applied is durable.
func (a *alone) rollLog(f func(error)) {
	a.disk.push(diskWork{other: func() { a.s.txns.Roll(); f(nil) }})
}

// purgeLog implements stage.
func (a *alone) purgeLog(checkpoint int64) {
	a.disk.push(diskWork{other: func() {
		if _, err := a.s.history.purge(checkpoint, a.s.cfg.LogRetainBytes); err != nil {
			a.s.log.Error("purging the transaction log", zap.Error(err))
		}
	}})
}

// step implements stage. It first lets the disk work, then applies what that has finished.
func (a *alone) step(ticked bool) error {
	if err := a.feedDisk(ticked); err != nil {
		return err
	}
	return a.applyWritten()
}

// stepAtDisk is a step made by the disk's goroutine. It applies what it has written if
// there is nothing more to write.
func (a *alone) stepAtDisk() error {
	if err := a.feedDisk(false); err != nil {
		return err
	}
	if a.writing > 0 {
		a.l.signal()
		return nil
	}
	if err := a.applyWritten(); err != nil {
		return err
	}
	return a.l.rest()
}

// feedDisk takes what others left for the loop and proposes.
func (a *alone) feedDisk(ticked bool) error {
	if err := a.take(); err != nil {
		return err
	}
	if err := a.propose(ticked); err != nil {
		return err
	}
	a.giveToDisk()
	return nil
}

func (a *alone) applyWritten() error {
	for _, b := range a.written {
		if err := a.apply(b); err != nil {
			return err
		}
	}
	a.written = a.written[:0]
	return nil
}

// take empties what others left for the loop.
func (a *alone) take() error {
	a.l.mu.Lock()
	a.l.take()
	a.l.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writing -= len(a.durable)
	a.written = append(a.written, a.durable...)
	a.durable = a.durable[:0]
	return a.failed
}

// propose turns what was submitted into transactions.
func (a *alone) propose(ticked bool) error {
	t := a.s.now()
	for i := range a.l.taken.subs {
		if err := a.s.rep.Submit(a.building, a.l.taken.at(i), t); err != nil {
			return err
		}
	}
	a.l.taken.reset()
	if ticked {
		if err := a.s.rep.Tick(a.building, t); err != nil {
			return err
		}
	}
	a.s.rep.Flush()
	return nil
}

// giveToDisk hands over the batch that is being built when the disk is idle;
// while it works, the next batch gathers.
func (a *alone) giveToDisk() {
	if a.writing > 0 || a.building.Len() == 0 {
		return
	}
	b := a.building
	a.building = a.newBatch()
	a.writing++
	a.disk.push(diskWork{batch: b})
}

func (a *alone) newBatch() *txnlog.Batch {
	if n := len(a.free); n > 0 {
		b := a.free[n-1]
		a.free = a.free[:n-1]
		return b
	}
	return new(txnlog.Batch)
}

// apply applies a durable batch and keeps it for reuse.
func (a *alone) apply(b *txnlog.Batch) error {
	if err := a.s.rep.Apply(b, a.s.mono()); err != nil {
		return fmt.Errorf("applying committed transactions: %w", err)
	}
	wall := a.s.now().Wall
	for i := range b.Len() {
		_, txn := b.Entry(i)
		a.s.rep.Stats.Propagation.AddAge(txn, wall)
	}
	zxid, _ := b.Entry(b.Len() - 1)
	a.s.rep.Committed(zxid)
	a.l.ckpt.applied(b.Len(), int64(b.Bytes()))
	b.Reset()
	a.free = append(a.free, b)
	return nil
}

// disk is the goroutine that alone writes the transaction log.
type disk struct {
	a    *alone
	bell bell // rung when there is something in the queue, or at the end

	mu    sync.Mutex
	queue []diskWork
	ended bool
	idle  chan struct{} // closed when the goroutine has ended
}

// diskWork is a batch to make durable, or something else to do with the log.
type diskWork struct {
	batch *txnlog.Batch
	other func()
}

func (d *disk) push(w diskWork) {
	d.mu.Lock()
	d.queue = append(d.queue, w)
	d.mu.Unlock()
	d.bell.ring()
}

// end stops the goroutine when it has done what was pushed.
func (d *disk) end() {
	d.mu.Lock()
	d.ended = true
	d.mu.Unlock()
	d.bell.ring()
	<-d.idle
}

func (d *disk) run() {
	defer close(d.idle)
	var ws []diskWork
	for ended := false; ; {
		if ws, ended = d.take(ws); len(ws) == 0 && ended {
			return
		}
		for i := range ws {
			d.perform(ws[i])
		}
	}
}

// take waits for work. spare is a list that is not needed any more.
func (d *disk) take(spare []diskWork) (ws []diskWork, ended bool) {
	clear(spare)
	for {
		d.mu.Lock()
		if ws, ended = d.queue, d.ended; len(ws) > 0 {
			d.queue = spare[:0]
		}
		d.mu.Unlock()
		if len(ws) > 0 || ended {
			return ws, ended
		}
		d.bell.wait(forever)
	}
}

func (d *disk) perform(w diskWork) {
	if w.other != nil {
		w.other()
		return
	}
	err := d.write(w.batch)
	d.a.mu.Lock()
	if err != nil {
		d.a.failed = fmt.Errorf("transaction log: %w", err)
	} else {
		d.a.durable = append(d.a.durable, w.batch)
	}
	d.a.mu.Unlock()
	d.a.l.help(d.a.stepAtDisk)
}

func (d *disk) write(b *txnlog.Batch) error {
	if d.a.s.cfg.hooks.proposed != nil {
		d.a.s.cfg.hooks.proposed(b)
	}
	if err := d.a.s.txns.Append(b); err != nil {
		return err
	}
	start := time.Now()
	err := d.a.s.txns.Sync()
	took := time.Since(start)
	d.a.s.stats.fsync(took)
	if took > d.a.s.cfg.SyncWarn {
		d.a.s.stats.slowSyncs.Add(1)
		d.a.s.log.Warn("a sync of the transaction log was slow", zap.Duration("took", took))
	}
	return err
}
