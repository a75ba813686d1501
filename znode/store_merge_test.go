package znode

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// layer writes a checkpoint that changes the same znodes as all others do.
func layer(t *testing.T, s *Store, zxid int64) {
	t.Helper()
	changes := []Change{putChange("/", "", 0)}
	for i := range 50 {
		changes = append(changes, putChange(fmt.Sprintf("/n%03d", i), fmt.Sprint("value ", zxid), zxid))
	}
	if err := s.Checkpoint(Meta{Zxid: zxid}, changesOf(changes...)); err != nil {
		t.Fatal(err)
	}
}

// awaitLayers waits until there are so many layers at the top, or fewer.
func awaitLayers(t *testing.T, s *Store, most int) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		m := s.db.Metrics()
		if int(m.Levels[0].Sublevels) <= most && m.Compact.NumInProgress == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d layers, want at most %d", m.Levels[0].Sublevels, most)
		}
	}
}

func layersOf(s *Store) int { return int(s.db.Metrics().Levels[0].Sublevels) }

func readOften(t *testing.T, s *Store, times int) {
	t.Helper()
	var rec Record
	for range times {
		if found, _, err := s.Get([]byte("/n001"), nil, &rec); !found || err != nil {
			t.Fatal(found, err)
		}
	}
}

// What nobody reads is merged seldom: not before there are many layers, and then at once.
func TestMergeOfWhatIsNotRead(t *testing.T) {
	s := openTestStore(t, nil, filepath.Join(t.TempDir(), "tree"))
	zxid := int64(0)
	for round := range 3 {
		for layersOf(s) < mergeLayersUnread-1 {
			before := layersOf(s)
			zxid++
			layer(t, s, zxid)
			readOften(t, s, mergeReads/mergeLayersUnread/2)
			if n := layersOf(s); n < before {
				t.Fatalf("round %d: merged when there were %d layers", round, before+1)
			}
		}
		s.merger.reads.Store(0)
		zxid++
		layer(t, s, zxid)
		awaitLayers(t, s, 1)
	}
	if n := s.db.Metrics().Compact.Count; n == 0 || n > 3*2 {
		t.Errorf("%d merges", n)
	}
}

// Reads from disk have the layers merged that they would have to look through, also when nothing is written.
func TestMergeForReaders(t *testing.T) {
	s := openTestStore(t, nil, filepath.Join(t.TempDir(), "tree"))
	for zxid := range int64(mergeLayersUnread - 2) {
		layer(t, s, zxid+1)
	}
	before := layersOf(s)
	if before < mergeLayers {
		t.Fatalf("%d layers, want %d or more", before, mergeLayers)
	}
	readOften(t, s, mergeReads-1)
	if n := layersOf(s); n != before {
		t.Errorf("%d layers after a few reads, want %d", n, before)
	}
	readOften(t, s, 1)
	awaitLayers(t, s, mergeLayers-1)
}

// A merge under way does not keep the store from closing, whenever that comes.
func TestCloseWhileMerging(t *testing.T) {
	for i := range 20 {
		dir := filepath.Join(t.TempDir(), "tree")
		s, err := OpenStore(StoreOptions{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for zxid := range int64(mergeLayersUnread) {
			layer(t, s, zxid+1)
		}
		time.Sleep(time.Duration(i) * 200 * time.Microsecond)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := openTestStore(t, nil, dir)
		readOften(t, again, 1)
	}
}

// ending is a database that ends the goroutine that asks it, as one does that cannot go on.
type ending struct{ pebble.DBForCompaction }

func (ending) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	runtime.Goexit()
	return false, pebble.WaitingCompaction{}
}

// The process outlives it, to say why.
func TestPebbleEndsWhileItIsAsked(t *testing.T) {
	m := newMerger()
	m.Register(1, ending{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.begin()
	}()
	<-done
	if may, _ := m.TrySchedule(); may {
		t.Error("a merge may begin in a database that cannot go on")
	}
}
