package server

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// errClosed is what is returned to those who come after the end.
var errClosed = errors.New("the server stops")

// aside is a snapshot that was received, or is being received, and is not in
// use. It is durable when done.
type aside struct {
	zxid    int64
	number  int
	options znode.StoreOptions

	mu      sync.Mutex
	store   *znode.Store // nil until done
	dropped bool
}

// ReceiveSnapshot implements transport.Storage: it reads one snapshot stream
// from r, not a byte more, into a store beside the present one.
func (h *history) ReceiveSnapshot(r io.Reader, conn zab.ConnID, zxid int64) error {
	h.dropForgotten()
	a, err := h.beginAside(conn, zxid)
	if err != nil {
		return err
	}
	store, err := h.receive(r, a)
	if err == nil {
		a.mu.Lock()
		if !a.dropped {
			a.store = store
			a.mu.Unlock()
			return nil
		}
		a.mu.Unlock()
		err = errors.Join(errClosed, store.Close())
	}
	h.mu.Lock()
	if h.aside[conn] == a {
		delete(h.aside, conn)
	}
	h.mu.Unlock()
	return errors.Join(err, a.options.Remove())
}

// dropForgotten removes snapshots that were received and not installed, but for
// the last, whose installation may be under way: their connections have ended.
func (h *history) dropForgotten() {
	h.mu.Lock()
	var last zab.ConnID
	var whole []zab.ConnID
	for conn, a := range h.aside {
		if a.whole() {
			whole = append(whole, conn)
			if n := h.aside[last]; n == nil || n.number < a.number {
				last = conn
			}
		}
	}
	h.mu.Unlock()
	for _, conn := range whole {
		if conn != last {
			h.DropSnapshot(conn)
		}
	}
}

// whole reports whether all of the snapshot has come.
func (a *aside) whole() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.store != nil
}

func (h *history) beginAside(conn zab.ConnID, zxid int64) (*aside, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return nil, errClosed
	}
	if h.aside[conn] != nil {
		return nil, fmt.Errorf("a second snapshot on connection %d", conn)
	}
	h.number++
	a := &aside{zxid: zxid, number: h.number, options: h.o.Store.Sibling(h.number)}
	h.aside[conn] = a
	return a, nil
}

func (h *history) receive(r io.Reader, a *aside) (*znode.Store, error) {
	store, err := znode.OpenStore(a.options)
	if err != nil {
		return nil, err
	}
	res, err := znode.ReadSnapStream(r, a.zxid, store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if res.UnknownACLs > 0 {
		h.o.Logger.Info("a snapshot lacks access control lists; the transactions behind it have them",
			zap.Int("znodes", res.UnknownACLs), zap.String("first", res.FirstUnknown))
	}
	h.o.Logger.Info("received a snapshot", zap.Int64("znodes", res.Meta.NodeCount),
		zap.String("zxid", zab.FormatZxid(a.zxid)), zap.Uint64("digest", res.Meta.Digest))
	return store, nil
}

// claim takes what was set aside under conn; nil if there is nothing whole.
func (h *history) claim(conn zab.ConnID) *aside {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.aside[conn]
	if a == nil {
		return nil
	}
	if !a.whole() {
		return nil
	}
	delete(h.aside, conn)
	return a
}

// DropSnapshot implements transport.Storage: what was set aside under conn, if
// anything, is not needed. One that is still being received is dropped when it
// is through.
func (h *history) DropSnapshot(conn zab.ConnID) {
	h.mu.Lock()
	a := h.aside[conn]
	delete(h.aside, conn)
	h.mu.Unlock()
	if a == nil {
		return
	}
	if err := a.drop(); err != nil {
		h.o.Logger.Warn("removing a snapshot that is not needed", zap.Error(err))
	}
}

// drop closes and removes the store, or has its receiver do so.
func (a *aside) drop() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dropped = true
	if a.store == nil {
		return nil
	}
	err := a.store.Close()
	a.store = nil
	return errors.Join(err, a.options.Remove())
}

