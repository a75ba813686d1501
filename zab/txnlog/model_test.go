package txnlog

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/zab/zxids"
)

// model is a log that is nothing but a slice, driven by the same calls as a Log.
type model struct {
	fsys    *MemFS
	l       *Log
	entries []entry // what the log holds, purged ones taken off
	made    int64
}

func (m *model) last() int64 {
	if len(m.entries) == 0 {
		return 0
	}
	return m.entries[len(m.entries)-1].zxid
}

func (m *model) open(t *rapid.T) {
	l, err := Open(Options{Dir: testDir, FS: m.fsys, PreallocBytes: 4096, RollBytes: 5000, Register: testRegister})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	m.l = l
}

// Append writes and syncs some entries, in the same or a new epoch.
func (m *model) Append(t *rapid.T) {
	next := m.last() + 1
	if len(m.entries) == 0 || rapid.IntRange(0, 4).Draw(t, "epoch") == 0 {
		next = z(zxids.Epoch(m.last())+rapid.Int64Range(1, 3).Draw(t, "skip"), 1)
	}
	var add []entry
	for _, n := range rapid.SliceOfN(rapid.IntRange(0, 900), 1, 6).Draw(t, "sizes") {
		m.made++
		payload := appendTxn(nil, next, n, nil)
		payload[3], payload[4] = byte(m.made>>8), byte(m.made)
		add = append(add, entry{next, payload})
		next++
	}
	if err := errors.Join(m.l.Append(batchOf(add)), m.l.Sync()); err != nil {
		t.Fatal(err)
	}
	m.entries = append(m.entries, add...)
}

// Refuse appends what does not follow.
func (m *model) Refuse(t *rapid.T) {
	if len(m.entries) == 0 {
		t.Skip("an empty log takes anything")
	}
	bad := m.last() + rapid.SampledFrom([]int64{-1, 0, 2, 100}).Draw(t, "by")
	if err := m.l.Append(batchOf([]entry{{bad, appendTxn(nil, bad, 1, nil)}})); !errors.Is(err, ErrNotConsecutive) {
		t.Fatalf("zxid %#x after %#x: %v", bad, m.last(), err)
	}
}

func (m *model) Roll(*rapid.T) { m.l.Roll() }

// Truncate to some entry.
func (m *model) Truncate(t *rapid.T) {
	if len(m.entries) == 0 {
		t.Skip("empty")
	}
	n := rapid.IntRange(0, len(m.entries)-1).Draw(t, "keep") + 1
	if err := m.l.Truncate(m.entries[n-1].zxid); err != nil {
		t.Fatal(err)
	}
	m.entries = m.entries[:n:n]
}

// Purge, and take off the model what the log says it removed.
func (m *model) Purge(t *rapid.T) {
	if len(m.entries) == 0 {
		t.Skip("empty")
	}
	keep := m.entries[rapid.IntRange(0, len(m.entries)-1).Draw(t, "keep")].zxid
	if _, err := m.l.Purge(keep, rapid.Int64Range(0, 8000).Draw(t, "bytes")); err != nil {
		t.Fatal(err)
	}
	first := m.l.FirstZxid()
	if first > keep {
		t.Fatalf("kept from %#x, asked to keep %#x", first, keep)
	}
	for m.entries[0].zxid < first {
		m.entries = m.entries[1:]
	}
}

// Restart closes and opens, or lets a crash come instead: all is synced, so it makes no difference.
func (m *model) Restart(t *rapid.T) {
	if rapid.Bool().Draw(t, "crash") {
		m.fsys = m.fsys.Crash(rapid.Int64Range(0, 1000).Draw(t, "way"))
	} else if err := m.l.Close(); err != nil {
		t.Fatal(err)
	}
	m.open(t)
}

// Check compares everything that can be asked.
func (m *model) Check(t *rapid.T) {
	first, last := int64(0), m.last()
	if len(m.entries) > 0 {
		first = m.entries[0].zxid
	}
	if m.l.FirstZxid() != first || m.l.LastZxid() != last {
		t.Fatalf("log has %#x..%#x, model %#x..%#x", m.l.FirstZxid(), m.l.LastZxid(), first, last)
	}
	from, want := first-1, m.entries
	if len(want) > 0 && rapid.Bool().Draw(t, "middle") {
		n := rapid.IntRange(0, len(want)-1).Draw(t, "from")
		from, want = want[n].zxid, want[n+1:]
	}
	got, err := readFrom(m.l, from)
	if err == nil {
		err = diff(got, want)
	}
	if err != nil {
		t.Fatalf("read from %#x: %v", from, err)
	}
	if len(m.entries) > 0 {
		if got, err := readFrom(m.l, first-2); zxids.Counter(first) > 1 && !errors.Is(err, ErrMissing) {
			t.Fatalf("read from before the first entry: %d entries, %v", len(got), err)
		}
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{fsys: NewMemFS()}
		m.open(t)
		t.Repeat(map[string]func(*rapid.T){
			"append": m.Append, "refuse": m.Refuse, "roll": m.Roll, "truncate": m.Truncate,
			"purge": m.Purge, "restart": m.Restart, "": m.Check,
		})
	})
}
