package server

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// errDisk is in every error of write: what the disk holds is no longer known,
// or not what the protocol relies on. The server must stop.
var errDisk = errors.New("disk of the ensemble's history")

// batchBytesMax is how much is gathered for one write to the log.
const batchBytesMax = 4 << 20

// write carries out writes of the core in their order. When it returns they are
// durable; appends that follow each other share one sync. After
// [zab.WriteInstall] it returns the tree that takes the place of the present
// one, which its users give back with retire. An error is final.
func (h *history) write(ws []zab.Write) (installed *znode.Tree, err error) {
	for i := range ws {
		w := &ws[i]
		if w.Kind != zab.WriteAppend {
			if err := h.syncLog(); err != nil {
				return nil, diskError(w, err)
			}
		}
		var fresh *znode.Tree
		if fresh, err = h.writeOne(w); err != nil {
			return nil, diskError(w, err)
		}
		if fresh != nil && installed != nil {
			if err := h.retire(installed); err != nil { // nobody has seen it
				return nil, diskError(w, err)
			}
		}
		if fresh != nil {
			installed = fresh
		}
	}
	if err := h.syncLog(); err != nil {
		return nil, diskError(&ws[len(ws)-1], err)
	}
	return installed, nil
}

func diskError(w *zab.Write, err error) error {
	return fmt.Errorf("%w: write %d, %s: %w", errDisk, w.Seq, w.Kind, err)
}

func (h *history) writeOne(w *zab.Write) (installed *znode.Tree, err error) {
	switch w.Kind {
	case zab.WriteAcceptedEpoch:
		return nil, h.epochs.SetAccepted(w.Epoch)
	case zab.WriteCurrentEpoch:
		return nil, h.epochs.SetCurrent(w.Epoch)
	case zab.WriteSyncMark:
		return nil, h.epochs.BeginUpdate()
	case zab.WriteAppend:
		return nil, h.append(w.Entries)
	case zab.WriteTruncate:
		return nil, h.truncate(w.Zxid)
	case zab.WriteInstall:
		return h.install(w)
	}
	return nil, fmt.Errorf("unknown kind of write %d", w.Kind)
}

// append gathers entries for the log.
func (h *history) append(entries []zab.Entry) error {
	if h.log.LastZxid() == 0 && h.batch.Len() == 0 && len(entries) > 0 {
		// A log that is empty takes anything.
		if prev := max(h.place.Base, h.recovered.Checkpoint); !zab.Follows(prev, entries[0].Zxid) {
			return fmt.Errorf("%w: %s after %s", txnlog.ErrNotConsecutive, zab.FormatZxid(entries[0].Zxid), zab.FormatZxid(prev))
		}
	}
	return gather(&h.batch, entries, h.flush)
}

