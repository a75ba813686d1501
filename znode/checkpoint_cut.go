package znode

import (
	"bytes"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// cutter decides where one sstable of a checkpoint ends and the next begins.
//
// Pebble puts an ingested table into the last level when no table has keys in
// its range, and never touches it again; else the table starts at the top and
// is merged with all it overlaps, level by level. So what lies where there is
// nothing yet (the znodes that clients create one after the other) gets tables
// of its own. And a table does not reach over much data that it does not
// change, which would be merged with it for nothing.
type cutter struct {
	spans  []keySpan // where tables are, disjoint, ascending
	at     int       // the span at or behind the last key
	tables []keySpan // the tables themselves by their last keys
	passed int       // of them, those before the last key
	last   []byte
	limits cutLimits
}

// keySpan is a range of keys, both ends included.
type keySpan struct {
	first, last []byte
	bytes       int64
}

// cutLimits say when a table is worth its price: each one is a file to sync.
type cutLimits struct {
	gap   int   // bytes that must lie in a gap to get a table
	reach int64 // bytes of other tables that one may reach over
	far   int   // how many tables of a checkpoint may end because of reach
}

var storeCutLimits = cutLimits{gap: 256 << 10, reach: 4 << 20, far: 8}

// newCutter looks at the tables there are. Pebble may be merging some, so what
// it knows is a hint.
func newCutter(db *pebble.DB, limits cutLimits) (*cutter, error) {
	levels, err := db.SSTables()
	if err != nil {
		return nil, storeReadError("list of tables", err)
	}
	c := &cutter{limits: limits}
	for _, level := range levels {
		for i := range level {
			t := &level[i]
			c.tables = append(c.tables, keySpan{t.Smallest.UserKey, t.Largest.UserKey, int64(t.Size)})
		}
	}
	c.spans = mergeSpans(c.tables)
	slices.SortFunc(c.tables, func(a, b keySpan) int { return bytes.Compare(a.last, b.last) })
	return c, nil
}

// mergeSpans returns the union of spans.
func mergeSpans(all []keySpan) (out []keySpan) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b keySpan) int { return bytes.Compare(a.first, b.first) })
	for _, s := range all {
		if n := len(out); n == 0 || bytes.Compare(out[n-1].last, s.first) < 0 {
			out = append(out, s)
		} else if bytes.Compare(out[n-1].last, s.last) < 0 {
			out[n-1].last = s.last
		}
	}
	return out
}

// place tells about the next key; keys ascend. gap is the number of the gap
// between tables it lies in, or noGap. far reports that there is much data
// between the key before and this one.
func (c *cutter) place(key []byte) (gap int, far bool) {
	var reached int64
	for c.passed < len(c.tables) && bytes.Compare(c.tables[c.passed].last, key) < 0 {
		if t := &c.tables[c.passed]; bytes.Compare(c.last, t.first) < 0 {
			reached += t.bytes
		}
		c.passed++
	}
	c.last = append(c.last[:0], key...)
	for c.at < len(c.spans) && bytes.Compare(c.spans[c.at].last, key) < 0 {
		c.at++
	}
	gap = noGap
	if c.at == len(c.spans) || bytes.Compare(key, c.spans[c.at].first) < 0 {
		gap = c.at
	}
	far = reached >= c.limits.reach && c.limits.far > 0
	if far {
		c.limits.far--
	}
	return gap, far
}

const noGap = -1

// heldEntry is an entry in a gap that waits until there is enough for a table.
type heldEntry struct {
	keyEnd, end int
	deleted     bool
}

// held is entries on their way, in order.
type held struct {
	entries []heldEntry
	bytes   []byte
}

func (h *held) add(key, value []byte, deleted bool) {
	h.bytes = append(h.bytes, key...)
	keyEnd := len(h.bytes)
	h.bytes = append(h.bytes, value...)
	h.entries = append(h.entries, heldEntry{keyEnd: keyEnd, end: len(h.bytes), deleted: deleted})
}

// each gives the entries to fn and forgets them.
func (h *held) each(fn func(key, value []byte, deleted bool) error) error {
	start := 0
	for _, e := range h.entries {
		if err := fn(h.bytes[start:e.keyEnd], h.bytes[e.keyEnd:e.end], e.deleted); err != nil {
			return err
		}
		start = e.end
	}
	h.entries, h.bytes = h.entries[:0], h.bytes[:0]
	return nil
}

// add writes one entry into the table it belongs to.
func (t *tableWriter) add(key, value []byte, deleted bool) error {
	if t.cut == nil {
		return t.put(key, value, deleted)
	}
	gap, far := t.cut.place(key)
	if gap == t.gap && gap != noGap {
		return t.put(key, value, deleted)
	}
	if gap != t.heldIn || far {
		if err := t.settle(far || t.gap != noGap); err != nil {
			return err
		}
	}
	if gap == noGap {
		return t.put(key, value, deleted)
	}
	t.heldIn = gap
	t.held.add(key, value, deleted)
	if len(t.held.bytes) < t.cut.limits.gap {
		return nil
	}
	if err := t.finish(); err != nil {
		return err
	}
	t.gap, t.heldIn = gap, noGap
	return t.held.each(t.put)
}

// settle writes what was held for a table of its own, and was too little, to
// the table at hand, and ends that if it is to end.
func (t *tableWriter) settle(end bool) error {
	if err := t.held.each(t.put); err != nil {
		return err
	}
	t.heldIn = noGap
	if !end {
		return nil
	}
	t.gap = noGap
	return t.finish()
}
