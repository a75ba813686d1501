package server

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// image is what a disk holds, as zab's own simulated disk has it: the model of
// a history.
type image struct {
	accepted, current int64
	mark              bool
	stamp             int64 // of the snapshot, 0 at first
	all               []zab.Entry
	snap              int // how many of them the snapshot holds
}

func (m *image) clone() *image {
	c := *m
	c.all = slices.Clone(m.all)
	return &c
}

func (m *image) last() int64 {
	if n := len(m.all); n > m.snap {
		return m.all[n-1].Zxid
	}
	return m.stamp
}

// do performs one write. snap is what a WriteInstall names.
func (m *image) do(w *zab.Write, snap []zab.Entry) {
	switch w.Kind {
	case zab.WriteAcceptedEpoch:
		m.accepted = w.Epoch
	case zab.WriteCurrentEpoch:
		m.current, m.mark = w.Epoch, false
	case zab.WriteSyncMark:
		m.mark = true
	case zab.WriteAppend:
		m.all = append(slices.Clip(m.all), w.Entries...)
	case zab.WriteTruncate:
		n := m.snap
		for n < len(m.all) && m.all[n].Zxid <= w.Zxid {
			n++
		}
		m.all = m.all[:n:n]
	case zab.WriteInstall:
		m.stamp, m.snap = w.Zxid, len(snap)
		m.all = slices.Concat(snap, w.Entries)
	}
}

// after returns the images that a crash during the writes may leave: an append
// may be there in part, and so may what is cut off.
func (m *image) after(ws []zab.Write, snap []zab.Entry) []*image {
	states := []*image{m.clone()}
	now := m.clone()
	for i := range ws {
		if ws[i].Kind == zab.WriteTruncate {
			for n := len(now.all); n > now.snap && now.all[n-1].Zxid > ws[i].Zxid; n-- {
				part := now.clone()
				part.all = part.all[:n:n]
				states = append(states, part)
			}
		}
		if ws[i].Kind == zab.WriteAppend {
			for n := range ws[i].Entries {
				part := now.clone()
				part.do(&zab.Write{Kind: zab.WriteAppend, Entries: ws[i].Entries[:n]}, nil)
				states = append(states, part)
			}
		}
		now.do(&ws[i], snap)
		states = append(states, now.clone())
	}
	return states
}

// matches compares what a server found at its start with the image. Everything
// up to rest was written to rest, and nothing after committed may be applied.
func (m *image) matches(h *history, b *zab.Boot, rest, committed int64) error {
	current := m.current
	if m.mark {
		current = max(current, zab.Epoch(m.last()))
	}
	if b.AcceptedEpoch != m.accepted || b.CurrentEpoch != current {
		return fmt.Errorf("epochs %d and %d, want %d and %d", b.AcceptedEpoch, b.CurrentEpoch, m.accepted, current)
	}
	if b.Applied < min(rest, m.last()) || b.Applied > max(committed, m.stamp) {
		return fmt.Errorf("the tree is at %s, it was at rest at %s, and %s is committed",
			zab.FormatZxid(b.Applied), zab.FormatZxid(rest), zab.FormatZxid(committed))
	}
	if err := holds(h, *b, m.all); err != nil {
		return err
	}
	return m.served(h, b)
}

// served compares what the log says it can give to others with what it gives
// and with the image.
func (m *image) served(h *history, b *zab.Boot) error {
	if b.Base < m.stamp {
		return fmt.Errorf("the log is offered from %s on, before the snapshot %s", zab.FormatZxid(b.Base), zab.FormatZxid(m.stamp))
	}
	var want []zab.Entry
	for _, e := range m.all[m.snap:] {
		if e.Zxid > b.Base {
			want = append(want, e)
		}
	}
	var in []int64
	for _, r := range b.Runs {
		for z := r.First; z <= r.Last; z++ {
			in = append(in, z)
		}
	}
	if len(in) != len(want) {
		return fmt.Errorf("runs %v after %s, the history has %d transactions there", b.Runs, zab.FormatZxid(b.Base), len(want))
	}
	i := 0
	return h.LogRange(b.Base, m.last(), func(zxid int64, data []byte) error {
		if zxid != want[i].Zxid || zxid != in[i] || string(data) != string(want[i].Data) {
			return fmt.Errorf("the log gives %s where the history has %s", zab.FormatZxid(zxid), zab.FormatZxid(want[i].Zxid))
		}
		i++
		return nil
	})
}

