package zabtest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
)

// TestTraces runs the stories of zab/testdata. -rewrite writes what happens into them; review the difference.
//
// Servers are named by sid, zxids written epoch.counter. After each command the checks of the simulation run; a broken
// one shows as FAULT. Commands:
//
//	cluster voters=1,2,3 [observers=4] [script=3] [java=2] [window=4] [diff=100] [epoch-txns=9] [groups=1:2,3:4]
//	       [outstanding=100] [outstanding-bytes=n] [held-bytes=n] [diff-bytes=n] [strangers=5] [junk=x]
//	       the servers; script: played by the trace; java: treated as Java followers by leaders; strangers: observers
//	       that nobody has configured; junk: data that is no transaction
//	start | restart 1 2       start processes on what their disks hold; blank: without permission to vote
//	crash 1 [keep=k]          end a process; of its unsynced writes only the first k survive
//	stabilize [ticks=n]       let everything arrive and be synced, and n ticks pass
//	tick 1 2 [n=5]            let time pass at some servers
//	deliver from=1 to=2 [n=k] let k packets of the connection arrive (default: all)
//	votes [from=1] [to=2]     let notifications arrive
//	connect 1                 let the connection that 1 was ordered to make stand, or fail
//	lose                      lose all notifications on their way
//	cut 1 2 | sever 1 2       break the connections between two; sever: with all that is on its way
//	block 1 2 | heal          nothing passes from 1 to 2 | everything passes
//	split 1 | 2 3             two sides between which nothing passes
//	propose 1 a b | sync 1    clients
//	hold-disk 1 | free-disk 1 stabilize does not sync this disk | does again
//	sync-disk 1 [n=k]         sync the first k writes
//	fail-disk 1 | hand-over 1 | checkpoint 1 [purge]
//	dial from=3 to=1 | say from=3 to=1 TYPE [zxid=] [epoch=] [data=] [config=] [state= leader= vote= round=]
//	state | disk 1
//
// Where the network loses an attempt to connect, the transport says so first if the command has the word unanswered.
//
// Any command takes level=0 (roles only), 1 (default: and what is applied), 2 (and packets and disk), 3 (and votes).
func TestTraces(t *testing.T) {
	datadriven.Walk(t, "../testdata", func(t *testing.T, path string) {
		s := &story{}
		datadriven.RunTest(t, path, s.run)
		if s.Cluster == nil {
			t.Errorf("%s tells no story", path)
		}
	})
}

type story struct {
	*Cluster
	held  map[int64]bool
	lines []string
	level int
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	s.lines, s.level = nil, 1
	if d.HasArg("level") {
		d.ScanArgs(t, "level", &s.level)
	}
	if s.Cluster == nil && d.Cmd != "cluster" {
		t.Fatalf("%s: the first command is cluster", d.Pos)
	}
	do, ok := commands[d.Cmd]
	if !ok {
		t.Fatalf("%s: no command %q", d.Pos, d.Cmd)
	}
	if s.Cluster != nil {
		s.tells = func() bool { return d.HasArg("unanswered") }
	}
	do(s, args{t, d})
	s.Checker.everyStep(s.Cluster)
	for _, f := range s.Checker.faults {
		s.lines = append(s.lines, "FAULT "+f)
	}
	s.Checker.faults = nil
	if len(s.lines) == 0 {
		return "ok"
	}
	return strings.Join(s.lines, "\n")
}

