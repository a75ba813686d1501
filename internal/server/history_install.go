package server

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// A snapshot from the leader, and the transactions behind it, take the place of
// tree and log in one step:
//
//  1. The snapshot lies in a store of its own, beside the present one, durable
//     (ReceiveSnapshot).
//  2. The transactions are written to log files under other names, durable.
//  3. The place file is replaced by one that names the new store and the staged
//     files. This is the step. Before it a crash leaves the old state, and what
//     was prepared is removed at the next start; after it there is the new one.
//  4. The staged files get their names and all other log files go. Snapshots of
//     a Java server, which stand for the old history, get names that nobody
//     reads.
//  5. The place file is replaced by one that says that this is done.
//
// A start that finds the file of step 3 does 4 and 5 again.

// install puts the snapshot set aside under w.Conn in place.
func (h *history) install(w *zab.Write) (*znode.Tree, error) {
	a := h.claim(w.Conn)
	if a == nil {
		return nil, fmt.Errorf("no snapshot was received on connection %d", w.Conn)
	}
	next := &resting{store: a.store, options: a.options}
	err := h.prepare(next, a, w)
	if err == nil {
		err = h.replace(a.number, w)
	}
	if err != nil {
		// Whatever the directories hold now, the next start knows.
		return nil, errors.Join(fmt.Errorf("snapshot of %s: %w", zab.FormatZxid(w.Zxid), err), next.close())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retired = append(h.retired, h.current)
	h.current = next
	return next.tree, nil
}

// prepare opens the tree of a snapshot. Whatever may be wrong with it shows
// before it replaces anything.
func (h *history) prepare(next *resting, a *aside, w *zab.Write) (err error) {
	if a.zxid != w.Zxid {
		return fmt.Errorf("what was received is stamped %s", zab.FormatZxid(a.zxid))
	}
	if len(w.Entries) > 0 && !zab.Follows(w.Zxid, w.Entries[0].Zxid) {
		return fmt.Errorf("%s does not follow it", zab.FormatZxid(w.Entries[0].Zxid))
	}
	if next.tree, err = h.openTreeIn(next.store); err != nil {
		return err
	}
	return measureQuotas(next.tree)
}

// replace goes through the steps from the second on.
func (h *history) replace(tree int, w *zab.Write) error {
	staged, err := h.stage(w)
	if err != nil {
		return fmt.Errorf("the transactions behind it: %w", err)
	}
	h.place = placeFile{
		State: placeInstalling, Tree: tree, Base: w.Zxid, Installs: h.place.Installs + 1, Staged: staged,
	}
	if err := h.writePlace(); err != nil {
		return err
	}
	h.note.installs = h.place.Installs
	if err := h.log.Replace(staged, w.Zxid); err != nil {
		return err
	}
	if err := h.disuseSnapshots(anyZxid); err != nil {
		return err
	}
	return h.settle(w.Zxid)
}

// stage writes the transactions to log files that are not yet the log.
func (h *history) stage(w *zab.Write) (names []string, err error) {
	log, err := h.log.Stage(w.Zxid)
	if err != nil {
		return nil, err
	}
	var b txnlog.Batch
	flush := func() error {
		defer b.Reset()
		return log.Append(&b)
	}
	if err = gather(&b, w.Entries, flush); err == nil {
		err = flush()
	}
	for _, f := range log.Files() {
		names = append(names, f.Name)
	}
	if cerr := log.Close(); err == nil {
		err = cerr
	}
	return names, err
}

// finishInstall does again what follows the step, if a crash came before its
// end. The log is not open yet.
func (h *history) finishInstall() error {
	if h.place.State != placeInstalling {
		return nil
	}
	if err := txnlog.Adopt(h.o.Log, h.place.Staged); err != nil {
		return fmt.Errorf("finishing the installation of a snapshot: %w", err)
	}
	if err := h.disuseSnapshots(anyZxid); err != nil {
		return err
	}
	return h.settle(h.place.Base)
}

func (h *history) metaPath(name string) string { return filepath.Join(h.o.metaDir(), name) }
