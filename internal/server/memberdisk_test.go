package server

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// installer is a disk on which every write puts a snapshot's tree in place.
type installer struct {
	memberStore
	fresh *znode.Tree
}

func (i installer) write([]zab.Write) (*znode.Tree, error) { return i.fresh, nil }

// When the acknowledgement of a snapshot leaves, the loop can already find the
// tree: the leader may answer before the disk's goroutine goes on.
func TestSnapshotIsKnownBeforeItsAcknowledgementLeaves(t *testing.T) {
	fresh := &znode.Tree{}
	w := &member{s: &Server{log: zap.NewNop()}, store: installer{fresh: fresh}}
	w.l = endedLoop(w.s)
	w.disk.init(w)
	var found *znode.Tree
	w.disk.send = func([]zab.Message) { _, found, _ = w.disk.news() }
	var failed error
	order := diskOrder{writes: []zab.Write{{Seq: 1}}, after: []zab.Delayed{{}}}
	if n := w.disk.perform([]diskOrder{order}, &failed); n != 1 || failed != nil {
		t.Fatalf("%d orders, %v", n, failed)
	}
	if found != fresh {
		t.Error("the acknowledgement left before the tree was known")
	}
	if seq, _, _ := w.disk.news(); seq != 1 {
		t.Errorf("durable up to %d", seq)
	}
}

// brokenDisk fails at every write.
type brokenDisk struct{ memberStore }

var errBroken = errors.New("broken")

func (brokenDisk) write([]zab.Write) (*znode.Tree, error) { return nil, errBroken }

// A write that fails when the loop has ended is not forgotten: the process must not end
// as if all were well.
func TestWriteThatFailsAtTheEnd(t *testing.T) {
	w := &member{s: &Server{log: zap.NewNop()}, store: brokenDisk{}}
	w.l = endedLoop(w.s)
	w.disk.init(w)
	w.disk.push(diskOrder{writes: []zab.Write{{Seq: 1}}})
	go w.disk.run()
	if err := w.disk.end(); !errors.Is(err, errBroken) {
		t.Errorf("it ends with %v", err)
	}
}

// noDisk writes nothing.
type noDisk struct{ memberStore }

func (noDisk) write([]zab.Write) (*znode.Tree, error) { return nil, nil }

// The core uses its lists again as soon as an order is pushed: what is queued is
// no part of them, whether an order before had messages or not.
func TestOrdersKeepNoListOfTheCore(t *testing.T) {
	w := &member{s: &Server{log: zap.NewNop()}, store: noDisk{}}
	w.l = endedLoop(w.s)
	w.disk.init(w)
	var left []zab.Message
	w.disk.send = func(ms []zab.Message) { left = append(left, ms...) }
	core := make([]zab.Delayed, 0, 4)
	for zxid := int64(1); zxid <= 3; zxid++ {
		w.disk.push(diskOrder{writes: []zab.Write{{Seq: uint64(zxid)}}, after: core[:0]}) // nothing waits for it
		if orders, _ := w.disk.work(); orders != 1 {
			t.Fatalf("%d orders", orders)
		}
		core = append(core[:0], zab.Delayed{Message: zab.Message{Type: zab.Ack, Zxid: zxid}})
		w.disk.push(diskOrder{writes: []zab.Write{{Seq: uint64(zxid)}}, after: core})
		clear(core) // used again
		if orders, _ := w.disk.work(); orders != 1 {
			t.Fatalf("%d orders", orders)
		}
	}
	for i, m := range left {
		if m.Type != zab.Ack || m.Zxid != int64(i+1) {
			t.Errorf("message %d is %+v", i, m)
		}
	}
	if len(left) != 3 {
		t.Errorf("%d messages left", len(left))
	}
}

// countingDisk remembers which kinds it wrote.
type countingDisk struct {
	memberStore
	mu    sync.Mutex
	kinds []zab.WriteKind
	slow  time.Duration
}

func (c *countingDisk) write(ws []zab.Write) (*znode.Tree, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range ws {
		c.kinds = append(c.kinds, ws[i].Kind)
	}
	time.Sleep(c.slow)
	return nil, nil
}

func (c *countingDisk) written() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kinds)
}

// newPromised returns a disk whose goroutine has not begun.
func newPromised(slow time.Duration) (*memberDisk, *countingDisk) {
	c := &countingDisk{slow: slow}
	w := &member{s: &Server{log: zap.NewNop()}, store: c}
	w.s.cfg.SyncWarn = time.Hour
	w.l = endedLoop(w.s)
	w.disk.init(w)
	return &w.disk, c
}

