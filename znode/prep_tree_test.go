package znode

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/wire"
)

// TestPrepareOnTree is TestPreparePipelined with the real tree, which lags,
// takes checkpoints and drops what it can from memory. The bytes must be those
// that the model leads to, and the tree must agree with every digest.
func TestPrepareOnTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := Rules{Digest: true, Kinds: OwnerKinds{Extended: true}}
		tree, err := Open(Options{Backend: NewMemBackend(), BudgetBytes: 1, Digest: true, Kinds: rules.Kinds})
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		model := newModelTree()
		model.kinds = rules.Kinds
		a, b := NewPreparer(tree, rules), NewPreparer(model, rules)
		var waiting [][]byte
		zxid, applied := int64(0), int64(0)
		for range rapid.IntRange(1, 40).Draw(t, "requests") {
			req := drawRequest(t)
			zxid++
			req.Zxid, req.Time = zxid, 1000+zxid
			got, ok, code, err := a.Prepare(nil, req)
			want, wantOK, wantCode, wantErr := b.Prepare(nil, req)
			if err != nil || wantErr != nil {
				t.Fatal(err, wantErr)
			}
			if !bytes.Equal(got, want) || ok != wantOK || code != wantCode {
				t.Fatalf("%v\non the tree: %v %v %s\non the model: %v %v %s",
					req, ok, code, describeTxn(got), wantOK, wantCode, describeTxn(want))
			}
			if !ok {
				zxid--
				continue
			}
			model.apply(t, want)
			b.Applied(zxid)
			waiting = append(waiting, got)
			for n := rapid.IntRange(0, len(waiting)).Draw(t, "apply"); n > 0; n-- {
				applyToTree(t, tree, waiting[0])
				waiting, applied = waiting[1:], applied+1
			}
			a.Applied(applied)
			if rapid.IntRange(0, 7).Draw(t, "checkpoint") == 0 {
				checkpointTree(t, tree)
			}
		}
	})
}

func applyToTree(t *rapid.T, tree *Tree, txn []byte) {
	r := wire.NewReader(txn)
	var h TxnHeader
	h.Decode(&r)
	for {
		var res Result
		tree.Lock()
		_, err := tree.Apply(&h, r.Remaining(), &res, nil)
		tree.Unlock()
		var absent *NotResidentError
		switch {
		case errors.As(err, &absent):
			if err := tree.Load(absent.Path); err != nil {
				t.Fatal(err)
			}
			continue
		case err != nil:
			t.Fatal(err)
		}
		break
	}
	if n := tree.DigestMismatches(); n != 0 {
		t.Fatalf("the tree does not agree with the digest of %s", describeTxn(txn))
	}
}

func checkpointTree(t *rapid.T, tree *Tree) {
	tree.Lock()
	c := tree.BeginCheckpoint()
	tree.Unlock()
	err := c.Write()
	tree.Lock()
	tree.EndCheckpoint(c, err)
	tree.Evict(1000)
	tree.Unlock()
	if err != nil {
		t.Fatal(err)
	}
}