// historyWorld does to a history what a runtime does, at random, and knows what
// it must hold.
type historyWorld struct {
	rng *rand.Rand
	h   *history
	// open opens the history again.
	open func() (*history, error)
	// step is told what a crash may leave from now on.
	step func(states []*image, rest, committed int64)

	m         *image
	committed int64 // by the ensemble, and applied
	rest      int64 // the last checkpoint
	variant   int
	conn      zab.ConnID
}

// run does n things.
func (w *historyWorld) run(n int) (err error) {
	w.m = &image{}
	w.told([]*image{w.m.clone()})
	if w.h, err = w.open(); err != nil {
		return err
	}
	err = w.newEpoch()
	for range n {
		if err == nil {
			err = w.one()
		}
		if err != nil {
			return errors.Join(err, w.h.close())
		}
	}
	return w.h.close()
}

func (w *historyWorld) told(states []*image) { w.step(states, w.rest, w.committed) }

func (w *historyWorld) one() error {
	switch w.rng.IntN(12) {
	case 0, 1, 2:
		return w.write(nil, w.appends(w.entries(w.m.last(), 1+w.rng.IntN(9)))...)
	case 3:
		return w.newEpoch()
	case 4:
		return w.truncate()
	case 5:
		return w.install()
	case 6, 7:
		return w.commit()
	case 8, 9:
		return w.checkpoint()
	case 10:
		return w.send()
	default:
		return w.restart()
	}
}

// entries makes n transactions that may follow prev; now and then they begin an
// epoch.
func (w *historyWorld) entries(prev int64, n int) (es []zab.Entry) {
	w.variant++
	for range n {
		next := prev + 1
		if e := zab.Epoch(prev); e == 0 || e < w.m.current && w.rng.IntN(4) == 0 {
			next = zx(min(e+1+int64(w.rng.IntN(2)), w.m.current), 1)
		}
		es = append(es, entryOf(next, w.variant))
		prev = next
	}
	return es
}

// appends divides entries among some writes.
func (w *historyWorld) appends(es []zab.Entry) (ws []zab.Write) {
	for len(es) > 0 {
		n := 1 + w.rng.IntN(len(es))
		ws = append(ws, zab.Write{Kind: zab.WriteAppend, Entries: es[:n]})
		es = es[n:]
	}
	return ws
}

// write carries out writes, and the model follows. snap is what an install
// among them names.
func (w *historyWorld) write(snap []zab.Entry, ws ...zab.Write) error {
	w.told(w.m.after(ws, snap))
	_, err := w.h.write(ws)
	if err != nil {
		return err
	}
	for i := range ws {
		w.m.do(&ws[i], snap)
	}
	w.told([]*image{w.m.clone()})
	return nil
}

// join surrounds the data of a synchronization with what a learner of the next
// epoch writes.
func (w *historyWorld) join(data ...zab.Write) []zab.Write {
	epoch := w.m.accepted + 1 + int64(w.rng.IntN(2))
	ws := []zab.Write{{Kind: zab.WriteAcceptedEpoch, Epoch: epoch}, {Kind: zab.WriteSyncMark}}
	return append(append(ws, data...), zab.Write{Kind: zab.WriteCurrentEpoch, Epoch: epoch})
}

func (w *historyWorld) newEpoch() error {
	epoch := w.m.accepted + 1
	es := entriesOf(zx(epoch, 1), 1+w.rng.IntN(4), w.variant+1)
	w.variant++
	ws := []zab.Write{{Kind: zab.WriteAcceptedEpoch, Epoch: epoch}, {Kind: zab.WriteCurrentEpoch, Epoch: epoch}}
	return w.write(nil, append(ws, w.appends(es)...)...)
}

