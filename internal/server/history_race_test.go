package server

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/txnlog"
)

// TestHistoryConcurrent sends snapshots and ranges of the log and receives
// snapshots while the disk's goroutine appends, cuts, installs and purges: each
// sender gives a whole state, or says what is missing.
func TestHistoryConcurrent(t *testing.T) {
	h := mustHistory(t, memHistory(t.TempDir()))
	done := make(chan struct{})
	var wg sync.WaitGroup
	sender := func(f func() error) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := f(); err != nil && !errors.Is(err, txnlog.ErrMissing) && !errors.Is(err, txnlog.ErrTruncated) {
					t.Error(err)
					return
				}
			}
		})
	}
	sender(func() error {
		var out bytes.Buffer
		if err := h.SendSnapshot(&out, 0, begun); err != nil {
			return err
		}
		to := memHistory(t.TempDir())
		got, err := openHistory(to)
		if err != nil {
			return err
		}
		return errors.Join(got.ReceiveSnapshot(&out, 1, 1), got.close())
	})
	sender(func() error {
		h.mu.Lock()
		base := h.base
		h.mu.Unlock()
		last := base
		return h.LogRange(base, h.log.LastZxid(), func(zxid int64, data []byte) error {
			if !zab.Follows(last, zxid) {
				return errors.New("the log has a hole")
			}
			last = zxid
			return checkEntry(zab.Entry{Zxid: zxid, Data: data})
		})
	})
	sender(func() error { return h.SendSnapshot(io.Discard, h.log.LastZxid(), begun) })

	runConcurrent(t, h)
	close(done)
	wg.Wait()
}

// runConcurrent is the disk's goroutine and the loop.
func runConcurrent(t *testing.T, h *history) {
	for round := range int64(12) {
		epoch := round + 1
		es := entriesOf(zx(epoch, 1), 40, int(round))
		mustWriteHistory(t, h, joinEpoch(epoch, es[:30])...)
		if err := applyEntries(h.tree(), es[:20]); err != nil {
			t.Error(err)
		}
		mustWriteHistory(t, h, zab.Write{Kind: zab.WriteTruncate, Zxid: es[24].Zxid})
		mustWriteHistory(t, h, zab.Write{Kind: zab.WriteAppend, Entries: entriesOf(es[24].Zxid+1, 5, 99)})
		if err := checkpointNow(h.tree()); err != nil {
			t.Error(err)
		}
		if _, err := h.purge(es[19].Zxid, 0); err != nil {
			t.Error(err)
		}
		if round%3 != 2 {
			continue
		}
		old := h.tree()
		if err := receiveInto(h, es[:25], zab.ConnID(epoch), es[24].Zxid); err != nil {
			t.Error(err)
			return
		}
		mustWriteHistory(t, h, zab.Write{Kind: zab.WriteInstall, Conn: zab.ConnID(epoch), Zxid: es[24].Zxid, Entries: es[25:30]})
		if err := h.retire(old); err != nil {
			t.Error(err)
		}
	}
}
