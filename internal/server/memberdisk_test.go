package server

import (
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
	w.l = newLoop(w.s)
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
