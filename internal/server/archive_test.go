package server

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// archive keeps every transaction that was ever given to a log, and replays
// them all from the beginning to know what the tree is after each.
type archive struct {
	mu   sync.Mutex
	txns map[int64][]byte

	zxids  []int64
	states map[int64]string
}

func newArchive() *archive { return &archive{txns: map[int64][]byte{}} }

// add is the hook on batches.
func (a *archive) add(b *txnlog.Batch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range b.Len() {
		zxid, payload := b.Entry(i)
		a.txns[zxid] = bytes.Clone(payload)
	}
}

// replay computes the states. Afterwards nothing is added any more.
func (a *archive) replay(kinds znode.OwnerKinds) error {
	a.zxids = append([]int64{0}, slices.Sorted(maps.Keys(a.txns))...)
	a.states = map[int64]string{}
	tree, err := znode.Open(znode.Options{Backend: znode.NewMemBackend(), Digest: true, Kinds: kinds})
	if err != nil {
		return err
	}
	defer tree.Close() //nolint:errcheck // it has none to tell
	for _, zxid := range a.zxids {
		if zxid > 0 {
			if err := applyAll(tree, a.txns[zxid]); err != nil {
				return err
			}
		}
		if a.states[zxid], err = residentState(tree); err != nil {
			return err
		}
	}
	if n := tree.DigestMismatches(); n != 0 {
		return fmt.Errorf("%d digests are not what their transactions say", n)
	}
	return nil
}

func (a *archive) last() int64 { return a.zxids[len(a.zxids)-1] }

func applyAll(tree *znode.Tree, payload []byte) error {
	rd := wire.NewReader(payload)
	var h znode.TxnHeader
	h.Decode(&rd)
	var res znode.Result
	tree.Lock()
	defer tree.Unlock()
	_, err := tree.Apply(&h, rd.Remaining(), &res, nil)
	return err
}

// residentState tells all of a tree that is wholly in memory.
func residentState(tree *znode.Tree) (string, error) {
	tree.RLock()
	defer tree.RUnlock()
	var lines []string
	for todo := []string{"/"}; len(todo) > 0; todo = todo[1:] {
		p := todo[0]
		var n znode.Node
		if res := tree.Find([]byte(p), &n); res != znode.Found {
			return "", fmt.Errorf("%s is %v", p, res)
		}
		lines = append(lines, nodeLine(tree.ACLs(), p, &n.Info, n.Data))
		tree.Children([]byte(p), func(name []byte) {
			if p == "/" {
				todo = append(todo, "/"+string(name))
			} else {
				todo = append(todo, p+"/"+string(name))
			}
		})
	}
	slices.Sort(lines)
	return fmt.Sprintln(treeLine(tree), lines), nil
}

// restingState tells all of a tree as its store has it.
func restingState(tree *znode.Tree, store *znode.Store) (string, error) {
	snap, err := store.Snapshot()
	if err != nil {
		return "", err
	}
	var lines []string
	err = snap.Walk(func(path []byte, rec *znode.Record) error {
		lines = append(lines, nodeLine(tree.ACLs(), string(path), &rec.Info, rec.Data))
		return nil
	})
	if cerr := snap.Close(); err == nil {
		err = cerr
	}
	slices.Sort(lines)
	return fmt.Sprintln(treeLine(tree), lines), err
}

func nodeLine(acls *znode.ACLTable, path string, i *znode.Info, data []byte) string {
	return fmt.Sprintf("%s %+v children %d acl %v data %q %v", path, i.Stat, i.NumChildren, acls.Get(i.ACL), data, data == nil)
}

func treeLine(tree *znode.Tree) string {
	refs := map[string]int64{}
	for _, e := range tree.ACLs().Entries() {
		refs[fmt.Sprint(e.ACL)] = e.Refs
	}
	var owned []string
	for _, id := range tree.EphemeralSessions() {
		owned = append(owned, fmt.Sprintf("%x owns %v", id, tree.Ephemerals(id)))
	}
	return fmt.Sprintf("digest %x, %d znodes, %d bytes, sessions %v, lists %v, %v, quotas %+v\n",
		tree.Digest(), tree.NodeCount(), tree.DataBytes(), tree.Sessions(), refs, owned, tree.Quotas())
}
