package history

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// Ordered checks acknowledged writes over all registers together: no two have
// one zxid, and a write that was acknowledged before another began has the
// smaller one.
func Ordered(ops []Op) error {
	var writes []Op
	for _, o := range ops {
		if o.changes() && o.Outcome == OK {
			writes = append(writes, o)
		}
	}
	slices.SortFunc(writes, func(a, b Op) int { return cmp.Compare(a.Zxid, b.Zxid) })
	var latest Op // of those before, the one that began last
	for i, o := range writes {
		if i > 0 && writes[i-1].Zxid == o.Zxid {
			return fmt.Errorf("two writes have one zxid:\n  %v\n  %v", writes[i-1], o)
		}
		if i > 0 && o.Return < latest.Call {
			return fmt.Errorf("a later write has the smaller zxid:\n  %v\n  %v", o, latest)
		}
		if i == 0 || o.Call > latest.Call {
			latest = o
		}
	}
	return nil
}

// timeline is what is known of one register: what it held from which zxid on.
type timeline []Op

// at returns the last acknowledged write with at most that zxid.
func (t timeline) at(zxid int64) (Op, bool) {
	i := sort.Search(len(t), func(i int) bool { return t[i].Zxid > zxid })
	if i == 0 {
		return Op{}, false
	}
	return t[i-1], true
}

// Sessions checks that no client was taken back in time, whichever servers it
// was connected to: once it has seen anything of a zxid, every read shows at
// least all that was acknowledged up to there, whoever wrote it. It also checks
// that a read shows what somebody wrote, and had begun to write by then.
// Operations of one client must not overlap.
func Sessions(ops []Op) error {
	lines := map[string]timeline{}
	attempts := map[string]map[string]Op{} // by key and value
	for _, o := range ops {
		if !o.changes() {
			continue
		}
		if o.Outcome == OK {
			lines[o.Key] = append(lines[o.Key], o)
		}
		if attempts[o.Key] == nil {
			attempts[o.Key] = map[string]Op{}
		}
		if other, ok := attempts[o.Key][o.Value]; ok {
			return fmt.Errorf("two writes of one value, this history cannot be judged:\n  %v\n  %v", o, other)
		}
		attempts[o.Key][o.Value] = o
	}
	for _, l := range lines {
		slices.SortFunc(l, func(a, b Op) int { return cmp.Compare(a.Zxid, b.Zxid) })
	}
	sorted := slices.Clone(ops)
	slices.SortStableFunc(sorted, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	seen := map[int]Op{} // by client, its operation with the highest zxid
	for _, o := range sorted {
		if !o.saw() {
			continue
		}
		if err := checkSource(o, attempts[o.Key]); err != nil {
			return err
		}
		before := seen[o.Client]
		if want, ok := lines[o.Key].at(before.Zxid); ok && o.Zxid < want.Zxid {
			return fmt.Errorf("a client was taken back in time: it saw\n  %v\nand then, without\n  %v\n, only\n  %v", before, want, o)
		}
		if o.Zxid > before.Zxid {
			seen[o.Client] = o
		}
	}
	return nil
}

// checkSource checks that what was read was written.
func checkSource(o Op, attempts map[string]Op) error {
	if o.changes() || o.Version == 0 {
		return nil // its own, or the state at the beginning
	}
	w, ok := attempts[o.Value]
	switch {
	case !ok:
		return fmt.Errorf("nobody wrote what was read: %v", o)
	case w.Call > o.Return:
		return fmt.Errorf("read before it was written:\n  %v\n  %v", o, w)
	case w.Outcome == OK && (w.Version != o.Version || w.Zxid != o.Zxid):
		return fmt.Errorf("read with another version than it was written with:\n  %v\n  %v", o, w)
	}
	return nil
}
