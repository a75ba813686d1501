package znode

import (
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// mergeLayers is from how many layers of tables at the top on these are merged into
	// what is below, when znodes are read from disk. Each layer makes such a read dearer.
	mergeLayers = 3
	// mergeReads is how many reads from disk ask for that: fewer cost less than a merge.
	mergeReads = 4096
	// mergeLayersUnread and mergeBytesUnread are the same for a store that is not read,
	// because the tree is in memory. Each merge writes what is below again, so that four times as
	// many layers are a quarter of the work.
	mergeLayersUnread = 12
	mergeBytesUnread  = 256 << 20
)

// noteRead has sstables merged if many znodes are read from disk.
func (s *Store) noteRead() {
	if s.merger.noteRead() {
		go func() {
			if s.enter() == nil {
				defer s.gate.leave()
				s.merge()
			}
		}()
	}
}

// merge has sstables merged if that is due.
func (s *Store) merge() {
	if s.merger.due(&s.db.Metrics().Levels[0]) {
		s.merger.begin()
	}
}

// merger tells Pebble when to merge sstables, one merge at a time. Pebble itself would at
// any time merge from mergeLayers on, for the sake of reads, of which a tree that is in memory
// makes none.
//
// It is Pebble's CompactionScheduler. All methods may be called from any goroutine; the order of
// locks is Pebble's, then this one's.
type merger struct {
	db    pebble.DBForCompaction
	reads atomic.Int64 // from disk, since somebody last looked

	mu       sync.Mutex
	granted  sync.Cond // granting is over
	granting bool      // somebody asks Pebble what waits
	running  bool
	open     bool // what Pebble wants to merge is merged, until it wants nothing more
	ended    bool
}

var (
	_ pebble.CompactionScheduler   = (*merger)(nil)
	_ pebble.CompactionGrantHandle = (*merger)(nil)
)

func newMerger() *merger {
	m := new(merger)
	m.granted.L = &m.mu
	return m
}

// noteRead counts a read from disk, and reports whether it is time to look whether there are
// too many layers for that.
func (m *merger) noteRead() bool {
	return m.reads.Add(1)%mergeReads == 0
}

// due reports whether there are so many layers at the top that they are to be merged now.
func (m *merger) due(top *pebble.LevelMetrics) bool {
	if m.reads.Swap(0) >= mergeReads && top.Sublevels >= mergeLayers {
		return true
	}
	return top.Sublevels >= mergeLayersUnread || top.TablesSize >= mergeBytesUnread
}

// begin has everything merged that Pebble wants to merge.
func (m *merger) begin() {
	m.mu.Lock()
	m.open = true
	m.mu.Unlock()
	m.grant()
}

// grant begins the next merge, if it is time for one. Pebble is asked without the lock, and
// may end the goroutine then (see [storeLogger.Fatalf]).
func (m *merger) grant() {
	m.mu.Lock()
	for m.granting {
		m.granted.Wait()
	}
	now := m.open && !m.running && !m.ended
	if now {
		m.granting, m.running = true, true // it may be over before Schedule returns
	}
	m.mu.Unlock()
	if !now {
		return
	}
	waiting, _ := m.db.GetWaitingCompaction()
	begun := waiting && m.db.Schedule(m)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !begun {
		m.open, m.running = false, false
	}
	m.granting = false
	m.granted.Broadcast()
}

// Register implements [pebble.CompactionScheduler].
func (m *merger) Register(_ int, db pebble.DBForCompaction) { m.db = db }

// Unregister implements [pebble.CompactionScheduler].
func (m *merger) Unregister() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	for m.granting {
		m.granted.Wait()
	}
}

// TrySchedule implements [pebble.CompactionScheduler]. Pebble remembers what may not run.
func (m *merger) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.open || m.running || m.ended {
		return false, nil
	}
	m.running = true
	return true, m
}

// UpdateGetAllowedWithoutPermission implements [pebble.CompactionScheduler].
func (*merger) UpdateGetAllowedWithoutPermission() {}

// Started implements [pebble.CompactionGrantHandle].
func (*merger) Started() {}

// MeasureCPU implements [pebble.CompactionGrantHandle].
func (*merger) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements [pebble.CompactionGrantHandle].
func (*merger) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements [pebble.CompactionGrantHandle].
func (m *merger) Done() {
	m.mu.Lock()
	for m.granting {
		m.granted.Wait()
	}
	m.running = false
	m.mu.Unlock()
	m.grant()
}
