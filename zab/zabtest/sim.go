package zabtest

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand"
	"slices"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
)

// Result is what one seed did.
type Result struct {
	Seed int64
	// Hash is of everything that happened, in order.
	Hash uint64
	// Steps, Committed, Epochs and Crashes say how much that was.
	Steps, Committed, Epochs, Crashes int
	// Syncs counts the ways in which learners were synchronized.
	Syncs map[string]int
	// Faults are the invariants that were broken; nil for a good run.
	Faults []string
}

// rates are the probabilities of one seed, drawn from it.
type rates struct {
	tick, lose, repeat, sync, crash, crashMidSync, cut, part, heal, propose, askSync, failDisk, purge, handOver float64
	burst                                                                                                       int
}

// sim is one run.
type sim struct {
	*Cluster
	rnd    *rand.Rand
	rates  rates
	slow   map[int64]float64 // chance that a slow disk does anything
	pace   map[int64]float64 // how much slower than others a clock runs
	result Result
	trace  io.Writer
	// shortEpochs: epochs end after a few transactions.
	shortEpochs bool
}

// chaosRounds is how long faults go on, calmRounds how long a healed cluster may take to be of one mind.
const (
	chaosRounds = 500
	calmRounds  = 3000
)

// Simulate runs one seed: a cluster and fault rates drawn from it, a time of chaos in which the invariants are checked
// after every step, then a healed time in which all servers must come to serve and to agree. breakage is Sound, or
// what is to be found. out, if not nil, receives every step.
func Simulate(seed int64, breakage Break, out io.Writer) (res Result) {
	s := &sim{rnd: rand.New(rand.NewSource(seed)), slow: map[int64]float64{}, pace: map[int64]float64{}} //nolint:gosec // replayable on purpose
	hash := fnv.New64a()
	s.result = Result{Seed: seed, Syncs: map[string]int{}}
	s.trace = hash
	if out != nil {
		s.trace = io.MultiWriter(hash, out)
	}
	defer func() {
		if p := recover(); p != nil {
			s.Checker.fault("panic: %v", p)
		}
		s.result.Faults = s.Checker.faults
		s.result.Hash = hash.Sum64()
		s.result.Committed, s.result.Epochs = len(s.Checker.committed), len(s.Checker.leaders)
		res = s.result
	}()
	s.setUp(breakage)
	for range chaosRounds {
		if s.round(); len(s.Checker.faults) > 0 {
			return s.result
		}
	}
	s.calm()
	return s.result
}

func (s *sim) chance(p float64) bool { return s.rnd.Float64() < p }

// setUp draws the cluster and the rates.
func (s *sim) setUp(breakage Break) {
	q, observers := s.drawEnsemble()
	java := map[int64]zab.LearnerOptions{}
	for _, id := range q.Voters() {
		if s.chance(0.25) {
			java[id] = zab.LearnerOptions{SnapForTrunc: true}
		}
	}
	epochTxns, diff, window := uint32(0), 30, 1+s.rnd.Intn(10)
	if s.chance(0.2) {
		epochTxns = uint32(3 + s.rnd.Intn(20)) //nolint:gosec // small
		s.shortEpochs = true
	}
	if s.chance(0.2) {
		diff = -1
	}
	s.Cluster = NewCluster(q, observers, func(c *zab.Config) {
		c.FinalizeWaitTicks, c.NotifyMinTicks, c.NotifyMaxTicks = 2, 3, 40
		c.ConnectRetryTicks, c.InitLimitTicks, c.SyncLimitTicks, c.PingTicks, c.HandOverTicks = 2, 60, 30, 5, 20
		c.WindowTxns, c.HeldTxnsMax, c.DiffTxnsMax, c.OutstandingMax = window, 40, diff, 20
		c.EpochTxnsMax, c.Learners = epochTxns, java
	})
	s.breakage = breakage
	s.tells = func() bool { return s.chance(0.7) }
	s.joined = func(how string) { s.result.Syncs[how]++ }
	s.say = func(_ int, format string, args ...any) {
		fmt.Fprintf(s.trace, format, args...)
		fmt.Fprintln(s.trace)
	}
	f := s.rnd.Float64
	rare := func() float64 { x := f(); return x * x * x } // some seeds see much of it, most little
	s.rates = rates{
		tick: 0.3 + 0.7*f(), lose: 0.2 * f(), repeat: 0.1 * f(), sync: 0.2 + 0.8*f(), crash: 0.05 * rare(), cut: 0.05 * rare(),
		crashMidSync: 0.3 * rare(), part: 0.03 * rare(), heal: 0.2 * rare(), propose: f(), askSync: 0.2 * f(), failDisk: 0.002 * f(), purge: 0.05 * f(),
		handOver: 0.01 * f(), burst: 1 + s.rnd.Intn(12),
	}
	if s.chance(0.3) { // few writes: most of the time nothing is outstanding
		s.rates.propose *= 0.1
	}
	if s.chance(0.3) { // partitions that last, and little else
		s.rates.crash, s.rates.cut, s.rates.handOver = 0.1*s.rates.crash, 0.1*s.rates.cut, 0
		s.rates.part, s.rates.heal = 0.005+0.02*f(), 0.005+0.02*f()
	}
	for _, n := range s.nodes {
		s.slow[n.id], s.pace[n.id] = 1, 1
		if s.chance(0.3) {
			s.pace[n.id] = 0.1 + 0.9*f()
		}
		if s.chance(0.3) {
			s.slow[n.id] = 0.02 + 0.3*f()
		}
		s.boot(n)
	}
}