// Whoever promised to see to the queue writes the entries that were pushed meanwhile; the disk's goroutine is
// not even woken.
func TestPromiseIsKept(t *testing.T) {
	d, c := newPromised(0)
	d.promise()
	for seq := uint64(1); seq <= 3; seq++ {
		d.push(diskOrder{writes: []zab.Write{{Seq: seq, Kind: zab.WriteAppend}}})
	}
	if c.written() != 0 {
		t.Error("something was written before the promise was kept")
	}
	d.keepPromise()
	if seq, _, err := d.news(); c.written() != 3 || seq != 3 || err != nil {
		t.Errorf("%d writes, durable up to %d, error %v", c.written(), seq, err)
	}
	if d.bell.state.Load() != bellQuiet {
		t.Error("the goroutine was woken")
	}
	d.push(diskOrder{writes: []zab.Write{{Seq: 4, Kind: zab.WriteAppend}}})
	if c.written() != 3 || !d.bell.isRung() {
		t.Error("without a promise the goroutine must be woken")
	}
}

// What is no entry of the log is left to the disk's goroutine, and what is no write wakes it at once: the step
// that pushed it may wait for it.
func TestPromiseIsForEntriesOnly(t *testing.T) {
	for _, o := range []diskOrder{
		{writes: []zab.Write{{Seq: 2, Kind: zab.WriteInstall}}},
		{other: func(error) {}},
	} {
		d, c := newPromised(0)
		d.promise()
		d.push(diskOrder{writes: []zab.Write{{Seq: 1, Kind: zab.WriteAppend}}})
		d.push(o)
		if rung := d.bell.isRung(); rung != (o.other != nil) {
			t.Errorf("woken by %+v: %v", o, rung)
		}
		d.keepPromise()
		if c.written() != 0 || !d.bell.isRung() {
			t.Errorf("%d writes were made by whoever promised, the goroutine was woken: %v", c.written(), d.bell.isRung())
		}
		go d.run()
		if err := d.end(); err != nil || c.written() != len(o.writes)+1 {
			t.Errorf("%d writes in all, %v", c.written(), err)
		}
	}
}

// Behind a write that took long, nobody waits for the next but the disk's goroutine.
func TestSlowDiskIsLeftToItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, c := newPromised(diskQuick + 1)
		if !d.isQuick() {
			t.Error("a disk that nobody has used is slow")
		}
		d.push(diskOrder{writes: []zab.Write{{Seq: 1, Kind: zab.WriteAppend}}})
		d.work()
		if d.isQuick() {
			t.Error("it is quick still")
		}
		time.Sleep(diskSlowFor + 1)
		c.slow = diskQuick
		d.push(diskOrder{writes: []zab.Write{{Seq: 2, Kind: zab.WriteAppend}}})
		d.work()
		if !d.isQuick() {
			t.Error("it is slow for ever")
		}
	})
}

// A leader lets entries gather that its followers are a quorum for; nothing else waits, and what does goes as soon as
// something else has come.
func TestLeaderGathersWhatNobodyWaitsFor(t *testing.T) {
	entries := func(seq uint64, patient bool) diskOrder {
		return diskOrder{writes: []zab.Write{{Seq: seq, Kind: zab.WriteAppend}}, patient: patient}
	}
	for _, c := range []struct {
		name  string
		queue []diskOrder
		want  bool
	}{
		{"nothing", nil, false},
		{"entries", []diskOrder{entries(1, true), entries(2, true)}, true},
		{"many entries", []diskOrder{entries(1, true), {patient: true, writes: []zab.Write{
			{Seq: 2, Kind: zab.WriteAppend, Entries: make([]zab.Entry, 10_000)},
		}}}, true},
		{"many bytes", []diskOrder{entries(1, true), {patient: true, writes: []zab.Write{
			{Seq: 2, Kind: zab.WriteAppend, Entries: []zab.Entry{{Data: make([]byte, gatheredBytes+1)}}},
		}}}, false},
		{"entries that are its own vote", []diskOrder{entries(1, true), entries(2, false)}, false},
		{"an epoch", []diskOrder{{writes: []zab.Write{{Seq: 1, Kind: zab.WriteAcceptedEpoch}}, patient: true}}, false},
		{"something else", []diskOrder{entries(1, true), {other: func(error) {}}}, false},
	} {
		d, _ := newPromised(0)
		for _, o := range c.queue {
			d.push(o)
		}
		if got := d.mayGather(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	d, _ := newPromised(0)
	d.push(entries(1, true))
	if d.ended = true; d.mayGather() {
		t.Error("a server that stops waits")
	}
}
