package znode

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var crashSeeds = flag.Int("crashseeds", 2, "how many seeds TestStoreCrash runs")

// crash is the disk as a power failure at one moment leaves it.
type crash struct {
	fs   *vfs.MemFS
	at   string // the operation it hit
	from int    // checkpoints acknowledged before
	to   int    // checkpoints begun before
}

// crasher copies the disk at every operation that changes it: before the
// operation, and with a random part of what was not synced. Reads are let
// through.
type crasher struct {
	mem          *vfs.MemFS
	begun, acked atomic.Int64

	mu      sync.Mutex
	rng     *rand.Rand
	crashes []crash
	links   sync.RWMutex
}

// linkFS keeps CrashClone away while a link is made: MemFS.Link takes the
// lock that CrashClone waits for twice, and the two would wait for each other.
type linkFS struct {
	vfs.FS
	links *sync.RWMutex
}

func (l linkFS) Link(oldname, newname string) error {
	l.links.RLock()
	defer l.links.RUnlock()
	return l.FS.Link(oldname, newname)
}

func (l linkFS) Unwrap() vfs.FS { return l.FS }

func (c *crasher) fs() vfs.FS {
	return errorfs.Wrap(linkFS{c.mem, &c.links}, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			c.crash(op)
		}
		return nil
	}))
}

func (c *crasher) crash(op errorfs.Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := int(c.acked.Load())
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 20, 50, 80, 100}[c.rng.IntN(5)], RNG: c.rng}
	c.links.Lock()
	fs := c.mem.CrashClone(cfg)
	c.links.Unlock()
	c.crashes = append(c.crashes, crash{fs, fmt.Sprintf("%v %s", op.Kind, op.Path), from, int(c.begun.Load())})
}

// TestStoreCrash crashes at every operation of the creation of a store and of
// a row of checkpoints, compactions included, and once more while the crashed
// store is opened: what is there afterwards is the last acknowledged
// checkpoint or the one in flight, whole.
func TestStoreCrash(t *testing.T) {
	for seed := range uint64(*crashSeeds) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := &crasher{mem: vfs.NewCrashableMem(), rng: rng}
		states := runCheckpoints(t, c)
		if len(c.crashes) < 100 {
			t.Errorf("seed %d: only %d operations", seed, len(c.crashes))
		}
		for i, hit := range c.crashes {
			if err := afterCrash(hit, states, rng.IntN(20)); err != nil {
				t.Fatalf("seed %d, operation %d (%s): %v", seed, i, hit.at, err)
			}
		}
		t.Logf("seed %d: %d crashes", seed, len(c.crashes))
	}
}

// runCheckpoints writes random checkpoints and returns what each of them, and
// the beginning, looks like.
func runCheckpoints(t *testing.T, c *crasher) []string {
	s, err := OpenStore(StoreOptions{Dir: "/data/tree", FS: c.fs()})
	if err != nil {
		t.Fatal(err)
	}
	s.cuts = cutLimits{gap: 4 << 10, reach: 8 << 10, far: 2} // so that there are several tables
	rng := rand.New(rand.NewPCG(uint64(c.rng.Int64()), 2))   // the crasher's is its own
	mem := NewMemBackend()
	states := []string{dump(t, mem)}
	for zxid := range 14 {
		changes := randomChanges(rng)
		m := Meta{Zxid: int64(zxid), Sessions: map[int64]int32{int64(zxid): 1}, ACLs: map[ACLID]ACLEntry{}}
		if err := mem.Checkpoint(m, changesOf(changes...)); err != nil {
			t.Fatal(err)
		}
		states = append(states, dump(t, mem))
		c.begun.Add(1)
		if err := s.Checkpoint(m, changesOf(changes...)); err != nil {
			t.Fatal(err)
		}
		c.acked.Add(1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return states
}

func randomChanges(rng *rand.Rand) []Change {
	var changes []Change
	for i := range 40 {
		path := fmt.Sprintf("/d%d/n%02d", i%3, i)
		data := make([]byte, rng.IntN(3000))
		for j := range data {
			data[j] = byte(rng.Uint32())
		}
		switch rng.IntN(5) {
		case 0:
			changes = append(changes, deleteChange(path))
		case 1, 2:
			changes = append(changes, putChange(path, string(data), int64(rng.IntN(3))))
		}
	}
	return changes
}

// afterCrash opens the crashed disk, crashing the open itself at its nth
// operation first, and compares what it finds.
func afterCrash(hit crash, states []string, n int) error {
	again := hit.fs
	var links sync.RWMutex
	fs := errorfs.Wrap(linkFS{hit.fs, &links}, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		links.Lock()
		defer links.Unlock()
		if n--; n == 0 {
			again = hit.fs.CrashClone(vfs.CrashCloneCfg{})
		}
		return nil
	}))
	return errors.Join(oneOf(fs, "/data/tree", states[hit.from:hit.to+1]), oneOf(again, "/data/tree", states[hit.from:hit.to+1]))
}

// oneOf opens the store in dir and looks for what it holds among the states.
func oneOf(fs vfs.FS, dir string, states []string) error {
	s, err := OpenStore(StoreOptions{Dir: dir, FS: fs})
	if err != nil {
		return err
	}
	got, err := tryDump(s)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	for _, want := range states {
		if got == want {
			return nil
		}
	}
	return fmt.Errorf("store is none of %d possible states but\n%s", len(states), got)
}
