package server

import (
	"fmt"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// openTree opens the store that the place file names, fills it if it has never
// been, and opens the tree in it. Other stores are leftovers.
func (h *history) openTree() error {
	siblings, err := h.o.Store.Siblings()
	if err != nil {
		return err
	}
	for _, n := range siblings {
		h.number = max(h.number, n)
	}
	if h.place.State == placeNone && h.number > 0 {
		return fmt.Errorf("%w: %s is missing, so nobody knows which of the trees beside %s is the right one",
			errPlace, h.metaPath(placeName), h.o.Store.Dir)
	}
	r := &resting{options: h.o.Store.Sibling(h.place.Tree)}
	if r.store, err = znode.OpenStore(r.options); err != nil {
		return err
	}
	h.current = r
	for _, n := range siblings {
		if n != h.place.Tree {
			if err := h.o.Store.Sibling(n).Remove(); err != nil {
				return err
			}
		}
	}
	fresh, err := h.fill()
	if err != nil {
		return err
	}
	return h.plant(fresh)
}

// fill makes sure that the store holds a tree: an empty one takes over what a
// Java server has left. It reports whether it is still empty, because there was
// nothing to take over.
func (h *history) fill() (fresh bool, err error) {
	m, found, err := h.current.store.Meta()
	if err != nil {
		return false, err
	}
	newest, err := h.newestSnapshot()
	if err != nil {
		return false, err
	}
	switch {
	case found && m.Zxid < h.place.Base:
		// The log before its base may be purged, so nothing could make up for it.
		return false, fmt.Errorf("%w: the tree in %s is as of zxid 0x%x, but %s says that it has been at 0x%x: "+
			"it is an older copy, or the last record of the MANIFEST in it is damaged",
			errPlace, h.current.options.Dir, m.Zxid, h.metaPath(placeName), h.place.Base)
	case found && h.place.State == placeWhole, found && h.place.State == placeInstalling:
		return false, h.checkUnused(newest, m.Zxid)
	case found:
		h.place.Java = newest
		// The import was through when the server died, or the directory is older
		// than the place file. Nobody knows whether the log before the tree at
		// rest has holes, so it is of no use to others.
		return false, h.settle(m.Zxid)
	case h.place.State == placeWhole || h.place.State == placeInstalling:
		return false, fmt.Errorf("%w: %s is empty, but %s says that the tree is there: the files are gone, or the MANIFEST among them is damaged",
			errPlace, h.current.options.Dir, h.metaPath(placeName))
	}
	h.place.State, h.place.Java = placeImporting, newest
	if err := h.writePlace(); err != nil {
		return false, err
	}
	// A Java server may have removed log files that were ours.
	if err := h.removeMeta(registerName); err != nil {
		return false, err
	}
	if err := h.noteImported(); err != nil {
		return false, err
	}
	return h.importJava()
}

// checkUnused refuses directories that a Java server has run in since this one
// did: what it did is in its snapshots and the log, not in the tree, and the log
// may have holes that do not show. newest is its last snapshot.
func (h *history) checkUnused(newest, tree int64) error {
	if newest <= max(h.place.Java, tree) || h.place.State == placeInstalling {
		return nil
	}
	return fmt.Errorf("%w: %s holds %s, which is newer than the tree in %s: a ZooKeeper server has run here meanwhile. "+
		"Move %s and %s away to have its data imported, or the snapshot to go on without what it did",
		errPlace, h.o.metaDir(), znode.JavaSnapshotName(newest), h.current.options.Dir, h.current.options.Dir, h.metaPath(placeName))
}

// settle says that the tree is in place and the log whole after base.
func (h *history) settle(base int64) error {
	h.place.State, h.place.Base, h.place.Staged = placeWhole, base, nil
	return h.writePlace()
}

func (h *history) writePlace() error {
	if err := h.place.write(h.o.Log.FS, h.o.metaDir()); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.base = h.place.Base
	return nil
}

// importJava fills an empty store from the snapshots of a Java server. It
// reports whether the store is still empty, which it is when there are none.
func (h *history) importJava() (fresh bool, err error) {
	res, err := znode.ImportJava(znode.ImportOptions{
		DataDir: h.o.DataDir, DataLogDir: h.o.LogDir, TrustEmpty: h.o.TrustEmpty,
	}, h.current.store)
	if err != nil {
		return false, fmt.Errorf("importing ZooKeeper's data: %w", err)
	}
	for _, skipped := range res.Skipped {
		h.o.Logger.Warn("a ZooKeeper snapshot was passed over", zap.Error(skipped))
	}
	for _, w := range res.Warnings {
		h.o.Logger.Warn("import", zap.String("what", w))
	}
	if res.Snapshot == "" {
		return true, nil
	}
	h.recovered.Imported = true
	h.o.Logger.Info("imported a ZooKeeper snapshot", zap.String("file", res.Snapshot), zap.Int64("replayFrom", res.Replay))
	// A Java server does not begin a new log with a snapshot from its leader, so
	// its log may lack what lies before one (ZOOKEEPER-2846).
	return false, h.settle(res.Replay)
}

// plant opens the tree in the current store.
func (h *history) plant(fresh bool) (err error) {
	r := h.current
	if r.tree, err = h.openTreeIn(r.store); err != nil {
		return fmt.Errorf("tree at rest in %s: %w", r.options.Dir, err)
	}
	if fresh {
		// From now on there is a checkpoint for the log to stand on: a log
		// without one would look like a Java server's that lost its snapshots.
		if err := checkpointNow(r.tree); err != nil {
			return err
		}
		if err := h.settle(0); err != nil {
			return err
		}
	}
	if h.recovered.Imported {
		if err := measureQuotas(r.tree); err != nil {
			return err
		}
	}
	h.base = h.place.Base
	h.recovered.Checkpoint = r.tree.LastZxid()
	return nil
}

// openTreeIn opens a tree with the server's rules.
func (h *history) openTreeIn(b znode.Backend) (*znode.Tree, error) {
	t, err := znode.Open(znode.Options{
		Backend: b, BudgetBytes: h.o.TreeBytes, Digest: h.o.Rules.Digest, Kinds: h.o.Rules.Kinds,
	})
	if err != nil {
		return nil, err
	}
	t.ACLs().SetAuth(h.o.Rules.Auth)
	return t, nil
}

// measureQuotas counts what quotas are about in a tree that came from a Java
// server, which may have counted what the log behind the snapshot creates.
func measureQuotas(t *znode.Tree) error {
	t.Lock()
	defer t.Unlock()
	if err := t.MeasureQuotas(); err != nil {
		return fmt.Errorf("counting what quotas are about: %w", err)
	}
	return nil
}

// openLog opens the transaction log and replays what it is known to have
// committed beyond the tree.
func (h *history) openLog() (err error) {
	if err := txnlog.DropStaged(h.o.Log); err != nil {
		return err
	}
	if h.log, err = txnlog.Open(h.o.Log); err != nil {
		return fmt.Errorf("transaction log: %w", err)
	}
	h.note.fs, h.note.dir, h.note.installs = h.o.Log.FS, h.o.metaDir(), h.place.Installs
	tree := h.current.tree
	through := h.log.LastZxid()
	if !h.o.Alone {
		h.noted = h.note.read()
		through = min(through, h.noted)
	}
	h.recovered.Replayed, err = replayLog(h.log, tree, through)
	if err != nil {
		return fmt.Errorf("replaying the transaction log in %s: %w", h.o.Log.Dir, err)
	}
	if z := tree.LastZxid(); z > h.log.LastZxid() {
		// The log has lost its end because nothing was synced (forceSync=no), or
		// did not come along with a snapshot.
		h.log.SkipTo(z)
		if z > h.place.Base {
			return h.settle(z)
		}
	}
	return nil
}
