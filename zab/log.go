package zab

import (
	"slices"
	"sort"
)

// Entry is one transaction of the history: its zxid and its opaque bytes. Data is never changed once it is in an Entry.
type Entry struct {
	Zxid int64
	Data []byte
}

// history is the core's view of the log: which zxids it holds, and the newest entries themselves.
//
// Counters of an epoch have no holes, so the whole log is known by a few runs. base is the state before the first of
// them. The entries in mem are the newest of the history, without a hole; whatever is not yet applied is always there.
// Whether something is on disk is not kept here (see Core.durable): history is what will be on disk when all writes
// ordered so far are done.
type history struct {
	base    int64
	onDisk  int64 // the log on disk begins after it; base, unless memory still holds older entries
	runs    []Run
	memFrom int64 // the position before mem[0]
	mem     []Entry
	last    int64
	applied int64 // the tree: handed out to be applied, or installed as a snapshot
	pending int   // bytes of the entries after applied
}

func newHistory(b Boot) history {
	h := history{base: b.Base, onDisk: b.Base, runs: slices.Clone(b.Runs), last: b.last(), applied: b.Applied, mem: slices.Clone(b.Tail)}
	h.memFrom = h.last
	if len(h.mem) > 0 {
		h.memFrom = h.floor(h.mem[0].Zxid - 1)
	}
	assert(len(h.mem) == 0 || h.mem[len(h.mem)-1].Zxid == h.last, "the tail of the log ends at its last zxid")
	assert(h.memFrom <= h.applied, "the tail of the log begins at or before the tree")
	h.pending = bytesOf(h.after(h.applied))
	return h
}

// runBefore returns the index of the last run that begins at or before z, or -1.
func (h *history) runBefore(z int64) int {
	return sort.Search(len(h.runs), func(i int) bool { return h.runs[i].First > z }) - 1
}

// floor returns the last position of the history at or before z; base if there is none.
func (h *history) floor(z int64) int64 {
	i := h.runBefore(z)
	if i < 0 {
		return h.base
	}
	return min(z, h.runs[i].Last)
}

// contains reports whether a server whose last zxid is z holds a prefix of this history.
//
// z may be epoch<<32, the stamp of a snapshot that holds the whole initial history of that epoch. It is a prefix if
// this history has a transaction of that epoch, because then its leader was established, and there was but one.
func (h *history) contains(z int64) bool {
	if z == h.base {
		return true
	}
	i := h.runBefore(z)
	if i >= 0 && z <= h.runs[i].Last {
		return true
	}
	return Counter(z) == 0 && z > h.base && i+1 < len(h.runs) && h.runs[i+1].First == z+1
}

// count returns how many transactions follow position z, which is contained.
func (h *history) count(z int64) (n int64) {
	for i := len(h.runs) - 1; i >= 0 && h.runs[i].Last > z; i-- {
		n += h.runs[i].Last - max(h.runs[i].First-1, z)
	}
	return n
}

// after returns the entries after position z, which memory must cover. The caller must not change them.
func (h *history) after(z int64) []Entry {
	assert(z >= h.memFrom, "entries asked for are in memory")
	i := sort.Search(len(h.mem), func(i int) bool { return h.mem[i].Zxid > z })
	return h.mem[i:]
}

// until returns those of entries that are at or before z.
func until(entries []Entry, z int64) []Entry {
	return entries[:sort.Search(len(entries), func(i int) bool { return entries[i].Zxid > z })]
}

func (h *history) append(e Entry) {
	assert(Follows(h.last, e.Zxid), "the history has no holes")
	if n := len(h.runs); n > 0 && h.runs[n-1].Last == e.Zxid-1 && Counter(e.Zxid) != 1 {
		h.runs[n-1].Last = e.Zxid
	} else {
		h.runs = append(h.runs, Run{e.Zxid, e.Zxid})
	}
	h.mem = append(h.mem, e)
	h.pending += len(e.Data)
	h.last = e.Zxid
}

// apply notes that e, the first entry after the tree, is applied.
func (h *history) apply(e Entry) {
	h.applied = e.Zxid
	h.pending -= len(e.Data)
}

// bytesOf is the size of entries.
func bytesOf(entries []Entry) (n int) {
	for i := range entries {
		n += len(entries[i].Data)
	}
	return n
}

// bytesAfter is the size of what follows position z, which is contained: exactly for what memory holds, and as much on
// average for what is on disk alone.
func (h *history) bytesAfter(z int64) int64 {
	mem := after(h.mem, z)
	n := int64(bytesOf(mem))
	if z < h.memFrom && len(mem) > 0 {
		n += (h.count(z) - int64(len(mem))) * n / int64(len(mem))
	}
	return n
}

// truncate cuts everything after z, a contained position that is not before the tree.
func (h *history) truncate(z int64) {
	assert(z >= h.applied && h.contains(z), "what is cut is not applied")
	i := h.runBefore(z)
	h.runs = h.runs[:i+1]
	if i >= 0 && h.runs[i].Last > z {
		h.runs[i].Last = z
	}
	h.mem = slices.Clone(until(h.mem, z))
	h.pending = bytesOf(h.after(h.applied))
	h.last = h.base
	if i >= 0 {
		h.last = h.runs[i].Last
	}
}

// reset forgets everything: the state is a snapshot stamped z.
func (h *history) reset(z int64) {
	*h = history{base: z, onDisk: z, last: z, applied: z, memFrom: z}
}

// forget lets go of the oldest entries in memory beyond keep applied ones, but of none after pin. Memory is given
// back in strides, so that a commit costs little; the list itself moves on when it grows. Nobody keeps a part of it.
func (h *history) forget(keep int, pin int64) {
	n := len(until(h.mem, min(h.applied, pin))) - keep
	if n <= 0 || n < keep/4 {
		return
	}
	h.memFrom = h.mem[n-1].Zxid
	clear(h.mem[:n])
	h.mem = h.mem[n:]
	h.rebase()
}

// purge tells that the log on disk now begins after z. What memory holds remains part of the history.
func (h *history) purge(z int64) {
	h.onDisk = max(h.onDisk, min(h.floor(z), h.applied))
	h.rebase()
}

// rebase drops from the runs what neither disk nor memory holds.
func (h *history) rebase() {
	z := min(h.onDisk, h.memFrom)
	if z <= h.base {
		return
	}
	i := h.runBefore(z)
	if i >= 0 && h.runs[i].Last > z {
		h.runs[i].First = z + 1
	} else {
		i++
	}
	h.runs = slices.Clone(h.runs[i:])
	h.base = z
}