// drawEnsemble draws the voters and their quorums, and observers.
func (s *sim) drawEnsemble() (quorum.Verifier, []int64) {
	var q quorum.Verifier
	switch n := s.rnd.Intn(10); {
	case n < 6:
		q = quorum.NewMajority(1, 2, 3)
	case n < 8:
		q = quorum.NewMajority(1, 2, 3, 4, 5)
	case n < 9:
		h, err := quorum.NewHierarchical(map[int64][]int64{1: {1, 2, 3}, 2: {4, 5}, 3: {6}}, map[int64]int64{3: 0, 4: 2})
		if err != nil {
			panic(err)
		}
		q = h
	default:
		q = quorum.Both(quorum.NewMajority(1, 2, 3), quorum.NewMajority(2, 3, 4, 5))
	}
	var observers []int64
	for i := range s.rnd.Intn(3) {
		observers = append(observers, int64(7+i))
	}
	return q, observers
}

func (s *sim) boot(n *node) {
	if err := s.start(n, s.rnd); err != nil {
		s.Checker.fault("start of %d: %v", n.id, err)
	}
}

// round is one stretch of time: faults, clients, ticks, disks, deliveries.
func (s *sim) round() {
	s.faults()
	s.clients()
	for _, n := range s.nodes {
		if s.chance(s.rates.tick * s.pace[n.id]) {
			s.tick(n)
		}
		if s.chance(s.rates.sync * s.slow[n.id]) {
			s.syncDisk(n, 1+s.rnd.Intn(8))
		}
	}
	for range s.rates.burst * len(s.nodes) {
		s.deliver(s.rates.lose, s.rates.repeat)
	}
	s.result.Steps++
}

// faults breaks things, and mends some.
func (s *sim) faults() {
	for _, n := range s.nodes {
		switch {
		case n.core == nil:
			if s.chance(0.1) {
				fmt.Fprintf(s.trace, "restart %d\n", n.id)
				s.boot(n)
			}
		case s.chance(s.rates.crash) || n.failed && s.chance(0.1) || n.midSync() && s.chance(s.rates.crashMidSync):
			s.result.Crashes++
			keep := s.rnd.Intn(len(n.disk.orders) + 1)
			fmt.Fprintf(s.trace, "crash %d keep %d of %d\n", n.id, keep, len(n.disk.orders))
			s.crash(n, keep, s.rnd.Intn(3))
		case s.chance(s.rates.failDisk):
			fmt.Fprintf(s.trace, "disk of %d fails\n", n.id)
			n.failed = true
			n.core.DiskFailed()
			s.handle(n)
		case s.chance(s.rates.handOver):
			if n.core.HandOver() == nil {
				fmt.Fprintf(s.trace, "hand over %d\n", n.id)
			}
			s.handle(n)
		case s.chance(s.rates.purge):
			s.checkpoint(n, s.chance(0.5))
		}
	}
	if len(s.net.conns) > 0 && s.chance(s.rates.cut) {
		k := s.net.conns[s.rnd.Intn(len(s.net.conns))]
		k.cutAfter([2]int{s.rnd.Intn(len(k.ends[0].inbox) + 1), s.rnd.Intn(len(k.ends[1].inbox) + 1)})
		fmt.Fprintf(s.trace, "cut %d-%d\n", k.ends[0].sid, k.ends[1].sid)
	}
	if s.chance(s.rates.part) {
		s.partition()
	}
	if len(s.net.blocked) > 0 && s.chance(s.rates.heal) {
		clear(s.net.blocked)
		fmt.Fprintln(s.trace, "heal")
	}
}

// midSync reports whether part of a synchronization waits for the disk: a moment at which a crash hurts, worth to be
// met more often than by chance.
func (n *node) midSync() bool {
	return slices.ContainsFunc(n.disk.orders, func(o order) bool {
		return o.Kind == zab.WriteInstall || o.Kind == zab.WriteTruncate || o.Kind == zab.WriteSyncMark
	})
}

