package server

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/internal/replica"
)

// inboxBytesMax bounds the request bodies that wait for the loop; connections
// wait at the bound.
const inboxBytesMax = 64 << 20

// loop owns the replica: it takes what connections submit and sees it through its
// stage, keeps the tree within its budget, and has checkpoints written.
//
// It goes in steps, one at a time. It has a goroutine of its own for them; but a server
// that has little to do would spend most of its time on waking that, so whoever brings
// little work, and finds nobody stepping, makes the step itself (see help).
type loop struct {
	s    *Server
	bell bell // rung when there is something to do

	mu   sync.Mutex
	room sync.Cond // inbox has shrunk, or the loop has stopped
	in   inbox
	off  bool
	jobs []func()
	lost error // what the store has failed with

	// due says that something has come since the last step began.
	due atomic.Bool
	// stepping is held by whoever makes a step. What follows is theirs.
	stepping sync.Mutex
	taken    inbox
	stage    stage
	ckpt     checkpointer
	ended    bool  // there are no more steps
	failed   error // what a step has failed with that was not the loop's goroutine's
}

// stage is how what clients ask for becomes committed: by this server alone, or
// by agreement with others. All of it but start and end is called by whoever makes a
// step of the loop.
type stage interface {
	// start begins the stage's goroutines; end ends them, and waits. Its error is that of
	// something that was under way when the loop ended.
	start()
	end() error
	// tick is how often step is to be told that a tick has passed.
	tick() time.Duration
	// step does what there is to do. ticked says that a tick has passed.
	step(ticked bool) error
	// stop asks for an end; step goes on to be called until done.
	stop()
	// done reports whether nothing is under way any more.
	done() bool
	// rollLog has a new log file begun and then calls f, when all that was given to
	// the disk so far is durable, or with the error that keeps it from it.
	rollLog(f func(error))
	// purgeLog removes log files that nobody needs behind a checkpoint.
	purgeLog(checkpoint int64)
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
	l := &loop{s: s}
	l.room.L = &l.mu
	l.ckpt.init(s)
	return l
}

func (l *loop) isOff() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.off
}

// submit hands submissions to the loop; signal or help is to follow. It returns how many
// wait with them, and waits itself while they are too much already.
func (l *loop) submit(subs ...replica.Submission) (waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.in.bodies) > inboxBytesMax && !l.off {
		l.signal()
		l.room.Wait()
	}
	for _, s := range subs {
		l.in.add(s)
	}
	return len(l.in.subs)
}

// do runs f within a step of the loop, soon. It is false when the loop is off.
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

// signal has the loop's goroutine make a step. Any goroutine may call it.
func (l *loop) signal() { l.bell.ring() }

// help makes a step, f, on the caller's goroutine, unless somebody makes one: then they
// make the next, too. The caller holds no lock that a step takes, and is
// nobody whom a step may have to wait for.
func (l *loop) help(f func() error) {
	l.due.Store(true)
	for range helpTries {
		if !l.stepping.TryLock() {
			return // whoever holds it looks at due
		}
		if l.ended || l.failed != nil {
			l.stepping.Unlock()
			l.signal() // its goroutine may have found this one stepping
			return
		}
		l.due.Store(false)
		err := f()
		l.failed = err
		l.stepping.Unlock()
		if err != nil {
			break
		}
		if !l.due.Load() {
			return
		}
	}
	l.signal()
}

// helpTries is how many steps a helper makes for what others brought meanwhile, before it leaves the next to the loop's
// goroutine: each takes less than to wake that.
const helpTries = 3

// helpMax is how many submissions or messages of peers may wait for whoever has brought
// the last of them to see to them all. A poller reads nothing meanwhile.
const helpMax = 16

// helpOnce is step for help.
func (l *loop) helpOnce() error { return l.step(false) }

// run is the loop's goroutine. It returns when the server stops and all that
// was proposed is applied, or at the first error.
func (l *loop) run(tick time.Duration) error {
	defer l.turnOff()
	next := time.Now().Add(tick)
	for stopping := false; ; {
		l.bell.wait(max(time.Until(next), 0))
		ticked, stop := !time.Now().Before(next), !stopping && isClosed(l.s.stopping)
		if ticked {
			next = time.Now().Add(tick)
		}
		stopping = stopping || stop
		if ended, err := l.turn(ticked, stop, stopping); ended {
			return err
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// turn makes a step of the loop's goroutine, unless somebody makes one, who then looks at due. What only this goroutine
// does does not depend on that.
func (l *loop) turn(ticked, stop, stopping bool) (ended bool, err error) {
	if ticked || stop || stopping {
		l.stepping.Lock()
	} else if l.due.Store(true); !l.stepping.TryLock() {
		return false, nil
	}
	ended, err = l.stepOwn(ticked, stop, stopping)
	l.stepping.Unlock()
	if l.due.Load() {
		l.signal()
	}
	return ended, err
}

func (l *loop) stepOwn(ticked, stop, stopping bool) (ended bool, err error) {
	if stop {
		l.stage.stop()
	}
	if err = l.failed; err == nil {
		l.due.Store(false)
		err = l.step(ticked)
	}
	l.ended = err != nil || stopping && l.stage.done()
	return l.ended, err
}

// step does what there is to do.
func (l *loop) step(ticked bool) error {
	if err := l.storeLost(); err != nil {
		return err
	}
	if err := l.stage.step(ticked); err != nil {
		return err
	}
	return l.rest()
}

// rest is what a step does when the stage has done its part.
func (l *loop) rest() error {
	for _, f := range l.takeJobs() {
		f()
	}
	l.ckpt.step()
	return nil
}

// storeFailed ends the server: the tree at rest is damaged, so that what is not in memory
// cannot be read any more, and no checkpoint written. A server that went on would lose
// one client after the other, and fill the log. Any goroutine may call it.
func (l *loop) storeFailed(err error) {
	l.mu.Lock()
	if l.lost == nil {
		l.lost = fmt.Errorf("tree at rest: %w", err)
	}
	l.mu.Unlock()
	l.signal()
}

func (l *loop) storeLost() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
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

// take empties the inbox into l.taken, unless too much waits already. l.mu is held.
func (l *loop) take() {
	if !l.ckpt.throttled() {
		l.taken, l.in = l.in, l.taken
	}
	l.room.Broadcast()
}

func (l *loop) takeJobs() (jobs []func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	jobs, l.jobs = l.jobs, nil
	return jobs
}
