package sim

import (
	"slices"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// image is what one state of a disk holds: the epoch files, the log, and the tree at
// rest, which a snapshot from a leader replaces together with the log.
type image struct {
	accepted, current int64
	mark              bool
	blank             bool  // it never had data, and stands perhaps for one that had
	noted             int64 // hint: the log is committed up to here

	rest *znode.MemBackend
	// fuzzy says that the tree at rest came as a snapshot, which may hold more than
	// its stamp says.
	fuzzy bool
	base  int64       // the log begins behind it
	snap  []zab.Entry // the history that led to where the log begins
	log   []zab.Entry
}

func newImage() image { return image{rest: znode.NewMemBackend()} }

func (d *image) clone() image {
	c := *d
	c.snap, c.log = slices.Clip(d.snap), slices.Clip(d.log)
	return c
}

// len is how many transactions the disk holds, from the first on.
func (d *image) len() int { return len(d.snap) + len(d.log) }

// at returns the i-th transaction.
func (d *image) at(i int) *zab.Entry {
	if i < len(d.snap) {
		return &d.snap[i]
	}
	return &d.log[i-len(d.snap)]
}

// last is the zxid of the last transaction, or what stands for it.
func (d *image) last() int64 {
	if n := len(d.log); n > 0 {
		return d.log[n-1].Zxid
	}
	return d.base
}

// cut returns the entries up to and with z.
func cut(entries []zab.Entry, z int64) []zab.Entry {
	i, _ := slices.BinarySearchFunc(entries, z, func(e zab.Entry, z int64) int {
		if e.Zxid <= z {
			return -1
		}
		return 1
	})
	return entries[:i:i]
}

// through returns the history up to and with z.
func (d *image) through(z int64) []zab.Entry {
	return append(cut(d.snap, z), cut(d.log, z)...)
}

// order is one thing for the disk to do.
type order struct {
	zab.Write
	snap *snapshot // of an install
	note int64     // not 0: note that the log is committed up to here; there is no Write
}

// do performs one order.
func (d *image) do(o *order) {
	if o.note != 0 {
		d.noted = max(d.noted, o.note)
		return
	}
	switch o.Kind {
	case zab.WriteAcceptedEpoch:
		d.accepted = o.Epoch
	case zab.WriteCurrentEpoch:
		d.current, d.mark = o.Epoch, false
	case zab.WriteSyncMark:
		d.mark = true
	case zab.WriteAppend:
		d.log = append(d.log, o.Entries...)
	case zab.WriteTruncate:
		d.log = cut(d.log, o.Zxid)
	case zab.WriteInstall:
		d.rest, d.base, d.snap, d.noted = o.snap.rest, o.Zxid, o.snap.hist, 0
		d.log, d.fuzzy = slices.Clone(o.Entries), true
	}
}

// purge forgets the log up to z, which the tree at rest holds.
func (d *image) purge(z int64) {
	gone := cut(d.log, z)
	if len(gone) == 0 {
		return
	}
	d.snap = append(slices.Clip(d.snap), gone...)
	d.base, d.log = gone[len(gone)-1].Zxid, slices.Clip(d.log[len(gone):])
}

// disk is a disk that has done some orders durably and has others in its cache.
type disk struct {
	synced image // survives a crash
	cached image // what the process sees
	orders []order
	busy   bool // a sync is under way
	failed bool

	busyUntil int64
}

func newDisk() disk {
	i := newImage()
	return disk{synced: i, cached: i}
}

func (d *disk) write(o order) {
	d.cached.do(&o)
	d.orders = append(d.orders, o)
}

// sync makes the first n orders durable and returns the number of the last write, or
// 0.
func (d *disk) sync(n int) (seq uint64) {
	for i := range d.orders[:n] {
		d.synced.do(&d.orders[i])
		seq = max(seq, d.orders[i].Seq)
	}
	d.orders = d.orders[n:]
	return seq
}

// crash loses what is not synced, but for the first keep orders and the first entries
// of the next if it appends: a disk may have written more than it was asked to
// guarantee.
func (d *disk) crash(keep, entries int) {
	d.sync(keep)
	if len(d.orders) > 0 && d.orders[0].Kind == zab.WriteAppend && entries > 0 {
		o := d.orders[0]
		o.Entries = o.Entries[:min(entries, len(o.Entries))]
		d.synced.do(&o)
	}
	d.orders, d.busy, d.failed = nil, false, false
	d.cached = d.synced.clone()
}

// midSync reports whether part of a synchronization waits for the disk: a moment at
// which a crash hurts.
func (d *disk) midSync() bool {
	return slices.ContainsFunc(d.orders, func(o order) bool {
		return o.Kind == zab.WriteInstall || o.Kind == zab.WriteTruncate || o.Kind == zab.WriteSyncMark
	})
}

// replacing reports whether the tree at rest is about to be replaced, or the log cut.
func (d *disk) replacing() bool {
	return slices.ContainsFunc(d.orders, func(o order) bool {
		return o.Kind == zab.WriteInstall || o.Kind == zab.WriteTruncate
	})
}

// boot tells the core what a process finds when its tree is at applied. early is how
// many entries before that it may keep in memory.
func (d *disk) boot(applied int64, early int) zab.Boot {
	m := &d.synced
	m.blank = m.blank && m.last() == 0
	b := zab.Boot{AcceptedEpoch: m.accepted, CurrentEpoch: m.current, SyncMark: m.mark, Base: m.base, Applied: applied, Blank: m.blank}
	for i := range m.log {
		z := m.log[i].Zxid
		if n := len(b.Runs); n > 0 && b.Runs[n-1].Last+1 == z && zab.Counter(z) != 1 {
			b.Runs[n-1].Last = z
		} else {
			b.Runs = append(b.Runs, zab.Run{First: z, Last: z})
		}
	}
	from := max(0, len(cut(m.log, applied))-early)
	b.Tail = slices.Clone(m.log[from:])
	return b
}
