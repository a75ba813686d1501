package server

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/znode"
)

// checkpointRetry is how long a failed checkpoint is left alone.
const checkpointRetry = 10 * time.Second

// checkpointer decides when the tree is written to rest and sees it through. It is
// the loop's.
type checkpointer struct {
	s           *Server
	txns, bytes int64 // applied since the last checkpoint began
	dueTxns     int64
	running     bool
	current     *znode.Checkpoint
	retryAt     time.Time // after a failure; zero otherwise
	done        chan error
	flushing    bool // as soon as possible, whatever the counts say
	waiters     []checkpointWaiter
	hurry       atomic.Bool // set by the loop
}

// standBack is called on the goroutines that work in the background, of which
// requests are to notice nothing. But when somebody waits for that work, or
// transactions come faster than it is done, it is done as any other.
func (k *checkpointer) standBack() {
	if !k.hurry.Load() {
		standBack()
	}
}

// yield is called by a checkpoint after a little work. A thread that stands back is held
// up by the system when others want its processor.
func (k *checkpointer) yield() {
	if !threadsStandBack || k.hurry.Load() {
		runtime.Gosched()
	}
}

// checkpointWaiter waits until a transaction is in the tree at rest.
type checkpointWaiter struct {
	zxid int64
	done chan<- error
}

func (k *checkpointer) init(s *Server) {
	k.s, k.done = s, make(chan error, 1)
	k.schedule()
}

// schedule draws the next count from the upper half of SnapCount, so that the
// servers of an ensemble do not all write at once.
func (k *checkpointer) schedule() {
	n := int64(max(k.s.cfg.SnapCount, 2))
	k.txns, k.bytes, k.dueTxns = 0, 0, n/2+rand.Int64N(n/2)
}

func (k *checkpointer) applied(txns int, bytes int64) {
	k.txns += int64(txns)
	k.bytes += bytes
}

func (k *checkpointer) due() bool {
	return k.flushing || k.txns >= k.dueTxns || k.bytes >= k.s.cfg.CheckpointLogBytes
}

// throttled says that the tree has outgrown its budget by changes that are not
// at rest yet, so that no more are taken until a checkpoint is through: one that
// is being written, or one that failed and is to be tried again.
func (k *checkpointer) throttled() bool {
	b := k.s.cfg.TreeBytes
	if b <= 0 || !k.running && k.retryAt.IsZero() {
		return false
	}
	tree := k.s.rep.Tree()
	tree.RLock()
	defer tree.RUnlock()
	return tree.MemoryBytes() > b+b/2+(64<<20)
}

// step is called by the loop after each round.
func (k *checkpointer) step() {
	if k.running {
		select {
		case err := <-k.done:
			k.finish(err)
		default:
		}
	}
	k.evict()
	if k.running || !k.due() || time.Now().Before(k.retryAt) {
		return
	}
	k.start()
}

// evict keeps the tree within its budget, a little at a time.
func (k *checkpointer) evict() {
	tree := k.s.rep.Tree()
	tree.RLock()
	over := tree.OverBudget()
	tree.RUnlock()
	if !over {
		return
	}
	tree.Lock()
	n := tree.Evict(512)
	pinned := tree.Pinned()
	// Pinned by changes, that is: else a checkpoint would not help.
	k.flushing = pinned && tree.DirtyBytes() > 0
	tree.Unlock()
	if n > 0 || !pinned {
		k.s.loop.signal()
	}
}

// start begins a checkpoint. What it holds is applied, but perhaps not durable yet
// where others have committed it: it is written behind a barrier.
func (k *checkpointer) start() {
	s := k.s
	k.hurry.Store(k.flushing || k.txns >= 2*k.dueTxns || k.bytes >= 2*s.cfg.CheckpointLogBytes)
	k.schedule()
	k.running, k.flushing = true, false
	tree := s.rep.Tree()
	tree.Lock()
	c := tree.BeginCheckpoint()
	tree.Unlock()
	k.current = c
	began := time.Now()
	durable := make(chan error, 1)
	s.loop.stage.rollLog(func(err error) { durable <- err })
	s.goAttach(func() {
		err := <-durable
		if err == nil {
			k.standBack()
			err = c.Write()
		}
		s.stats.checkpoint(time.Since(began))
		k.done <- err
		s.loop.signal()
	})
}

// settle waits for the checkpoint under way, if there is one. Nothing else goes on
// meanwhile.
func (k *checkpointer) settle() {
	if k.running {
		k.finish(<-k.done)
	}
}

// abandon ends the checkpoint under way when the stage has ended: its goroutine has
// too.
func (k *checkpointer) abandon() {
	if !k.running {
		return
	}
	tree := k.s.rep.Tree()
	tree.Lock()
	tree.EndCheckpoint(k.current, <-k.done)
	tree.Unlock()
	k.running = false
	k.release(0, errStageEnded)
}

// errStageEnded is what those are told who wait for the disk of a server that has
// stopped.
var errStageEnded = errors.New("the server stops")

func (k *checkpointer) finish(err error) {
	s := k.s
	tree := s.rep.Tree()
	tree.Lock()
	tree.EndCheckpoint(k.current, err)
	tree.Unlock()
	k.running, k.current, k.retryAt = false, nil, time.Time{}
	if err != nil {
		// The log has everything: a full disk may have room again by then.
		s.log.Error("checkpoint", zap.Error(err), zap.Duration("next try in", checkpointRetry))
		k.retryAt, k.flushing = time.Now().Add(checkpointRetry), true
		k.release(0, err)
		return
	}
	s.stats.ckptAt.Store(time.Now().Unix())
	s.loop.signal() // what was throttled may go on
	zxid := tree.CheckpointZxid()
	s.log.Debug("checkpoint", zap.Int64("zxid", zxid))
	k.release(zxid, nil)
	if s.cfg.LogRetainBytes >= 0 {
		s.loop.stage.purgeLog(zxid)
	}
}

// await has done told when the tree at rest holds everything up to zxid, which is
// applied already.
func (k *checkpointer) await(zxid int64, done chan<- error) {
	if k.s.rep.Tree().CheckpointZxid() >= zxid {
		done <- nil
		return
	}
	k.waiters = append(k.waiters, checkpointWaiter{zxid, done})
	k.flushing = true
}

// release tells those who waited for a checkpoint up to zxid; all of them of an
// error.
func (k *checkpointer) release(zxid int64, err error) {
	kept := k.waiters[:0]
	for _, w := range k.waiters {
		if err == nil && w.zxid > zxid {
			kept = append(kept, w)
			continue
		}
		w.done <- err
	}
	k.waiters = kept
	if len(kept) > 0 {
		k.flushing = true
	}
}