// gather fills a batch with entries, and has it written when it is large, and
// where an epoch ends: each begins a file of its own.
func gather(b *txnlog.Batch, entries []zab.Entry, flush func() error) error {
	for _, e := range entries {
		if err := checkEntry(e); err != nil {
			return err
		}
		if n := b.Len(); n > 0 {
			last, _ := b.Entry(n - 1)
			if b.Bytes() >= batchBytesMax || zab.Epoch(last) != zab.Epoch(e.Zxid) {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		b.End(append(b.Begin(), e.Data...), e.Zxid)
	}
	return nil
}

// checkEntry refuses what the log cannot hold. The core takes a transaction for
// opaque bytes, which may come from a peer that is not in its right mind.
func checkEntry(e zab.Entry) error {
	if zxid, ok := znode.TxnZxid(e.Data); !ok || zxid != e.Zxid {
		return fmt.Errorf("%d bytes under zxid %s are not that transaction", len(e.Data), zab.FormatZxid(e.Zxid))
	}
	return nil
}

// flush writes what was gathered.
func (h *history) flush() error {
	if h.batch.Len() == 0 {
		return nil
	}
	err := h.log.Append(&h.batch)
	h.batch.Reset()
	return err
}

// syncLog makes all appends so far durable.
func (h *history) syncLog() error {
	if err := h.flush(); err != nil {
		return err
	}
	return h.log.Sync()
}

// truncate cuts the log after zxid. The tree never holds anything later, but a
// snapshot that a Java server left in the directory may: it would bring back
// what is cut when the directory goes back to Java (ZOOKEEPER-1549).
func (h *history) truncate(zxid int64) error {
	tree := h.tree()
	tree.RLock()
	at := tree.LastZxid()
	tree.RUnlock()
	if at > zxid {
		return fmt.Errorf("cutting the log after %s, but the tree is at %s", zab.FormatZxid(zxid), zab.FormatZxid(at))
	}
	if err := h.disuseSnapshots(func(z int64) bool { return z > zxid }); err != nil {
		return err
	}
	if err := h.log.Truncate(zxid); err != nil {
		return err
	}
	h.log.SkipTo(zxid)
	return nil
}

// disuseSnapshots renames Java's snapshots of such zxids, durably: they must not be
// read any more, because the log does not go with them.
func (h *history) disuseSnapshots(such func(zxid int64) bool) error {
	renamed := false
	err := h.eachSnapshot(func(name string, z int64) error {
		if !such(z) {
			return nil
		}
		renamed = true
		return h.o.Log.FS.Rename(h.metaPath(name), h.metaPath(txnlog.AsidePrefix+name))
	})
	if err == nil && renamed {
		err = h.o.Log.FS.SyncDir(h.o.metaDir())
	}
	if err != nil {
		return fmt.Errorf("renaming a snapshot of ZooKeeper's: %w", err)
	}
	return nil
}

func anyZxid(int64) bool { return true }

// newestSnapshot returns the zxid of Java's last snapshot, or -1.
func (h *history) newestSnapshot() (newest int64, err error) {
	newest = -1
	err = h.eachSnapshot(func(_ string, z int64) error {
		newest = max(newest, z)
		return nil
	})
	return newest, err
}

// eachSnapshot calls fn for each snapshot of Java's until it fails.
func (h *history) eachSnapshot(fn func(name string, zxid int64) error) error {
	names, err := h.o.Log.FS.List(h.o.metaDir())
	if err != nil {
		return fmt.Errorf("looking for ZooKeeper's snapshots: %w", err)
	}
	for _, name := range names {
		if z, ok := javaSnapshotZxid(name); ok {
			if err := fn(name, z); err != nil {
				return err
			}
		}
	}
	return nil
}

// javaSnapshotZxid returns the zxid in the name of a snapshot of ZooKeeper's:
// snapshot.<hex>, perhaps with the suffix of a compression.
func javaSnapshotZxid(name string) (int64, bool) {
	rest, ok := strings.CutPrefix(name, "snapshot.")
	if !ok {
		return 0, false
	}
	hex, _, _ := strings.Cut(rest, ".")
	z, err := strconv.ParseUint(hex, 16, 64)
	return int64(z), err == nil
}

// noteCommitted leaves a hint of how far the log is known to be committed, which
// is durable there already. It is not synced, and an error harms nothing.
func (h *history) noteCommitted(zxid int64) error { return h.note.write(zxid) }

// roll has the next append begin a new file. As it runs behind all earlier
// writes, everything appended before is durable when it returns.
func (h *history) roll() { h.log.Roll() }

// purge removes log files that a start does not need any more, given that a
// checkpoint up to this zxid is durable, but for retainBytes of them. It returns
// the zxid after which the log begins now.
func (h *history) purge(checkpoint, retainBytes int64) (after int64, err error) {
	m, _, err := h.current.store.Meta()
	if err != nil {
		return h.place.Base, err
	}
	// A checkpoint may be of a tree that was replaced meanwhile.
	from := min(checkpoint, m.Zxid) + 1
	after = h.log.PurgeLimit(from, retainBytes)
	if after == 0 {
		return h.place.Base, nil
	}
	// A Java server that found such a snapshot and the rest of the log would
	// start without what lies between, and say nothing.
	if err := h.disuseSnapshots(func(z int64) bool { return z < after }); err != nil {
		return h.place.Base, err
	}
	if after > h.place.Base {
		// First, because the next file may begin an epoch: nobody would see that
		// something is missing before it.
		if err := h.settle(after); err != nil {
			return h.place.Base, err
		}
	}
	_, err = h.log.Purge(from, retainBytes)
	return h.place.Base, err
}
