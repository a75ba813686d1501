package server

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

var historySeeds = flag.Int("historyseeds", 6, "how many seeds the tests of a member's history run")

// historySeedCount is a sample with -short: make check runs it under the race
// detector.
func historySeedCount() uint64 {
	if testing.Short() {
		return 1
	}
	return uint64(*historySeeds)
}

// TestHistoryModel does to a history all that a runtime does and compares it
// with a simple model at each restart.
func TestHistoryModel(t *testing.T) {
	for seed := range 10 * historySeedCount() {
		o := memHistory(t.TempDir())
		w := historyWorld{
			rng:  rand.New(rand.NewPCG(seed, 5)),
			open: func() (*history, error) { return openHistory(o) },
			step: func([]*image, int64, int64) {},
		}
		if err := w.run(60); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// stage of a run: what a crash at this moment may leave.
type historyStep struct {
	states          []*image
	rest, committed int64
}

// TestHistoryCrash takes the power at every operation of either file system
// while a history is written to, cut, replaced, purged, sent and opened again.
// What is there afterwards is the state before or after the write it hit, whole,
// or for an append part of it; a core accepts it; and it goes on from there, also
// when the power goes once more during the recovery.
func TestHistoryCrash(t *testing.T) {
	for seed := range historySeedCount() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { historyCrash(t, seed) })
	}
}

func historyCrash(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 6))
	d := newDisks(seed)
	dir := t.TempDir()
	var mu sync.Mutex
	var steps []historyStep
	o := func(d *disks) historyOptions {
		o := historyOptions{DataDir: dir, LogDir: dir, TreeBytes: int64(rng.IntN(2))}
		o.Store = znode.StoreOptions{Dir: "/tree", FS: d.storeFS()}
		o.Log = txnlog.Options{Dir: "/log", FS: &gatedFS{d}, PreallocBytes: -1}
		return o
	}
	d.acked.Store(-1)
	w := historyWorld{
		rng:  rng,
		open: func() (*history, error) { return openHistory(o(d)) },
		step: func(states []*image, rest, committed int64) {
			mu.Lock()
			defer mu.Unlock()
			steps = append(steps, historyStep{states, rest, committed})
			d.acked.Store(int64(len(steps) - 1))
		},
	}
	if err := w.run(30); err != nil {
		t.Fatal(err)
	}
	d.record = false
	step := 1
	if testing.Short() {
		step = 7
	}
	for i := int(seed) % step; i < len(d.crashes); i += step {
		c := &d.crashes[i]
		if err := afterHistoryCrash(c, o, &steps[c.acked], uint64(i)); err != nil {
			t.Fatalf("crash %d at %s, step %d: %v", i, c.at, c.acked, err)
		}
		*c = crash{}
	}
	t.Logf("%d operations in %d steps", len(d.crashes), len(steps))
}

// afterHistoryCrash opens what a crash left, now and then with another crash on
// the way.
func afterHistoryCrash(c *crash, o func(*disks) historyOptions, s *historyStep, seed uint64) error {
	d := c.disks(seed)
	d.record = seed%5 == 0
	if err := s.found(o(d), !d.record); err != nil {
		return err
	}
	for i := range d.crashes {
		if seed%3 != uint64(i)%3 {
			continue
		}
		again := &d.crashes[i]
		if err := s.found(o(again.disks(seed)), true); err != nil {
			return fmt.Errorf("hit again at %s: %w", again.at, err)
		}
	}
	return nil
}

// found opens a history that must be one of the states.
func (s *historyStep) found(o historyOptions, goOn bool) error {
	h, err := openHistory(o)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	b, err := h.boot()
	if err == nil {
		err = acceptable(b)
	}
	if err == nil {
		err = tidy(h)
	}
	var m *image
	if err == nil {
		m, err = s.which(h, &b)
	}
	if err != nil {
		for i := range b.Tail {
			b.Tail[i].Data = nil // too much to print
		}
		return errors.Join(fmt.Errorf("boot %+v: %w", b, err), h.close())
	}
	if !goOn {
		return h.close()
	}
	return s.goOn(h, m, &b)
}

// which finds the state among those that may be.
func (s *historyStep) which(h *history, b *zab.Boot) (*image, error) {
	var errs []error
	for _, m := range s.states {
		err := m.matches(h, b, s.rest, s.committed)
		if err == nil {
			return m, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("none of %d states: %w", len(errs), errors.Join(errs...))
}

// tidy reports what an interrupted installation should not leave.
func tidy(h *history) error {
	trees, err := h.o.Store.Siblings()
	if err != nil {
		return err
	}
	names, err := h.o.Log.FS.List(h.o.Log.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "log.") && !strings.HasPrefix(name, identityName) {
			return fmt.Errorf("%s is left among the log files", name)
		}
	}
	if len(trees) != 1 || trees[0] != h.place.Tree || h.place.State != placeWhole {
		return fmt.Errorf("trees %v, place %+v", trees, h.place)
	}
	return nil
}

// goOn writes one more transaction and sees it after another start.
func (s *historyStep) goOn(h *history, m *image, b *zab.Boot) error {
	m = m.clone()
	m.accepted, m.current, m.mark = b.AcceptedEpoch, b.CurrentEpoch, false
	next := zx(b.AcceptedEpoch+1, 1)
	ws := joinEpoch(b.AcceptedEpoch+1, []zab.Entry{entryOf(next, 0)})
	_, err := h.write(ws)
	if err := errors.Join(err, h.close()); err != nil {
		return fmt.Errorf("going on: %w", err)
	}
	for i := range ws {
		m.do(&ws[i], nil)
	}
	if h, err = openHistory(h.o); err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	*b, err = h.boot()
	if err == nil {
		err = m.matches(h, b, s.rest, s.committed)
	}
	if err != nil {
		err = fmt.Errorf("after going on: %w", err)
	}
	return errors.Join(err, h.close())
}

// TestHistoryDiskFails lets each operation on the log's file system fail once,
// in turn: the error comes out, and the next start finds the state before or
// after, as after a crash.
func TestHistoryDiskFails(t *testing.T) {
	broken := errors.New("input/output error")
	for seed := range historySeedCount() {
		failed := 0
		for nth := 1 + int(seed%7); ; nth += 7 {
			d := newDisks(seed)
			d.record = false
			n := 0
			d.fail = func(txnlog.Op) error {
				if n++; n == nth {
					return broken
				}
				return nil
			}
			var last historyStep
			dir := t.TempDir()
			o := historyOptions{DataDir: dir, LogDir: dir}
			o.Store = znode.StoreOptions{Dir: "/tree", FS: d.storeFS()}
			o.Log = txnlog.Options{Dir: "/log", FS: &gatedFS{d}, PreallocBytes: -1}
			w := historyWorld{
				rng:  rand.New(rand.NewPCG(seed, 8)),
				open: func() (*history, error) { return openHistory(o) },
				step: func(states []*image, rest, committed int64) { last = historyStep{states, rest, committed} },
			}
			err := w.run(20)
			if n < nth {
				break
			}
			if !errors.Is(err, broken) {
				t.Fatalf("seed %d, operation %d failed, and it said %v", seed, nth, err)
			}
			failed++
			d.fail = nil
			if err := last.found(o, true); err != nil {
				t.Fatalf("seed %d, after operation %d failed: %v", seed, nth, err)
			}
		}
		if failed < 10 {
			t.Errorf("seed %d: only %d operations failed", seed, failed)
		}
	}
}
