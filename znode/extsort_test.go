package znode

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestExtSort sorts with so little memory and so few open runs that runs are
// merged several times, and compares with sorting in memory.
func TestExtSort(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newExtSorter(t.TempDir())
		s.bytesMax, s.runsMax = rapid.IntRange(1, 300).Draw(rt, "bytes"), rapid.IntRange(2, 4).Draw(rt, "runs")
		type item struct {
			key     []byte
			kind    byte
			payload []byte
		}
		var want []item
		for range rapid.IntRange(0, 60).Draw(rt, "items") {
			it := item{
				rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(rt, "key"), rapid.ByteRange(0, 1).Draw(rt, "kind"),
				rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(rt, "payload"),
			}
			want = append(want, it)
			if err := s.add(it.key, it.kind, it.payload); err != nil {
				rt.Fatal(err)
			}
		}
		slices.SortFunc(want, func(a, b item) int {
			if c := bytes.Compare(a.key, b.key); c != 0 {
				return c
			}
			if a.kind != b.kind {
				return int(a.kind) - int(b.kind)
			}
			return bytes.Compare(a.payload, b.payload) // equal items may come in any order
		})
		m, err := s.merge()
		if err != nil {
			rt.Fatal(err)
		}
		defer m.close()
		var got []item
		for {
			var c extCursor
			more, err := m.next(&c)
			if err != nil {
				rt.Fatal(err)
			}
			if !more {
				break
			}
			got = append(got, item{bytes.Clone(c.key), c.kind, bytes.Clone(c.payload)})
		}
		if len(got) != len(want) || len(s.runs) > s.runsMax {
			rt.Fatalf("%d items of %d, %d runs", len(got), len(want), len(s.runs))
		}
		for i := range got {
			if !bytes.Equal(got[i].key, want[i].key) || got[i].kind != want[i].kind {
				rt.Fatalf("item %d is %v, want %v", i, got[i], want[i])
			}
		}
		for _, it := range want {
			if !slices.ContainsFunc(got, func(g item) bool {
				return bytes.Equal(g.key, it.key) && g.kind == it.kind && bytes.Equal(g.payload, it.payload)
			}) {
				rt.Fatalf("%v is lost", it)
			}
		}
	})
}
