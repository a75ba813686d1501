package sim

import (
	"fmt"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
	"github.com/quorate/quorate/znode"
)

// plan is what one seed draws before anything happens. Rates are per second of
// simulated time, for each thing that they may befall.
type plan struct {
	voters, observers, clients int
	chaos                      int64 // how long faults go on

	// The network. Latencies are in us.
	latencyMin, latencyMax, latencyRare int64
	connectTimeout, snapshotMax         int64
	repeat                              float64 // chance that a notification comes twice
	split                               float64 // chance that a piece of a stream comes in two
	reset, resetClient, resetVotes      float64
	part, heal                          float64

	// The servers.
	crash, crashMidSync, wipe, failDisk, stallDisk, stallLoop, stallReaders, pause, jump, drift, handOver float64
	restartMax, syncMax, loopMax, newsMax                                                                 int64
	checkpoint, note, purge                                                                               float64 // chances
	eachInput, lateSnapshots, recycle                                                                     bool
	treeBytes                                                                                             int64
	member                                                                                                replica.MemberOptions
	replica                                                                                               replica.Options
	core                                                                                                  zab.Config
	java                                                                                                  map[int64]zab.LearnerOptions

	// The clients.
	killClient, pauseClient float64
	thinkMax                int64
	window                  int
	timeoutMin, timeoutMax  int32
}

// draw makes the plan of a seed.
func (s *sim) draw() {
	p := &s.plan
	f := s.rnd.Float64
	rare := func() float64 { x := f(); return x * x * x } // some seeds see much of it, most little
	p.voters, p.observers = [10]int{1, 2, 3, 3, 3, 3, 3, 3, 5, 4}[s.rnd.IntN(10)], 0
	if s.chance(0.4) {
		p.observers = 1 + s.rnd.IntN(2)
	}
	p.clients = 1 + s.rnd.IntN(5)
	p.chaos = (4 + s.rnd.Int64N(12)) * second
	s.drawNetwork(f, rare)
	s.drawServers(f, rare)
	s.drawOptions()
	p.killClient, p.pauseClient = 0.05*rare(), 0.1*rare()
	p.thinkMax = 20*millisecond + int64(600*f()*f())*millisecond
	p.window = 1 + s.rnd.IntN(6)
	p.timeoutMin, p.timeoutMax = 800, 800+int32(s.rnd.IntN(4000)) //nolint:gosec // small
	if s.chance(0.25) {                                           // partitions that last, and little else
		p.crash, p.reset, p.handOver, p.failDisk = 0.1*p.crash, 0.1*p.reset, 0, 0
		p.part, p.heal = 0.2+0.3*f(), 0.2+0.4*f()
	}
	if s.chance(0.1) { // a calm sea: what goes wrong then is nobody's fault
		p.wipe, p.stallReaders = 0, 0
		p.crash, p.crashMidSync, p.reset, p.resetClient, p.resetVotes, p.part = 0, 0, 0, 0, 0, 0
		p.failDisk, p.stallDisk, p.stallLoop, p.pause, p.handOver, p.killClient, p.pauseClient = 0, 0, 0, 0, 0, 0, 0
	}
}

func (s *sim) drawNetwork(f, rare func() float64) {
	p := &s.plan
	p.latencyMin = 50 + s.rnd.Int64N(1000)
	p.latencyMax = p.latencyMin + 100 + int64(20_000*rare())
	p.latencyRare = p.latencyMax + int64(200_000*rare())
	p.connectTimeout, p.snapshotMax = 200*millisecond+s.upTo(600*millisecond), 5*millisecond+int64(1_500_000*rare())
	p.repeat, p.split = 0.2*rare(), 0.3*rare()
	p.reset, p.resetClient, p.resetVotes = 0.3*rare(), 0.5*rare(), 0.5*rare()
	p.part, p.heal = 0.4*rare(), 0.2+2*f()
}

func (s *sim) drawServers(f, rare func() float64) {
	p := &s.plan
	p.crash, p.crashMidSync = 0.4*rare(), 20*rare()
	p.failDisk, p.stallDisk, p.stallLoop, p.pause = 0.03*rare(), 0.2*rare(), 0.2*rare(), 0.15*rare()
	p.stallReaders = 0.1 * rare()
	p.jump, p.drift, p.handOver, p.wipe = 0.2*f(), 0.1*f(), 0.1*rare(), 0.1*rare()
	p.restartMax = 100*millisecond + int64(3000*f())*millisecond
	p.syncMax = 200 + int64(30_000*rare())
	p.loopMax, p.newsMax = int64(2000*rare()), int64(2000*rare())
	p.checkpoint, p.note, p.purge = 0.02*f(), 0.1*rare(), f()
	p.eachInput, p.lateSnapshots, p.recycle = s.chance(0.5), s.chance(0.5), s.chance(0.5)
	if s.chance(0.15) {
		p.treeBytes = 2000 + s.rnd.Int64N(4000)
	}
}

