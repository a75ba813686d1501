package server

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// entryOf makes the transaction of a zxid: it creates a znode whose name tells
// zxid and variant. Two histories that differ in a transaction differ in its
// variant.
func entryOf(zxid int64, variant int) zab.Entry {
	h := znode.TxnHeader{ClientID: 7, Zxid: zxid, Time: 1, Type: wire.OpCreate}
	data := bytes.Repeat([]byte{byte(variant)}, int(zxid%5)*40)
	c := znode.CreateTxn{Path: fmt.Appendf(nil, "/t%x-%d", zxid, variant), Data: data, ACL: wire.OpenACL, ParentCversion: -1, TTL: -1}
	return zab.Entry{Zxid: zxid, Data: c.Append(h.Append(nil), h.Type)}
}

// entriesOf makes n transactions that follow one another.
func entriesOf(first int64, n, variant int) (es []zab.Entry) {
	for i := range int64(n) {
		es = append(es, entryOf(first+i, variant))
	}
	return es
}

// nodeOf is the name of the znode that an entry creates.
func nodeOf(e zab.Entry) string {
	rd := wire.NewReader(e.Data)
	var h znode.TxnHeader
	h.Decode(&rd)
	var c znode.CreateTxn
	c.Decode(&rd, h.Type)
	return string(c.Path[1:])
}

func namesOf(es []zab.Entry) (names []string) {
	for _, e := range es {
		names = append(names, nodeOf(e))
	}
	slices.Sort(names)
	return names
}

// appliedNames lists what transactions of entryOf have left in a tree.
func appliedNames(t *znode.Tree) (names []string, err error) {
	root := []byte("/")
	for {
		t.RLock()
		res := t.Children(root, func(name []byte) {
			if string(name) != "zookeeper" {
				names = append(names, string(name))
			}
		})
		t.RUnlock()
		if res != znode.NotResident {
			slices.Sort(names)
			return names, nil
		}
		names = nil
		if err := t.LoadChildren(root); err != nil {
			return nil, err
		}
	}
}

// applyEntries applies transactions as the runtime does when they are committed.
func applyEntries(t *znode.Tree, es []zab.Entry) error {
	r := replayer{tree: t}
	for _, e := range es {
		if err := r.apply(e.Data); err != nil {
			return err
		}
	}
	return nil
}

// streamOf is a snapshot of a history, as a leader sends it.
func streamOf(es []zab.Entry) ([]byte, error) {
	b := znode.NewMemBackend()
	tree, err := znode.Open(znode.Options{Backend: b})
	if err != nil {
		return nil, err
	}
	defer tree.Close() //nolint:errcheck // it has none to tell
	if err := applyEntries(tree, es); err != nil {
		return nil, err
	}
	if err := checkpointNow(tree); err != nil {
		return nil, err
	}
	snap, err := b.Snapshot()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = znode.WriteSnapStream(&out, snap)
	return out.Bytes(), err
}

// memHistory are options for a history in memory.
func memHistory(dir string) historyOptions {
	o := historyOptions{DataDir: dir, LogDir: dir}
	o.Store = znode.StoreOptions{Dir: "/tree", FS: vfs.NewMem()}
	o.Log = txnlog.Options{Dir: "/log", FS: txnlog.NewMemFS(), PreallocBytes: -1}
	return o
}

func mustHistory(t *testing.T, o historyOptions) *history {
	t.Helper()
	h, err := openHistory(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !h.over {
			mustCloseHistory(t, h)
		}
	})
	return h
}

func mustCloseHistory(t *testing.T, h *history) {
	t.Helper()
	if err := h.close(); err != nil {
		t.Error(err)
	}
}

// reopen closes a history and opens it again.
func reopen(t *testing.T, h *history) *history {
	t.Helper()
	mustCloseHistory(t, h)
	return mustHistory(t, h.o)
}

func mustWriteHistory(t *testing.T, h *history, ws ...zab.Write) *znode.Tree {
	t.Helper()
	tree, err := h.write(ws)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func mustBoot(t *testing.T, h *history) zab.Boot {
	t.Helper()
	b, err := h.boot()
	if err == nil {
		err = acceptable(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// acceptable reports what a core has against a boot.
func acceptable(b zab.Boot) error {
	_, err := zab.New(zab.Config{ID: 1, Ensemble: zab.Ensemble{Quorum: quorum.NewMajority(1, 2, 3)}, Boot: b})
	return err
}

// receiveInto gives a snapshot of a history to h, and sees that nothing behind the
// stream is read.
func receiveInto(h *history, es []zab.Entry, conn zab.ConnID, zxid int64) error {
	b, err := streamOf(es)
	if err != nil {
		return err
	}
	r := bytes.NewReader(append(b, "next packet"...))
	if err := h.ReceiveSnapshot(r, conn, zxid); err != nil {
		return err
	}
	if r.Len() != len("next packet") {
		return fmt.Errorf("%d bytes behind the stream are left, not %d", r.Len(), len("next packet"))
	}
	return nil
}

// holds compares all that a server has, tree and log, with a history, of which
// it must have applied everything up to applied.
func holds(h *history, b zab.Boot, want []zab.Entry) error {
	names, err := appliedNames(h.tree())
	if err != nil {
		return err
	}
	var got []zab.Entry
	for _, e := range want {
		if e.Zxid <= b.Applied {
			got = append(got, e)
		}
	}
	if !slices.Equal(names, namesOf(got)) {
		return fmt.Errorf("the tree at %s holds\n%v\nwant\n%v", zab.FormatZxid(b.Applied), names, namesOf(got))
	}
	rest := want[len(got):]
	if len(rest) != len(b.Tail) {
		return fmt.Errorf("a tail of %d entries behind %s, want %d", len(b.Tail), zab.FormatZxid(b.Applied), len(rest))
	}
	for i, e := range b.Tail {
		if e.Zxid != rest[i].Zxid || !bytes.Equal(e.Data, rest[i].Data) {
			return fmt.Errorf("entry %s of the tail is not that of the history", zab.FormatZxid(e.Zxid))
		}
	}
	return nil
}

func requireHolds(t *testing.T, h *history, b zab.Boot, want []zab.Entry) {
	t.Helper()
	if err := holds(h, b, want); err != nil {
		t.Fatal(err)
	}
}

func requireErr(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("error %v, want one that says %q", err, text)
	}
}

// begun is for those who do not ask what a snapshot holds.
func begun(int64) error { return nil }
