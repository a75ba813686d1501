package sim

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
	"github.com/quorate/quorate/znode"
)

// Result is what one seed did.
type Result struct {
	Seed int64
	// Hash is of everything that happened, in order.
	Hash uint64
	// Events, Committed, Epochs, Crashes, Answers and Expired say how much that was.
	Events, Committed, Epochs, Crashes, Answers, Expired int
	// Syncs counts the ways in which learners were synchronized.
	Syncs map[string]int
	// Done counts what clients got done, by name.
	Done map[string]int
	// Faults are what must not be; nil for a good run.
	Faults []string
}

// sim is one run.
type sim struct {
	schedule
	trace
	seed     int64
	rnd      *rand.Rand
	plan     plan
	breakage Break
	result   Result

	machines    []*machine
	quorum      quorum.Verifier
	links       [][]*link
	clients     []*client
	blocked     [][]bool // from place, to place
	pausedUntil []int64  // by place
	heldPipes   []*pipe
	nextConn    zab.ConnID
	rules       znode.Rules
	crashes     int
	shortEpochs bool
	calm        bool  // faults are over
	awake       int64 // when everybody is awake and knows what has ended
	stopped     bool

	checker
	oracle *oracle
}

// clientsMax bounds the clients of a run, dead ones included.
const clientsMax = 24

// errSettled is how a checkpoint ends that a snapshot from the leader has overtaken.
var errSettled = errors.New("the tree is about to be replaced")

// Simulate runs one seed: a time of faults, then a time in which all must come to
// rest and everybody get on. Everything is checked all the time. breakage is Sound,
// or the mistake that is to be found. out, if not nil, receives every step.
func Simulate(seed int64, breakage Break, out io.Writer) (res Result) {
	s := &sim{
		seed: seed, rnd: rand.New(rand.NewPCG(uint64(seed), 0)), breakage: breakage, //nolint:gosec // replayable on purpose
		trace:  trace{hash: hashStart, out: out},
		result: Result{Seed: seed, Syncs: map[string]int{}, Done: map[string]int{}},
	}
	s.init()
	defer func() {
		if p := recover(); p != nil {
			if out != nil {
				panic(p)
			}
			s.fault("panic: %v", p)
		}
		s.closeAll()
		r := &s.result
		r.Hash, r.Faults, r.Crashes = s.hash, s.faults_, s.crashes
		r.Committed, r.Epochs = len(s.oracle.commits), len(s.leaders)
		res = *r
	}()
	s.setUp()
	for s.now < s.plan.chaos && s.run() {
	}
	if !s.stopped {
		s.heal()
	}
	return res
}

// run lets the next thing happen. It is false at the end, or after a fault.
func (s *sim) run() bool {
	do := s.next()
	if do == nil || s.stopped {
		return false
	}
	s.result.Events++
	s.mix(s.now)
	do()
	return !s.stopped
}

// closeAll gives back the memory of the trees.
func (s *sim) closeAll() {
	for _, m := range s.machines {
		if p := m.proc; p != nil {
			_ = p.tree.Close()
			if p.installed != nil {
				_ = p.installed.Close()
			}
		}
	}
	if s.oracle != nil {
		_ = s.oracle.tree.Close()
	}
}

func (s *sim) chance(p float64) bool { return p > 0 && s.rnd.Float64() < p }

// upTo draws a time.
func (s *sim) upTo(d int64) int64 {
	if d <= 0 {
		return 0
	}
	return s.rnd.Int64N(d + 1)
}

// latency draws how long a message takes.
func (s *sim) latency(int, int) int64 {
	p := &s.plan
	if s.chance(0.01) {
		return p.latencyMin + s.rnd.Int64N(p.latencyRare-p.latencyMin+1)
	}
	return p.latencyMin + s.rnd.Int64N(p.latencyMax-p.latencyMin+1)
}

// syncTime draws how long a sync takes.
func (s *sim) syncTime(m *machine) int64 {
	return max(0, m.stalledUntil-s.now) + int64(float64(50+s.upTo(s.plan.syncMax))*m.syncFactor)
}

func (s *sim) paused(place int) bool { return s.pausedUntil[place] > s.now }

func (s *sim) machine(id int64) *machine {
	if id < 1 || id > int64(len(s.machines)) {
		return nil
	}
	return s.machines[id-1]
}

// String is for failures.
func (r Result) String() string {
	return fmt.Sprintf("seed %d: %d events, %d committed, %d epochs, %d crashes, %d answers, faults %q",
		r.Seed, r.Events, r.Committed, r.Epochs, r.Crashes, r.Answers, r.Faults)
}
