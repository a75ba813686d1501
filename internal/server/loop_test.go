package server

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// countingStage counts steps, of which some take until they are let go, and some fail.
type countingStage struct {
	steps   atomic.Int32
	stopped bool
	hold    chan struct{} // nil = no step waits
	err     error
}

func (*countingStage) start()              {}
func (*countingStage) end() error          { return nil }
func (*countingStage) tick() time.Duration { return time.Hour }
func (c *countingStage) stop()             { c.stopped = true }
func (c *countingStage) done() bool        { return c.stopped }
func (*countingStage) rollLog(func(error)) {}
func (*countingStage) purgeLog(int64)      {}
func (c *countingStage) step(bool) error {
	c.steps.Add(1)
	if c.hold != nil {
		<-c.hold
	}
	return c.err
}

// endedLoop returns a loop that makes no steps.
func endedLoop(s *Server) *loop {
	l := newLoop(s)
	l.ended = true
	return l
}

// newCountingLoop returns a loop whose steps end with the stage's part.
func newCountingLoop() (*loop, *countingStage, func() error) {
	c := new(countingStage)
	l := &loop{s: &Server{log: zap.NewNop(), stopping: make(chan struct{})}, stage: c}
	l.room.L = &l.mu
	return l, c, func() error { return c.step(false) }
}

func TestHelpStepsOnTheCallersGoroutine(t *testing.T) {
	l, c, step := newCountingLoop()
	l.help(step)
	if n := c.steps.Load(); n != 1 {
		t.Errorf("%d steps, want 1: there is no other goroutine", n)
	}
	if l.bell.isRung() {
		t.Error("the loop's goroutine is woken for nothing")
	}
}

// What is brought while somebody makes a step is seen to by them; nobody waits for it.
func TestHelpWhileSomebodySteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c, step := newCountingLoop()
		c.hold = make(chan struct{})
		go l.help(step)
		synctest.Wait()
		l.help(step)
		if n := c.steps.Load(); n != 1 {
			t.Errorf("%d steps at once", n)
		}
		c.hold <- struct{}{}
		synctest.Wait()
		if n := c.steps.Load(); n != 2 {
			t.Errorf("%d steps, want another for what came during the first", n)
		}
		c.hold <- struct{}{}
		synctest.Wait()
		if n := c.steps.Load(); n != 2 || l.bell.isRung() {
			t.Errorf("%d steps, and the loop's goroutine is woken: %v; there was nothing more to do", n, l.bell.isRung())
		}
	})
}

// Who finds something more to do after each step leaves it to the loop's goroutine in the end.
func TestHelpIsBounded(t *testing.T) {
	l, c, step := newCountingLoop()
	l.help(func() error {
		l.help(step) // finds somebody stepping
		c.steps.Add(1)
		return nil
	})
	if n := c.steps.Load(); n != helpTries || !l.bell.isRung() {
		t.Errorf("%d steps, the loop's goroutine is woken: %v", n, l.bell.isRung())
	}
}

// The loop's goroutine does not wait for a step under way: whoever makes it makes the next, too. A tick it
// does wait for.
func TestLoopLeavesTheStepToAHelper(t *testing.T) {
	l, c, step := newCountingLoop()
	c.hold = make(chan struct{})
	helped := make(chan struct{})
	go func() { defer close(helped); l.help(step) }()
	eventually(t, func() bool { return c.steps.Load() == 1 })
	l.due.Store(false)
	if ended, err := l.turn(false, false, false); ended || err != nil {
		t.Errorf("the loop ends: %v, %v", ended, err)
	}
	c.hold <- struct{}{}
	eventually(t, func() bool { return c.steps.Load() == 2 })
	turned := make(chan error, 1)
	go func() {
		_, err := l.turn(true, false, false)
		turned <- err
	}()
	c.err = errors.New("the disk is on fire")
	c.hold <- struct{}{}
	<-helped
	if err := <-turned; !errors.Is(err, c.err) {
		t.Errorf("a tick did not wait for the step: %v", err)
	}
}

// A step's error ends the loop, whoever made the step; then there are no more.
func TestHelpFails(t *testing.T) {
	l, c, step := newCountingLoop()
	ended := make(chan error, 1)
	go func() { ended <- l.run(time.Hour) }()
	eventually(t, func() bool { return l.bell.state.Load() == bellAwaited })
	c.err = errors.New("the disk is on fire")
	l.help(step)
	l.help(step)
	if err := <-ended; !errors.Is(err, c.err) {
		t.Errorf("the loop ended with %v", err)
	}
	l.help(step)
	if n := c.steps.Load(); n != 1 {
		t.Errorf("%d steps, want none after the one that failed", n)
	}
}
