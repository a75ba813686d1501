package server

import (
	"errors"
	"testing"

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
	var failed error
	core := make([]zab.Delayed, 0, 4)
	for zxid := int64(1); zxid <= 3; zxid++ {
		w.disk.push(diskOrder{writes: []zab.Write{{Seq: uint64(zxid)}}, after: core[:0]}) // nothing waits for it
		if orders, _ := w.disk.take(); w.disk.perform(orders, &failed) != 1 {
			t.Fatal("no order")
		}
		core = append(core[:0], zab.Delayed{Message: zab.Message{Type: zab.Ack, Zxid: zxid}})
		w.disk.push(diskOrder{writes: []zab.Write{{Seq: uint64(zxid)}}, after: core})
		clear(core) // used again
		if orders, _ := w.disk.take(); w.disk.perform(orders, &failed) != 1 {
			t.Fatal("no order")
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
