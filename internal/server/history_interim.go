package server

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

type history struct {
	s      *Server
	epochs *txnlog.Epochs
	batch  txnlog.Batch
}

func (s *Server) openHistory() error {
	if err := s.recover(); err != nil {
		return err
	}
	e, err := txnlog.OpenEpochs(nil, filepath.Join(s.cfg.DataDir, versionDir), s.tree.LastZxid())
	s.history = &history{s: s, epochs: e}
	return err
}

func (h *history) boot() (zab.Boot, error) {
	z := h.s.tree.LastZxid()
	return zab.Boot{AcceptedEpoch: h.epochs.Accepted(), CurrentEpoch: h.epochs.Current(), Base: z, Applied: z}, nil
}
func (h *history) tree() *znode.Tree { return h.s.tree }
func (h *history) write(ws []zab.Write) (*znode.Tree, error) {
	flush := func() error {
		if h.batch.Len() == 0 {
			return nil
		}
		if err := h.s.txns.Append(&h.batch); err != nil {
			return err
		}
		h.batch.Reset()
		return h.s.txns.Sync()
	}
	for _, w := range ws {
		if w.Kind != zab.WriteAppend {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		var err error
		switch w.Kind {
		case zab.WriteAcceptedEpoch:
			err = h.epochs.SetAccepted(w.Epoch)
		case zab.WriteCurrentEpoch:
			err = h.epochs.SetCurrent(w.Epoch)
		case zab.WriteSyncMark:
			err = h.epochs.BeginUpdate()
		case zab.WriteAppend:
			for _, e := range w.Entries {
				h.batch.End(append(h.batch.Begin(), e.Data...), e.Zxid)
			}
		case zab.WriteTruncate:
			err = h.s.txns.Truncate(w.Zxid)
		case zab.WriteInstall:
			err = errors.New("install: not yet")
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, flush()
}
func (h *history) retire(*znode.Tree) error        { return nil }
func (h *history) noteCommitted(int64) error       { return nil }
func (h *history) roll()                           { h.s.txns.Roll() }
func (h *history) purge(c, r int64) (int64, error) { return 0, nil }
func (h *history) close() error {
	return errors.Join(h.s.txns.Close(), h.s.tree.Close(), h.s.store.Close())
}
func (h *history) SendSnapshot(w io.Writer, through int64) error { return errors.New("not yet") }
func (h *history) ReceiveSnapshot(r io.Reader, conn zab.ConnID, zxid int64) error {
	return errors.New("not yet")
}
func (h *history) DropSnapshot(zab.ConnID) {}
func (h *history) LogRange(after, through int64, fn func(int64, []byte) error) error {
	it, err := h.s.txns.Read(after)
	if err != nil {
		return err
	}
	defer it.Close()
	for it.Next() {
		z, p := it.Entry()
		if z > through {
			return nil
		}
		if err := fn(z, p); err != nil {
			return err
		}
	}
	return fmt.Errorf("log: %w", it.Err())
}
