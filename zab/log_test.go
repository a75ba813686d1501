package zab

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// plainHistory is history written down in full: every transaction ever, what was forgotten, what was purged.
type plainHistory struct {
	base    int64
	entries []Entry
	applied int64
}

func (p *plainHistory) last() int64 {
	if n := len(p.entries); n > 0 {
		return p.entries[n-1].Zxid
	}
	return p.base
}

func (p *plainHistory) has(z int64) bool {
	return slices.ContainsFunc(p.entries, func(e Entry) bool { return e.Zxid == z })
}

// position returns the last zxid at or before z, base if there is none.
func (p *plainHistory) floor(z int64) int64 {
	f := p.base
	for _, e := range p.entries {
		if e.Zxid <= z {
			f = e.Zxid
		}
	}
	return f
}

func (p *plainHistory) after(z int64) (out []Entry) {
	for _, e := range p.entries {
		if e.Zxid > z {
			out = append(out, e)
		}
	}
	return out
}

// TestHistoryAgainstTwin does the same to a history and to a plain list, and compares every question.
func TestHistoryAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p plainHistory
		h := newHistory(Boot{})
		extend := func(z int64) {
			h.append(Entry{Zxid: z})
			p.entries = append(p.entries, Entry{Zxid: z})
		}
		apply := func() {
			if rest := h.after(h.applied); len(rest) > 0 {
				h.applied = rest[rapid.IntRange(0, len(rest)-1).Draw(t, "apply")].Zxid
				p.applied = h.applied
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"next": func(*rapid.T) { extend(nextIn(p.last())) },
			"epoch": func(t *rapid.T) {
				extend(MakeZxid(Epoch(p.last())+rapid.Int64Range(1, 3).Draw(t, "skip"), 1))
			},
			"apply": func(*rapid.T) { apply() },
			"truncate": func(t *rapid.T) {
				z := p.floor(rapid.Int64Range(p.applied, max(p.applied, p.last())).Draw(t, "to"))
				if z < p.applied {
					return
				}
				h.truncate(z)
				p.entries = slices.Clone(until(p.entries, z))
			},
			"forget": func(t *rapid.T) {
				h.forget(rapid.IntRange(0, 3).Draw(t, "keep"), rapid.Int64Range(0, p.last()).Draw(t, "pin"))
			},
			"purge": func(t *rapid.T) {
				h.purge(rapid.Int64Range(0, p.last()+1).Draw(t, "upto"))
				p.purgeTo(h.base, t)
			},
			"snapshot": func(t *rapid.T) {
				z := MakeZxid(Epoch(p.last())+rapid.Int64Range(0, 1).Draw(t, "e"), 0)
				if z <= p.last() {
					return
				}
				h.reset(z)
				p = plainHistory{base: z, applied: z}
			},
			"": func(t *rapid.T) {
				p.purgeTo(h.base, t)
				compareHistory(t, &h, &p)
			},
		})
	})
}

func nextIn(last int64) int64 {
	if Epoch(last) == 0 {
		return MakeZxid(1, 1)
	}
	return last + 1
}

// purgeTo checks that a new base is a position of the history that is applied, and forgets what is before it.
func (p *plainHistory) purgeTo(base int64, t *rapid.T) {
	if base != p.base && (!p.has(base) || base > p.applied) {
		t.Fatalf("base %s is no applied position", FormatZxid(base))
	}
	p.entries = slices.Clone(after(p.entries, base))
	p.base = base
}

func compareHistory(t *rapid.T, h *history, p *plainHistory) {
	if h.last != p.last() || h.applied != p.applied {
		t.Fatalf("last %s applied %s, want %s and %s", FormatZxid(h.last), FormatZxid(h.applied), FormatZxid(p.last()), FormatZxid(p.applied))
	}
	if h.memFrom > h.applied || h.memFrom < 0 {
		t.Fatalf("memory begins at %s, the tree is at %s", FormatZxid(h.memFrom), FormatZxid(h.applied))
	}
	var probes []int64
	for _, e := range append([]Entry{{Zxid: p.base}}, p.entries...) {
		probes = append(probes, e.Zxid-1, e.Zxid, e.Zxid+1, MakeZxid(Epoch(e.Zxid), 0), MakeZxid(Epoch(e.Zxid)+1, 0))
	}
	for _, z := range probes {
		stamp := Counter(z) == 0 && z > p.base && p.has(z+1)
		if got, want := h.contains(z), z == p.base || p.has(z) || stamp; got != want {
			t.Fatalf("contains(%s) = %v with base %s, runs %x", FormatZxid(z), got, FormatZxid(p.base), h.runs)
		}
		if z < p.base {
			continue
		}
		if got := h.floor(z); got != p.floor(z) {
			t.Fatalf("floor(%s) = %s", FormatZxid(z), FormatZxid(got))
		}
		if got := h.count(z); got != int64(len(p.after(z))) {
			t.Fatalf("count(%s) = %d, runs %x", FormatZxid(z), got, h.runs)
		}
		if z >= h.memFrom && len(h.after(z)) != len(p.after(z)) {
			t.Fatalf("after(%s) has %d of %d", FormatZxid(z), len(h.after(z)), len(p.after(z)))
		}
	}
}