// partition cuts the cluster in two, isolates one server, often one that leads, or blocks one direction only.
func (s *sim) partition() {
	if s.chance(0.7) {
		clear(s.net.blocked)
	}
	ids := s.rnd.Perm(len(s.nodes))
	cut := 1 + s.rnd.Intn(len(ids)-1)
	oneWay := s.chance(0.3)
	if s.chance(0.5) {
		cut = 1
		for i, id := range ids {
			if n := s.nodes[id]; n.core != nil && n.core.Status().Role == zab.Leading {
				ids[0], ids[i] = ids[i], ids[0]
			}
		}
	}
	for _, i := range ids[:cut] {
		for _, j := range ids[cut:] {
			a, b := s.nodes[i].id, s.nodes[j].id
			s.net.blocked[[2]int64{a, b}] = true
			if !oneWay {
				s.net.blocked[[2]int64{b, a}] = true
			}
		}
	}
	fmt.Fprintf(s.trace, "partition %v of %v one way %v\n", ids[:cut], ids, oneWay)
}

// clients writes and syncs at random servers. A client that lost its server counts on as another client.
func (s *sim) clients() {
	n := s.nodes[s.rnd.Intn(len(s.nodes))]
	if n.core == nil || !n.serving {
		return
	}
	if s.chance(s.rates.propose) {
		n.numbers++
		term := n.core.Status().CurrentEpoch
		s.request(n, fmt.Sprintf("c%d.%d.%d %d", n.id, n.lives, term, n.numbers))
	}
	if s.chance(s.rates.askSync) {
		s.sync(n)
	}
}

// deliver lets one thing arrive: a notification, a packet, the end of a connection, or a connection itself.
func (s *sim) deliver(lose, repeat float64) bool {
	type choice struct {
		k    *conn
		side int
	}
	var choices []choice
	for _, k := range s.net.conns {
		for side := range k.ends {
			if s.ready(k, side) {
				choices = append(choices, choice{k, side})
			}
		}
	}
	var dialling []*node
	for _, n := range s.nodes {
		if n.core != nil && len(n.dials) > 0 {
			dialling = append(dialling, n)
		}
	}
	ballots := len(s.net.ballots)
	total := ballots + len(choices) + len(dialling)
	if total == 0 {
		return false
	}
	switch i := s.rnd.Intn(total); {
	case i < ballots:
		if s.chance(repeat) {
			s.net.ballots = append(s.net.ballots, s.net.ballots[i])
		}
		s.deliverBallot(i, s.chance(lose))
	case i < ballots+len(choices):
		k := choices[i-ballots]
		at := 0
		if n := len(k.k.ends[k.side].inbox); s.breakage == LoseOrder && n > 0 {
			at = s.rnd.Intn(n)
		}
		s.deliverConn(k.k, k.side, at)
	default:
		s.dialNext(dialling[i-ballots-len(choices)])
	}
	return true
}

// calm heals everything and waits until all servers serve the same, new writes included.
func (s *sim) calm() {
	fmt.Fprintln(s.trace, "calm")
	clear(s.net.blocked)
	for _, n := range s.nodes {
		s.slow[n.id] = 1
		if n.failed {
			s.crash(n, len(n.disk.orders), 0)
		}
		if n.core == nil {
			s.boot(n)
		}
	}
	wrote := 0
	for r := 0; r < calmRounds && len(s.Checker.faults) == 0; r++ {
		s.result.Steps++
		for _, n := range s.nodes {
			s.tick(n)
			s.syncDisk(n, len(n.disk.orders))
		}
		for range 20 * len(s.nodes) {
			if !s.deliver(0, 0) {
				break
			}
		}
		if s.settled() {
			if wrote++; wrote > 3 {
				if !s.shortEpochs { // those end by themselves
					s.stay()
				}
				return
			}
			for _, n := range s.nodes {
				n.numbers++
				s.request(n, fmt.Sprintf("calm%d.%d %d", n.id, r, n.numbers))
				s.sync(n)
			}
		}
	}
	s.Checker.fault("liveness: the healed cluster does not settle: %s", s.state())
}

// stay checks that a healthy cluster stays as it is: nobody is dropped, nobody elects.
func (s *sim) stay() {
	epochs := len(s.Checker.leaders)
	for range 100 {
		for _, n := range s.nodes {
			s.tick(n)
			s.syncDisk(n, len(n.disk.orders))
		}
		for s.deliver(0, 0) {
		}
		if !s.settled() || len(s.Checker.leaders) != epochs {
			s.Checker.fault("liveness: a healthy cluster does not stay settled: %s", s.state())
			return
		}
	}
}

// settled reports whether all serve, and serve the same.
func (s *sim) settled() bool {
	for _, n := range s.nodes {
		if !n.serving || len(n.tree) != len(s.Checker.committed) || len(n.syncs)+len(n.remote) > 0 {
			return false
		}
	}
	for _, k := range s.net.conns {
		for _, e := range k.ends {
			if slices.ContainsFunc(e.inbox, func(p parcel) bool { return p.Type == zab.Request }) {
				return false
			}
		}
	}
	return true
}
