//go:build linux

package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/integration/netns"
)

// fault is one way to disturb an ensemble.
type fault struct {
	name string
	// inflict does it and returns how to end it.
	inflict func(w *world) (undo func() error, err error)
	// quorum tells that a quorum can work meanwhile, so that writes must go
	// on while the fault lasts.
	quorum bool
	// holds is the longest that the fault lasts, the shortest is a fifth.
	holds time.Duration
}

func nothing() error { return nil }

// kills are faults of processes.
var kills = []fault{
	{"kill -9 of the leader", func(w *world) (func() error, error) { return w.kill(w.leader()) }, true, 3 * time.Second},
	{"kill -9 of a follower", func(w *world) (func() error, error) { return w.kill(w.follower()) }, true, 3 * time.Second},
	{"kill -9 of all at once", func(w *world) (func() error, error) { return w.kill(w.e.Members...) }, false, time.Second},
	{"restart of all, one by one", rollingRestart, true, time.Second},
	{"SIGSTOP of the leader", func(w *world) (func() error, error) { return w.stop(w.leader()) }, true, 8 * time.Second},
	{"SIGSTOP of a follower", func(w *world) (func() error, error) { return w.stop(w.follower()) }, true, 8 * time.Second},
	{"a moment's SIGSTOP of all", func(w *world) (func() error, error) { return w.stop(w.e.Members...) }, false, 2 * time.Second},
}

// cuts are faults of the network.
var cuts = []fault{
	{"leader alone", func(w *world) (func() error, error) {
		l := w.leader()
		w.net.Partition([]int{l.ID}, w.others(l))
		return w.heal, nil
	}, true, 8 * time.Second},
	{"leader alone with its clients cut off", func(w *world) (func() error, error) {
		l := w.leader()
		w.net.Partition([]int{l.ID}, append(w.others(l), netns.Clients))
		return w.heal, nil
	}, true, 8 * time.Second},
	{"halves", func(w *world) (func() error, error) {
		few, many := w.halves()
		w.net.Partition(few, many)
		return w.heal, nil
	}, true, 8 * time.Second},
	{"everyone alone", func(w *world) (func() error, error) {
		w.net.SetAll(netns.Link{Cut: true})
		return w.heal, nil
	}, false, 6 * time.Second},
	{"leader hears nobody", func(w *world) (func() error, error) {
		l := w.leader()
		for _, id := range w.others(l) {
			w.net.Set(id, l.ID, netns.Link{Cut: true})
		}
		return w.heal, nil
	}, true, 8 * time.Second},
	{"nobody hears the leader", func(w *world) (func() error, error) {
		l := w.leader()
		for _, id := range w.others(l) {
			w.net.Set(l.ID, id, netns.Link{Cut: true})
		}
		return w.heal, nil
	}, true, 8 * time.Second},
	{"a follower hears nobody", func(w *world) (func() error, error) {
		f := w.follower()
		for _, id := range w.others(f) {
			w.net.Set(id, f.ID, netns.Link{Cut: true})
		}
		return w.heal, nil
	}, true, 8 * time.Second},
	{"a ring, two members cannot talk", func(w *world) (func() error, error) {
		f := w.follower()
		other := w.others(f)[w.random.IntN(len(w.e.Members)-1)]
		w.net.Partition([]int{f.ID}, []int{other})
		return w.heal, nil
	}, true, 8 * time.Second},
	{"slow links", func(w *world) (func() error, error) {
		w.net.SetAll(netns.Link{Delay: 30 * time.Millisecond, Jitter: 30 * time.Millisecond})
		return w.heal, nil
	}, true, 5 * time.Second},
	{"lossy links", func(w *world) (func() error, error) {
		w.net.SetAll(netns.Link{Loss: 0.05})
		return w.heal, nil
	}, false, 5 * time.Second},
	{"flapping links", flap, false, 3 * time.Second},
}

// full is a fault of a disk.
var full = fault{"full disk of a follower", func(w *world) (func() error, error) {
	m := w.follower()
	return w.fill(m)
}, true, 4 * time.Second}

// fullLeader is the same where it hurts more.
var fullLeader = fault{"full disk of the leader", func(w *world) (func() error, error) {
	m := w.leader()
	return w.fill(m)
}, true, 4 * time.Second}

// kill kills members together; the undo starts them together.
func (w *world) kill(all ...*ensemble.Member) (func() error, error) {
	for _, m := range all {
		m.Kill()
	}
	return w.startAll, nil
}

func (w *world) startAll() error {
	for _, m := range w.e.Members {
		if m.Running() {
			continue
		}
		if err := m.Start(); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) stop(all ...*ensemble.Member) (func() error, error) {
	for _, m := range all {
		if err := m.Pause(); err != nil {
			return nil, err
		}
	}
	return func() error {
		for _, m := range all {
			if err := m.Resume(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// rollingRestart restarts every member as an operator does, each when the one
// before serves again.
func rollingRestart(w *world) (func() error, error) {
	for _, m := range w.e.Members {
		if err := m.Stop(); err != nil {
			return nil, err
		}
		if err := m.Start(); err != nil {
			return nil, err
		}
		if err := m.AwaitSynced(); err != nil {
			return nil, err
		}
	}
	return nothing, nil
}

// flap cuts and heals random links many times.
func flap(w *world) (func() error, error) {
	n := len(w.e.Members)
	for range 20 {
		w.net.Set(1+w.random.IntN(n), 1+w.random.IntN(n), netns.Link{Cut: w.random.IntN(3) > 0})
		if err := w.sleep(time.Duration(w.random.Int64N(int64(300 * time.Millisecond)))); err != nil {
			return nil, err
		}
	}
	return w.heal, nil
}

func (w *world) heal() error {
	w.net.Heal()
	return nil
}

// ballast is the file that fills a disk.
func ballast(m *ensemble.Member) string { return filepath.Join(m.DataDir(), "ballast") }

// diskBytes is the size of each member's disk when disks can be full.
const diskBytes = 192 << 20

// mountDisk gives a member a disk of its own.
func mountDisk(m *ensemble.Member) error {
	if err := os.MkdirAll(m.DataDir(), 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("disk", m.DataDir(), "tmpfs", 0, fmt.Sprintf("size=%d", diskBytes)); err != nil {
		return fmt.Errorf("mount a disk for member %v: %w", m, err)
	}
	return nil
}

// fill leaves no room on a member's disk. The undo makes room and restarts
// the member, as an operator would.
func (w *world) fill(m *ensemble.Member) (func() error, error) {
	f, err := os.Create(ballast(m))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for page := make([]byte, 64<<10); len(page) > 0; page = page[:len(page)/2] {
		for err == nil {
			_, err = f.Write(page)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return nil, err
		}
		err = nil
	}
	return func() error {
		return errors.Join(os.Remove(ballast(m)), m.Stop(), m.Start())
	}, nil
}
