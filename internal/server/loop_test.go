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
	l := &loop{s: &Server{log: zap.NewNop(), stopping: make(chan struct{})}, wake: make(chan struct{}, 1), stage: c}
	l.room.L = &l.mu
	return l, c, func() error { return c.step(false) }
}

func TestHelpStepsOnTheCallersGoroutine(t *testing.T) {
	l, c, step := newCountingLoop()
	l.help(step)
	if n := c.steps.Load(); n != 1 {
		t.Errorf("%d steps, want 1: there is no other goroutine", n)
	}
	if len(l.wake) != 0 {
		t.Error("the loop's goroutine is woken for nothing")
	}
}

// What is brought while somebody makes a step is seen to by the loop's goroutine; nobody waits for it.
func TestHelpWhileSomebodySteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c, step := newCountingLoop()
		c.hold = make(chan struct{})
		go l.help(step)
		synctest.Wait()
		l.help(step)
		if n := c.steps.Load(); n != 1 || len(l.wake) != 0 {
			t.Errorf("%d steps at once, and %d wakes before the first is over", n, len(l.wake))
		}
		c.hold <- struct{}{}
		synctest.Wait()
		if len(l.wake) != 1 {
			t.Error("nobody makes the step that is due")
		}
	})
}

// A step's error ends the loop, whoever made the step; then there are no more.
func TestHelpFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c, step := newCountingLoop()
		ended := make(chan error, 1)
		go func() { ended <- l.run(time.Hour) }()
		synctest.Wait()
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
	})
}
