package znode

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestCheckpointInManyTables writes random checkpoints with limits so low that
// tables end nearly everywhere, and compares with the memory twin.
func TestCheckpointInManyTables(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s, mem := openTestStore(t, vfs.NewMem(), "/tree"), NewMemBackend()
		s.cuts = cutLimits{gap: 1 + rng.IntN(2000), reach: 1 + rng.Int64N(3000), far: rng.IntN(10)}
		for zxid := range int64(25) {
			var changes []Change
			low, high := rng.IntN(100), 1+rng.IntN(100)
			for i := range 100 {
				path := fmt.Sprintf("/d%d/n%02d", i/17, i)
				if i < low || i >= low+high || rng.IntN(3) == 0 {
					continue
				}
				if rng.IntN(4) == 0 {
					changes = append(changes, deleteChange(path))
				} else {
					data := make([]byte, rng.IntN(300))
					changes = append(changes, putChange(path, string(data), int64(rng.IntN(2))))
				}
			}
			for _, b := range []Backend{mem, s} {
				if err := b.Checkpoint(Meta{Zxid: zxid}, changesOf(slices.Clone(changes)...)); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := dump(t, s), dump(t, mem); got != want {
				t.Fatalf("seed %d, checkpoint %d:\n%s\nwant:\n%s", seed, zxid, got, want)
			}
		}
	}
}

// TestCreationsAreWrittenOnce: znodes that are created one after the other
// are not merged again with those before them.
func TestCreationsAreWrittenOnce(t *testing.T) {
	s := openTestStore(t, vfs.NewMem(), "/tree")
	s.cuts.gap = 16 << 10
	rng := rand.NewChaCha8([32]byte{1})
	var written int64
	if err := s.Checkpoint(Meta{}, changesOf(putChange("/queue", "", 0))); err != nil {
		t.Fatal(err)
	}
	for zxid := range 30 {
		changes := []Change{putChange("/queue", "", 0)}
		for i := range 500 {
			data := make([]byte, 200)
			rng.Read(data) //nolint:errcheck // never fails
			changes = append(changes, putChange(fmt.Sprintf("/queue/n%07d", zxid*500+i), string(data), 0))
			written += 200
		}
		if err := s.Checkpoint(Meta{Zxid: int64(zxid)}, changesOf(changes...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	m := s.db.Metrics()
	total := m.Total()
	if got := int64(total.TableBytesCompacted); got > written/4 {
		t.Errorf("of %d bytes written, %d were written again", written, got)
	}
	if last := m.Levels[6].TablesSize; last < written*3/4 {
		t.Errorf("%d of %d bytes are in the last level", last, written)
	}
}

// TestCutterPlaces asks for the gaps between tables and for what lies between
// keys.
func TestCutterPlaces(t *testing.T) {
	span := func(first, last string, n int64) keySpan { return keySpan{[]byte(first), []byte(last), n} }
	tables := []keySpan{span("b", "d", 5), span("f", "h", 10), span("g", "k", 7), span("m", "m", 100), span("q", "r", 1)}
	c := &cutter{spans: mergeSpans(tables), tables: tables, limits: cutLimits{reach: 10, far: 2}}
	slices.SortFunc(c.tables, func(a, b keySpan) int { return bytes.Compare(a.last, b.last) })
	for _, step := range []struct {
		key string
		gap int
		far bool
	}{
		{"a", 0, false},
		{"b", noGap, false},
		{"c", noGap, false},
		{"e", 1, false}, // the first table began before
		{"f", noGap, false},
		{"j", noGap, false},
		{"l", 2, false},
		{"n", 3, true}, // over m
		{"o", 3, false},
		{"q", noGap, false},
		{"z", 4, false},
	} {
		if gap, far := c.place([]byte(step.key)); gap != step.gap || far != step.far {
			t.Errorf("%s: gap %d, far %v, want %d %v", step.key, gap, far, step.gap, step.far)
		}
	}
}
