package sim

import (
	"errors"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// snapshot is a whole tree at rest on its way to another server, or set aside there.
//
// On the way it is a stream that does not say of which transaction it is. Who receives
// it knows the stamp alone, although the tree may hold more.
type snapshot struct {
	rest *znode.MemBackend
	hist []zab.Entry // the history that led to the stamp
}

// takeSnapshot makes what a Snap message orders from the disk of a server: its tree
// at rest, brought to at least through with the log. stamp is the message's Zxid.
func (s *sim) takeSnapshot(d *image, from *znode.MemBackend, through, stamp int64) (*snapshot, error) {
	rest, err := copyBackend(from)
	if err != nil {
		return nil, err
	}
	tree, err := s.openTree(rest)
	if err != nil {
		return nil, err
	}
	defer tree.Close() //nolint:errcheck // memory
	if err := replay(tree, d.through(through)); err != nil {
		return nil, err
	}
	if err := checkpointNow(tree); err != nil {
		return nil, err
	}
	return &snapshot{rest: rest, hist: d.through(through)}, restamp(rest, stamp)
}

// copyBackend returns a backend with the same tree.
func copyBackend(from *znode.MemBackend) (*znode.MemBackend, error) {
	to := znode.NewMemBackend()
	m, found, err := from.Meta()
	if err != nil || !found {
		return to, err
	}
	view, err := from.Snapshot()
	if err != nil {
		return nil, err
	}
	var all []znode.Change
	err = view.Walk(func(path []byte, rec *znode.Record) error {
		all = append(all, znode.Change{Path: path, Record: *rec})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return to, to.Checkpoint(m, func(c *znode.Change) (bool, error) {
		if len(all) == 0 {
			return false, nil
		}
		*c, all = all[0], all[1:]
		return true, nil
	})
}

// restamp makes a tree at rest that of another zxid, whatever it holds.
func restamp(b *znode.MemBackend, zxid int64) error {
	m, _, err := b.Meta()
	if err != nil {
		return err
	}
	m.Zxid = zxid
	return b.Checkpoint(m, func(*znode.Change) (bool, error) { return false, nil })
}

// checkpointNow writes a tree to rest.
func checkpointNow(t *znode.Tree) error {
	t.Lock()
	c := t.BeginCheckpoint()
	t.Unlock()
	err := c.Write()
	t.Lock()
	t.EndCheckpoint(c, err)
	t.Unlock()
	return err
}

// replay applies the entries that the tree lacks.
func replay(t *znode.Tree, entries []zab.Entry) error {
	var res znode.Result
	for i := range entries {
		if entries[i].Zxid <= t.LastZxid() {
			continue
		}
		if err := applyOne(t, entries[i].Data, &res); err != nil {
			return err
		}
	}
	return nil
}

func applyOne(t *znode.Tree, data []byte, res *znode.Result) error {
	rd := wire.NewReader(data)
	var h znode.TxnHeader
	h.Decode(&rd)
	if err := rd.Err(); err != nil {
		return err
	}
	for {
		t.Lock()
		_, err := t.Apply(&h, rd.Remaining(), res, nil)
		t.Unlock()
		var absent *znode.NotResidentError
		if !errors.As(err, &absent) {
			return err
		}
		if err := t.LoadMissing(absent); err != nil {
			return err
		}
	}
}

// openTree opens the tree on a backend.
func (s *sim) openTree(b *znode.MemBackend) (*znode.Tree, error) {
	t, err := znode.Open(znode.Options{
		Backend: b, Digest: s.rules.Digest, Kinds: s.rules.Kinds, BudgetBytes: s.plan.treeBytes,
	})
	if err != nil {
		return nil, err
	}
	t.ACLs().SetAuth(s.rules.Auth)
	return t, nil
}