// drawOptions draws the settings of the servers.
func (s *sim) drawOptions() {
	p := &s.plan
	p.member = replica.MemberOptions{HoldMillis: 100 + s.rnd.Int64N(4000), NoLeaderServes: p.voters+p.observers > 1 && s.chance(0.1)}
	p.replica = replica.Options{
		TickMillis: 100 + s.rnd.Int64N(400), StepMillis: coreTick / millisecond, SessionMillisMin: 500, SessionMillisMax: 8000, OversizedBytesMax: 1 << 20,
		Rules: s.rules, Member: true, ReapMillis: 200 + s.rnd.Int64N(1000), LinearizableReads: s.chance(0.15),
		NeverUsedMillis: 2000, QueueLimit: 2 + s.rnd.IntN(100),
	}
	if s.chance(0.2) {
		p.replica.LocalSessions, p.replica.LocalUpgrade = true, s.chance(0.7)
	}
	if s.chance(0.25) {
		p.member.ReadOnlyMillis = 100 + s.rnd.Int64N(1000)
	}
	p.core = zab.Config{
		FinalizeWaitTicks: 2, NotifyMinTicks: 3, NotifyMaxTicks: 40, ConnectRetryTicks: 2, InitLimitTicks: 60,
		SyncLimitTicks: 30 + s.rnd.IntN(60), PingTicks: 5, HandOverTicks: 20,
		WindowTxns: 1 + s.rnd.IntN(20), HeldTxnsMax: 40, DiffTxnsMax: 1 + s.rnd.IntN(60), OutstandingMax: 2 + s.rnd.IntN(40),
	}
	if s.chance(0.2) {
		p.core.DiffTxnsMax = -1
	}
	if s.chance(0.15) {
		p.core.EpochTxnsMax = uint32(10 + s.rnd.IntN(60)) //nolint:gosec // small
		s.shortEpochs = true
	}
	p.java = map[int64]zab.LearnerOptions{}
	for id := range int64(p.voters + p.observers) {
		p.java[id+1] = zab.LearnerOptions{SnapForTrunc: s.chance(0.25)}
	}
}

// setUp builds the world of the plan.
func (s *sim) setUp() {
	auth, err := znode.NewAuth(znode.AuthConfig{})
	if err != nil {
		panic(err)
	}
	s.rules = znode.Rules{Digest: true, Auth: auth, Kinds: znode.OwnerKinds{Extended: true}}
	s.draw()
	n, all := s.plan.voters+s.plan.observers, s.plan.voters+s.plan.observers+clientsMax
	s.blocked, s.pausedUntil = make([][]bool, all), make([]int64, all)
	for i := range s.blocked {
		s.blocked[i] = make([]bool, all)
	}
	var voters []int64
	for i := range n {
		m := &machine{s: s, place: i, id: int64(i + 1), observer: i >= s.plan.voters, disk: newDisk(), pace: 1, syncFactor: 1}
		if !m.observer {
			voters = append(voters, m.id)
		}
		if s.chance(0.2) {
			m.syncFactor = 1 + 20*s.rnd.Float64()
		}
		if s.chance(0.3) {
			m.pace = s.drawPace()
		}
		s.machines = append(s.machines, m)
	}
	s.quorum = s.drawQuorum(voters)
	s.drawBlank()
	s.makeLinks()
	s.oracle = newOracle(s)
	s.say("%d voters, %d observers, %d clients: %s", s.plan.voters, s.plan.observers, s.plan.clients, fmt.Sprintf("%+v", s.plan))
	for _, m := range s.machines {
		s.after(s.upTo(200*millisecond), m.start)
	}
	for range s.plan.clients {
		s.newClient()
	}
	s.after(s.upTo(faultStep), s.faults)
}

// drawQuorum draws what a quorum of the voters is: mostly a majority, else groups and
// weights.
func (s *sim) drawQuorum(voters []int64) quorum.Verifier {
	if len(voters) < 3 || !s.chance(0.2) {
		return quorum.NewMajority(voters...)
	}
	groups, weights := map[int64][]int64{}, map[int64]int64{}
	n := 1 + s.rnd.Int64N(3)
	for _, id := range voters {
		g := s.rnd.Int64N(n)
		groups[g] = append(groups[g], id)
		if s.chance(0.5) {
			weights[id] = s.rnd.Int64N(4)
		}
	}
	h, err := quorum.NewHierarchical(groups, weights)
	if err != nil { // nobody has any weight
		return quorum.NewMajority(voters...)
	}
	s.say("groups %v, weights %v", groups, weights)
	return h
}

// drawBlank has a voter begin blank sometimes, if the others can do without its vote.
func (s *sim) drawBlank() {
	if m := s.machines[s.rnd.IntN(s.plan.voters)]; s.chance(0.05) && m.mayBeWiped() {
		m.lose()
	}
}

func (s *sim) drawPace() float64 { return 0.6 + 0.8*s.rnd.Float64() }

// coreConfig is the configuration of one server's core, without Boot.
func (s *sim) coreConfig(p *process) zab.Config {
	c := s.plan.core
	c.ID, c.Observer, c.Rand = p.m.id, p.m.observer, intn{s}
	c.Ensemble = zab.Ensemble{Quorum: s.voters(p), Text: []byte("text")}
	for _, m := range s.machines {
		if m.observer {
			c.Ensemble.Observers = append(c.Ensemble.Observers, m.id)
		}
	}
	c.Learners = s.plan.java
	return c
}

func (s *sim) replicaOptions(m *machine, tree *znode.Tree) replica.Options {
	o := s.plan.replica
	o.Tree, o.ServerID = tree, m.id
	return o
}

// intn is the core's source of randomness.
type intn struct{ s *sim }

// Intn implements [zab.Rand].
func (r intn) Intn(n int) int { return r.s.rnd.IntN(n) }