func (s *story) print(format string, args ...any) {
	s.lines = append(s.lines, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

// args reads the arguments of one command.
type args struct {
	t *testing.T
	d *datadriven.TestData
}

func (a args) number(key string, def int) int {
	if a.d.HasArg(key) {
		a.d.ScanArgs(a.t, key, &def)
	}
	return def
}

func (a args) text(key string) string {
	for _, arg := range a.d.CmdArgs {
		if arg.Key == key && len(arg.Vals) > 0 {
			return strings.Join(arg.Vals, ",")
		}
	}
	return ""
}

// ids reads a list like 1,2,3.
func (a args) ids(key string) (out []int64) {
	for _, f := range strings.FieldsFunc(a.text(key), func(r rune) bool { return r == ',' || r == ' ' }) {
		out = append(out, a.id(f))
	}
	return out
}

func (a args) id(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		a.t.Fatalf("%s: %q is no sid", a.d.Pos, s)
	}
	return n
}

// zxid reads epoch.counter or a plain number.
func (a args) zxid(key string) int64 {
	v := a.text(key)
	e, c, ok := strings.Cut(v, ".")
	if !ok {
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	}
	return zab.MakeZxid(a.id(e), uint32(a.id(c)))
}

// words are the arguments without a value.
func (a args) words() (out []string) {
	for _, arg := range a.d.CmdArgs {
		if len(arg.Vals) == 0 {
			out = append(out, arg.Key)
		}
	}
	return out
}

// servers are the words that are sids; none means all.
func (s *story) servers(a args) (out []*node) {
	for _, w := range a.words() {
		if _, err := strconv.Atoi(w); err == nil {
			out = append(out, s.node(a.id(w)))
		}
	}
	if len(out) == 0 {
		return s.nodes
	}
	return out
}

var commands = map[string]func(*story, args){
	"cluster": (*story).cluster, "start": (*story).startAll, "restart": (*story).startAll, "crash": (*story).crashAll,
	"stabilize": (*story).stabilize, "tick": (*story).tickAll, "deliver": (*story).deliverSome, "votes": (*story).votes,
	"connect": (*story).connect, "lose": (*story).lose, "cut": (*story).cut, "sever": (*story).cut,
	"block": (*story).block, "split": (*story).split, "heal": (*story).heal, "propose": (*story).proposeAll,
	"sync": (*story).syncAll, "hold-disk": (*story).holdDisk, "free-disk": (*story).freeDisk,
	"sync-disk": (*story).syncDisks, "fail-disk": (*story).failDisk, "hand-over": (*story).handOver,
	"checkpoint": (*story).checkpoints, "dial": (*story).dialScripted, "say": (*story).sayScripted,
	"state": (*story).printState, "disk": (*story).printDisk,
}

func (s *story) cluster(a args) {
	var q quorum.Verifier = quorum.NewMajority(a.ids("voters")...)
	if g := a.text("groups"); g != "" {
		groups := map[int64][]int64{}
		for i, members := range strings.Split(g, ":") {
			for _, m := range strings.FieldsFunc(members, func(r rune) bool { return r == ',' || r == ' ' }) {
				groups[int64(i)] = append(groups[int64(i)], a.id(m))
			}
		}
		h, err := quorum.NewHierarchical(groups, nil)
		if err != nil {
			a.t.Fatal(err)
		}
		q = h
	}
	java := map[int64]zab.LearnerOptions{}
	for _, id := range a.ids("java") {
		java[id] = zab.LearnerOptions{SnapForTrunc: true}
	}
	window, diff, epochTxns, outstanding := a.number("window", 4), a.number("diff", 100), a.number("epoch-txns", 0), a.number("outstanding", 100)
	outstandingBytes, heldBytes, diffBytes := a.number("outstanding-bytes", 0), a.number("held-bytes", 0), a.number("diff-bytes", 0)
	strangers, junk := a.ids("strangers"), a.text("junk")
	observers := append(a.ids("observers"), strangers...)
	s.Cluster = NewCluster(q, observers, func(c *zab.Config) {
		c.FinalizeWaitTicks, c.NotifyMinTicks, c.NotifyMaxTicks = 2, 3, 20
		c.ConnectRetryTicks, c.InitLimitTicks, c.SyncLimitTicks, c.PingTicks, c.HandOverTicks = 2, 30, 15, 5, 10
		c.WindowTxns, c.DiffTxnsMax, c.EpochTxnsMax, c.OutstandingMax = window, diff, uint32(epochTxns), outstanding
		c.OutstandingBytesMax, c.HeldBytesMax, c.DiffBytesMax = outstandingBytes, heldBytes, diffBytes
		c.Learners = java
		c.Ensemble.Observers = slices.DeleteFunc(slices.Clone(observers), func(id int64) bool { return slices.Contains(strangers, id) })
		if junk != "" {
			c.Check = func(e zab.Entry) error {
				if string(e.Data) == junk {
					return errors.New("junk")
				}
				return nil
			}
		}
	})
	for _, id := range a.ids("script") {
		s.node(id).scripted = true
		s.Checker.scripted = true
	}
	s.held = map[int64]bool{}
	s.say = func(level int, format string, args ...any) {
		if level <= s.level {
			s.print(format, args...)
		}
	}
}

func (s *story) startAll(a args) {
	for _, n := range s.servers(a) {
		if n.scripted {
			continue
		}
		n.blank = slices.Contains(a.words(), "blank")
		if err := s.start(n, nil); err != nil {
			s.print("%d does not start: %v", n.id, err)
		}
	}
}

func (s *story) crashAll(a args) {
	for _, n := range s.servers(a) {
		s.crash(n, min(a.number("keep", 0), len(n.disk.orders)), 0)
	}
}

func (s *story) stabilize(a args) {
	ticks := a.number("ticks", 0)
	for {
		for s.quiesce() {
		}
		if ticks == 0 {
			return
		}
		ticks--
		for _, n := range s.nodes {
			s.tick(n)
		}
	}
}

// quiesce lets everything that can happen without time happen once.
func (s *story) quiesce() (progress bool) {
	for _, n := range s.nodes {
		for n.core != nil && len(n.dials) > 0 {
			s.dialNext(n)
			progress = true
		}
	}
	for range len(s.net.ballots) {
		s.deliverBallot(0, false)
		progress = true
	}
	for _, k := range slices.Clone(s.net.conns) {
		for side := range k.ends {
			for n := len(k.ends[side].inbox); s.ready(k, side); n-- {
				s.deliverConn(k, side, 0)
				progress = true
				if n <= 0 {
					break
				}
			}
		}
	}
	for _, n := range s.nodes {
		if !s.held[n.id] && n.core != nil && len(n.disk.orders) > 0 && !n.failed {
			s.syncDisk(n, len(n.disk.orders))
			progress = true
		}
	}
	return progress
}

func (s *story) tickAll(a args) {
	for range a.number("n", 1) {
		for _, n := range s.servers(a) {
			s.tick(n)
		}
	}
}

func (s *story) deliverSome(a args) {
	s.level = max(s.level, 2)
	from, to := int64(a.number("from", 0)), int64(a.number("to", 0))
	left := a.number("n", 1000)
	for _, k := range slices.Clone(s.net.conns) {
		for side := range k.ends {
			if k.ends[side].sid != to || k.ends[1-side].sid != from {
				continue
			}
			for ; left > 0 && s.ready(k, side); left-- {
				s.deliverConn(k, side, 0)
			}
		}
	}
}

func (s *story) votes(a args) {
	s.level = max(s.level, 3)
	from, to := int64(a.number("from", 0)), int64(a.number("to", 0))
	for i := 0; i < len(s.net.ballots); {
		if b := s.net.ballots[i]; from != 0 && b.From != from || to != 0 && b.To != to {
			i++
			continue
		}
		s.deliverBallot(i, false)
	}
}

func (s *story) connect(a args) {
	for _, n := range s.servers(a) {
		for n.core != nil && len(n.dials) > 0 {
			s.dialNext(n)
		}
	}
}

func (s *story) lose(args) { s.net.ballots = nil }

func (s *story) cut(a args) {
	w := s.servers(a)
	for _, k := range s.net.conns {
		if x, y := k.ends[0].sid, k.ends[1].sid; x == w[0].id && y == w[1].id || x == w[1].id && y == w[0].id {
			keep := [2]int{1000, 1000}
			if a.d.Cmd == "sever" {
				keep = [2]int{}
			}
			k.cutAfter(keep)
		}
	}
}

func (s *story) block(a args) {
	w := s.servers(a)
	s.net.blocked[[2]int64{w[0].id, w[1].id}] = true
}

func (s *story) split(a args) {
	w := a.words()
	i := slices.Index(w, "|")
	for _, x := range w[:i] {
		for _, y := range w[i+1:] {
			s.net.blocked[[2]int64{a.id(x), a.id(y)}] = true
			s.net.blocked[[2]int64{a.id(y), a.id(x)}] = true
		}
	}
}

func (s *story) heal(args) { clear(s.net.blocked) }

func (s *story) proposeAll(a args) {
	w := a.words()
	for _, data := range w[1:] {
		s.request(s.node(a.id(w[0])), data)
	}
}

func (s *story) syncAll(a args) {
	for _, n := range s.servers(a) {
		s.sync(n)
	}
}

func (s *story) holdDisk(a args) {
	for _, n := range s.servers(a) {
		s.held[n.id] = true
	}
}

func (s *story) freeDisk(a args) {
	for _, n := range s.servers(a) {
		delete(s.held, n.id)
	}
}

func (s *story) syncDisks(a args) {
	s.level = max(s.level, 2)
	for _, n := range s.servers(a) {
		s.syncDisk(n, a.number("n", 1000))
	}
}

func (s *story) failDisk(a args) {
	for _, n := range s.servers(a) {
		n.failed = true
		n.core.DiskFailed()
		s.handle(n)
	}
}

func (s *story) handOver(a args) {
	for _, n := range s.servers(a) {
		if err := n.core.HandOver(); err != nil {
			s.print("%d: %v", n.id, err)
		}
		s.handle(n)
	}
}

func (s *story) checkpoints(a args) {
	for _, n := range s.servers(a) {
		s.checkpoint(n, slices.Contains(a.words(), "purge"))
	}
}

// dialScripted makes a connection from a scripted server.
func (s *story) dialScripted(a args) {
	s.net.dial(int64(a.number("from", 0)), int64(a.number("to", 0)))
}

// sayScripted sends one message of a scripted server, on its newest connection with the receiver.
func (s *story) sayScripted(a args) {
	from, to := int64(a.number("from", 0)), int64(a.number("to", 0))
	m := zab.Message{
		From: from, To: to, Zxid: a.zxid("zxid"), Epoch: int64(a.number("epoch", 0)), ConfigVersion: a.zxid("config"),
		Data: []byte(a.text("data")),
	}
	name := a.words()[0]
	m.Type = zab.Type(255)
	for i := range zab.Type(26) {
		if i.String() == name {
			m.Type = i
		}
	}
	if m.Type == zab.Notification {
		m.State = map[string]zab.Role{"LOOKING": zab.Looking, "FOLLOWING": zab.Following, "LEADING": zab.Leading}[a.text("state")]
		m.Vote = zab.Vote{Leader: int64(a.number("leader", 0)), Zxid: a.zxid("vote"), PeerEpoch: m.Epoch}
		m.Round, m.Format = int64(a.number("round", 0)), int32(a.number("format", 2))
		s.net.ballots = append(s.net.ballots, parcel{Message: m})
		s.deliverBallot(len(s.net.ballots)-1, false)
		return
	}
	var p parcel
	switch m.Type {
	case zab.Proposal, zab.Inform:
		if _, ok := s.Checker.proposed[m.Zxid]; !ok {
			s.Checker.proposed[m.Zxid] = string(m.Data)
		}
	case zab.Snap: // data is the history: 1.1=a 1.2=b
		for _, e := range strings.FieldsFunc(a.text("data"), func(r rune) bool { return r == ',' || r == ' ' }) {
			z, data, _ := strings.Cut(e, ":")
			epoch, counter, _ := strings.Cut(z, ".")
			p.snap = append(p.snap, zab.Entry{Zxid: zab.MakeZxid(a.id(epoch), uint32(a.id(counter))), Data: []byte(data)})
		}
		m.Data = nil
	default:
	}
	for _, k := range slices.Backward(s.net.conns) {
		if own, other := k.split(from); own.sid == from && other.sid == to {
			m.Conn = k.id
			p.Message = m
			other.inbox = append(other.inbox, p)
			s.deliverConn(k, k.side(to), len(other.inbox)-1)
			return
		}
	}
	a.t.Fatalf("%s: no connection between %d and %d", a.d.Pos, from, to)
}

func (s *story) printState(a args) {
	for _, n := range s.servers(a) {
		if !n.scripted {
			s.print("%s", n.state())
		}
	}
}

func (s *story) printDisk(a args) {
	for _, n := range s.servers(a) {
		d := &n.disk.synced
		mark := ""
		if d.mark {
			mark = ", sync mark"
		}
		s.print("%d: accepted e%d, current e%d%s, snapshot %s (%s), log %s", n.id, d.accepted, d.current, mark, short(d.stamp), entries(d.snap), entries(d.log))
		for _, o := range n.disk.orders {
			s.print("   unsynced %s", write(o.Write))
		}
	}
}