// truncate cuts somewhere behind what is committed and goes on otherwise.
func (w *historyWorld) truncate() error {
	var can []int64
	for _, e := range append([]zab.Entry{{Zxid: w.m.stamp}}, w.m.all[w.m.snap:]...) {
		if e.Zxid >= w.committed {
			can = append(can, e.Zxid)
		}
	}
	if len(can) == 0 {
		return nil
	}
	to := can[w.rng.IntN(len(can))]
	ws := []zab.Write{{Kind: zab.WriteTruncate, Zxid: to}}
	if n := w.rng.IntN(6); n > 0 {
		ws = append(ws, w.appends(w.entries(to, n))...)
	}
	return w.write(nil, w.join(ws...)...)
}

// install puts another history in place: one that holds what is committed.
func (w *historyWorld) install() error {
	snap := []zab.Entry{}
	for _, e := range w.m.all {
		if e.Zxid <= w.committed {
			snap = append(snap, e)
		}
	}
	prev := w.committed
	if n := w.rng.IntN(8); n > 0 {
		es := w.entries(prev, n)
		snap, prev = append(snap, es...), es[n-1].Zxid
	}
	stamp := prev
	if w.rng.IntN(3) == 0 && zab.Epoch(prev) <= w.m.accepted {
		stamp = zx(w.m.accepted+1, 0) // a leader's stamp of its own epoch
	}
	w.conn++
	if err := receiveInto(w.h, snap, w.conn, stamp); err != nil {
		return err
	}
	if w.rng.IntN(4) == 0 {
		w.h.DropSnapshot(w.conn)
		return nil
	}
	behind := []zab.Entry(nil)
	if n := w.rng.IntN(6); n > 0 {
		behind = w.entries(stamp, n)
	}
	old := w.h.tree()
	w.committed = stamp // the ensemble's, even if this server did not know it
	if err := w.write(snap, w.join(zab.Write{Kind: zab.WriteInstall, Conn: w.conn, Zxid: stamp, Entries: behind})...); err != nil {
		return err
	}
	w.rest = stamp
	w.told([]*image{w.m.clone()})
	return w.h.retire(old)
}

// commit applies some more of the log.
func (w *historyWorld) commit() error {
	var more []zab.Entry
	for _, e := range w.m.all[w.m.snap:] {
		if e.Zxid > w.committed {
			more = append(more, e)
		}
	}
	if len(more) == 0 {
		return nil
	}
	more = more[:1+w.rng.IntN(len(more))]
	w.committed = more[len(more)-1].Zxid
	w.told([]*image{w.m.clone()})
	if err := applyEntries(w.h.tree(), more); err != nil {
		return err
	}
	if w.rng.IntN(2) == 0 {
		return w.h.noteCommitted(w.committed)
	}
	return nil
}

func (w *historyWorld) checkpoint() error {
	w.h.roll()
	if err := checkpointNow(w.h.tree()); err != nil {
		return err
	}
	w.rest = w.h.tree().LastZxid()
	w.told([]*image{w.m.clone()})
	if w.rng.IntN(2) == 0 {
		return nil
	}
	_, err := w.h.purge(w.rest, int64(w.rng.IntN(2000)))
	return err
}

// send sends a snapshot, of more than is applied if there is more.
func (w *historyWorld) send() error {
	through := w.h.tree().LastZxid()
	if w.rng.IntN(2) == 0 {
		through = max(through, w.m.last())
	}
	return w.h.SendSnapshot(io.Discard, through, begun)
}

func (w *historyWorld) restart() error {
	if err := w.h.close(); err != nil {
		return err
	}
	h, err := w.open()
	if err != nil {
		return err
	}
	w.h = h
	b, err := w.h.boot()
	if err == nil {
		err = acceptable(b)
	}
	if err == nil {
		err = w.m.matches(w.h, &b, w.rest, w.committed)
	}
	if err != nil {
		return err
	}
	w.m.accepted, w.m.current, w.m.mark = b.AcceptedEpoch, b.CurrentEpoch, false
	w.committed = max(b.Applied, w.m.stamp)
	return applyRest(w.h.tree(), w.m.all, w.committed)
}

// applyRest brings a tree to what is committed.
func applyRest(t *znode.Tree, all []zab.Entry, committed int64) error {
	for _, e := range all {
		if e.Zxid > t.LastZxid() && e.Zxid <= committed {
			if err := applyEntries(t, []zab.Entry{e}); err != nil {
				return err
			}
		}
	}
	return nil
}
