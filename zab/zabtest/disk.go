package zabtest

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/zab"
)

// image is what one state of a disk holds.
type image struct {
	accepted, current int64
	mark              bool
	stamp             int64       // zxid of the snapshot
	snap              []zab.Entry // what the snapshot holds, as the history that led to it
	log               []zab.Entry // what the log holds behind it
	checkpoint        int64       // the tree at rest: known committed, at least stamp
}

func (d *image) clone() image {
	c := *d
	c.snap, c.log = slices.Clone(d.snap), slices.Clone(d.log)
	return c
}

func (d *image) len() int { return len(d.snap) + len(d.log) }

// at returns the i-th transaction of the whole history.
func (d *image) at(i int) zab.Entry {
	if i < len(d.snap) {
		return d.snap[i]
	}
	return d.log[i-len(d.snap)]
}

func (d *image) last() int64 {
	if n := len(d.log); n > 0 {
		return d.log[n-1].Zxid
	}
	return d.stamp
}

// history returns the transactions up to and with z.
func (d *image) history(z int64) (h []zab.Entry) {
	for i := range d.len() {
		if e := d.at(i); e.Zxid <= z {
			h = append(h, e)
		}
	}
	return h
}

// do performs one write. snap is the content of the snapshot that a WriteInstall names.
func (d *image) do(w zab.Write, snap []zab.Entry) {
	switch w.Kind {
	case zab.WriteAcceptedEpoch:
		d.accepted = w.Epoch
	case zab.WriteCurrentEpoch:
		d.current, d.mark = w.Epoch, false
	case zab.WriteSyncMark:
		d.mark = true
	case zab.WriteAppend:
		d.log = append(d.log, w.Entries...)
	case zab.WriteTruncate:
		if w.Zxid < d.checkpoint {
			panic(fmt.Sprintf("truncate to %s below the checkpoint %s", short(w.Zxid), short(d.checkpoint)))
		}
		i, _ := slices.BinarySearchFunc(d.log, w.Zxid+1, func(e zab.Entry, z int64) int { return int(min(1, max(-1, e.Zxid-z))) })
		d.log = d.log[:i:i]
	case zab.WriteInstall:
		d.stamp, d.checkpoint, d.snap = w.Zxid, w.Zxid, slices.Clone(snap)
		d.log = slices.Clone(w.Entries)
	}
}

// purge moves the log up to z into the snapshot, as a checkpoint followed by a deletion of old log files does.
func (d *image) purge(z int64) {
	n := 0
	for n < len(d.log) && d.log[n].Zxid <= z {
		n++
	}
	if n > 0 {
		d.snap, d.stamp = append(slices.Clip(d.snap), d.log[:n]...), d.log[n-1].Zxid
		d.log = slices.Clone(d.log[n:])
	}
}

// order is a write that has not been synced.
type order struct {
	zab.Write
	snap []zab.Entry
}

// disk is a disk that has done some writes durably and has others in its cache.
type disk struct {
	synced image   // survives a crash
	cached image   // what the process sees
	orders []order // from synced to cached
}

func (d *disk) write(o order) {
	d.cached.do(o.Write, o.snap)
	d.orders = append(d.orders, o)
}

// sync makes the first n orders durable and returns the number of the last, or 0.
func (d *disk) sync(n int) (seq uint64) {
	for _, o := range d.orders[:n] {
		d.synced.do(o.Write, o.snap)
		seq = o.Seq
	}
	d.orders = d.orders[n:]
	return seq
}

// crash loses what is not synced, but for the first keep orders and the first entries of the next if it appends:
// a disk may have written more than it was asked to guarantee.
func (d *disk) crash(keep, entries int) {
	d.sync(keep)
	if len(d.orders) > 0 && d.orders[0].Kind == zab.WriteAppend && entries > 0 {
		w := d.orders[0].Write
		w.Entries = w.Entries[:min(entries, len(w.Entries))]
		d.synced.do(w, nil)
	}
	d.orders = nil
	d.cached = d.synced.clone()
}

// boot returns what a process finds at its start.
func (d *disk) boot() zab.Boot {
	m := &d.synced
	b := zab.Boot{
		AcceptedEpoch: m.accepted, CurrentEpoch: m.current, SyncMark: m.mark, Base: m.stamp, Applied: m.checkpoint,
	}
	for _, e := range m.log {
		if n := len(b.Runs); n > 0 && b.Runs[n-1].Last+1 == e.Zxid && zab.Counter(e.Zxid) != 1 {
			b.Runs[n-1].Last = e.Zxid
		} else {
			b.Runs = append(b.Runs, zab.Run{First: e.Zxid, Last: e.Zxid})
		}
		if e.Zxid > m.checkpoint {
			b.Tail = append(b.Tail, e)
		}
	}
	return b
}