// SendSnapshot implements transport.Storage: it writes a snapshot stream of a
// state that holds everything up to through.
func (h *history) SendSnapshot(w io.Writer, through int64, begin func(zxid int64) error) error {
	r := h.hold()
	if r == nil {
		return errClosed
	}
	defer r.readers.Done()
	sent, err := sendAtRest(r.store, w, through, begin)
	if sent || err != nil {
		return err
	}
	if h.o.Checkpoint != nil && r.appliedTo(through) {
		if err := h.o.Checkpoint(); err != nil {
			return fmt.Errorf("a checkpoint to send: %w", err)
		}
		if sent, err = sendAtRest(r.store, w, through, begin); sent || err != nil {
			return err
		}
	}
	return h.sendCopy(r, w, through, begin)
}

// sendAtRest sends what the store holds, if that goes far enough.
func sendAtRest(store *znode.Store, w io.Writer, through int64, begin func(zxid int64) error) (sent bool, err error) {
	snap, err := store.Snapshot()
	if err != nil {
		return false, err
	}
	m, err := snap.Meta()
	if err == nil && m.Zxid >= through {
		sent = true
		if err = begin(m.Zxid); err == nil {
			err = znode.WriteSnapStream(w, snap)
		}
	}
	return sent, errors.Join(err, snap.Close())
}

// appliedTo reports whether the tree holds everything up to zxid.
func (r *resting) appliedTo(zxid int64) bool {
	r.tree.RLock()
	defer r.tree.RUnlock()
	return r.tree.LastZxid() >= zxid
}

// sendCopy sends a copy of the tree at rest, brought up to through with what the
// log has behind it. That is how a leader that is not yet established sends
// transactions that it has not applied.
func (h *history) sendCopy(r *resting, w io.Writer, through int64, begin func(zxid int64) error) (err error) {
	h.mu.Lock()
	h.number++
	o := h.o.Store.Sibling(h.number)
	h.mu.Unlock()
	if err := r.store.Backup(o.Dir); err != nil {
		return errors.Join(err, o.Remove())
	}
	defer func() { err = errors.Join(err, o.Remove()) }()
	store, err := znode.OpenStore(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := h.advance(store, through); err != nil {
		return fmt.Errorf("a copy of the tree up to %s: %w", zab.FormatZxid(through), err)
	}
	sent, err := sendAtRest(store, w, through, begin)
	if err == nil && !sent {
		err = fmt.Errorf("%w: the log ends before %s", txnlog.ErrMissing, zab.FormatZxid(through))
	}
	return err
}

// copyTreeBytes is the memory for a tree that exists for a moment only.
const copyTreeBytes = 64 << 20

// advance applies the log up to through to the tree in store.
func (h *history) advance(store *znode.Store, through int64) (err error) {
	tree, err := znode.Open(znode.Options{Backend: store, BudgetBytes: copyTreeBytes, Kinds: h.o.Rules.Kinds})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	if _, err := replayLog(h.log, tree, through); err != nil {
		return err
	}
	return checkpointNow(tree)
}

// LogRange implements transport.Storage: it calls fn for each entry of the log
// after `after` up to and with through, in order. data is valid until fn
// returns. Entries that are not there, or must not serve anybody, are
// [txnlog.ErrMissing].
func (h *history) LogRange(after, through int64, fn func(zxid int64, data []byte) error) error {
	h.mu.Lock()
	base := h.base
	h.mu.Unlock()
	if after < base {
		return fmt.Errorf("%w: the log is whole after %s only, not after %s",
			txnlog.ErrMissing, zab.FormatZxid(base), zab.FormatZxid(after))
	}
	it, err := h.log.Read(after)
	if err != nil {
		return err
	}
	last := after
	for last < through && it.Next() {
		zxid, data := it.Entry()
		if zxid > through {
			break
		}
		if err := fn(zxid, data); err != nil {
			return errors.Join(err, it.Close())
		}
		last = zxid
	}
	if err := errors.Join(it.Err(), it.Close()); err != nil {
		return err
	}
	if last < through {
		return fmt.Errorf("%w: the log ends at %s, not at %s", txnlog.ErrMissing, zab.FormatZxid(last), zab.FormatZxid(through))
	}
	return nil
}
