package server

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// replayLog applies to the tree what the log has beyond it, up to and with
// through, and returns how many transactions that were. The tree stays within
// its budget. Nobody else uses it.
func replayLog(log *txnlog.Log, tree *znode.Tree, through int64) (n int64, err error) {
	it, err := log.Read(tree.LastZxid())
	if err != nil {
		return 0, err
	}
	r := replayer{tree: tree}
	for it.Next() {
		zxid, payload := it.Entry()
		if zxid > through {
			break
		}
		if err := r.apply(payload); err != nil {
			return n, errors.Join(err, it.Close())
		}
		n++
		if n%1024 == 0 {
			if err := settleReplay(tree); err != nil {
				return n, errors.Join(err, it.Close())
			}
		}
	}
	return n, errors.Join(it.Err(), it.Close())
}

// replayer applies transactions that happened once already: nobody waits for
// their results.
type replayer struct {
	tree   *znode.Tree
	res    znode.Result
	events []znode.Event
}

func (r *replayer) apply(payload []byte) error {
	rd := wire.NewReader(payload)
	var h znode.TxnHeader
	h.Decode(&rd)
	if err := rd.Err(); err != nil {
		return fmt.Errorf("transaction header: %w", err)
	}
	for {
		r.tree.Lock()
		events, err := r.tree.Apply(&h, rd.Remaining(), &r.res, r.events[:0])
		r.tree.Unlock()
		r.events = events
		var absent *znode.NotResidentError
		if !errors.As(err, &absent) {
			if err != nil {
				err = fmt.Errorf("transaction 0x%x: %w", h.Zxid, err)
			}
			return err
		}
		if err := r.tree.LoadMissing(absent); err != nil {
			return err
		}
	}
}

// settleReplay keeps a replay within the tree's budget: clean nodes are
// dropped, and when everything is changed, it is written to rest.
func settleReplay(tree *znode.Tree) error {
	for tree.OverBudget() {
		tree.Lock()
		n := tree.Evict(4096)
		tree.Unlock()
		if n > 0 || !tree.Pinned() {
			continue
		}
		if tree.DirtyBytes() == 0 {
			return nil // what is left has to be in memory
		}
		if err := checkpointNow(tree); err != nil {
			return err
		}
	}
	return nil
}
