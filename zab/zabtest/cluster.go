package zabtest

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/quorum"
)

// Break is a mistake made on purpose, to see that the checks find it.
type Break int

// The mistakes. Each is what the name says in the hands of the runtime or of the quorum arithmetic, which are what
// the core relies on; the core itself has no switch.
const (
	Sound Break = iota
	// AckBeforeSync lets messages leave that should wait for a write.
	AckBeforeSync
	// LyingDisk calls every write durable at once.
	LyingDisk
	// CommitWithoutQuorum lets an established leader take any single server for a quorum.
	CommitWithoutQuorum
	// EpochBeforeLog puts currentEpoch on disk before the data it vouches for.
	EpochBeforeLog
	// NoSyncMark forgets the mark that is left before the data of a synchronization.
	NoSyncMark
	// LoseOrder delivers the messages of a connection in any order.
	LoseOrder
)

// Cluster is a set of servers, the network between them and their disks.
type Cluster struct {
	nodes    []*node // ascending by id
	voters   quorum.Verifier
	tune     func(*zab.Config)
	breakage Break
	net      network
	Checker  *Checker
	say      func(level int, format string, args ...any)
	joined   func(how string) // a learner was synchronized that way
	tells    func() bool      // whether a transport notices that nothing it sends is answered
}

// node is one server: its disk outlives its process.
type node struct {
	id       int64
	observer bool
	blank    bool
	scripted bool // played by the trace: receives, and says what it is told to
	core     *zab.Core
	disk     disk
	delayed  []zab.Delayed
	staged   map[zab.ConnID][]zab.Entry
	dials    []int64

	tree    []zab.Entry
	serving bool
	failed  bool
	// waiting syncs: how much must be visible when the answer comes
	syncs   map[uint64]int
	remote  []int // of forwarded sync requests, oldest first
	token   uint64
	numbers int // requests made
	lives   int // processes started

	match     int  // how many of the committed transactions are durable here
	matchVoid bool // match must be counted again
}

// laxQuorum is a Verifier that can be made to accept any server.
type laxQuorum struct {
	quorum.Verifier
	lax func() bool
}

// IsQuorum implements quorum.Verifier.
func (q laxQuorum) IsQuorum(in func(int64) bool) bool {
	return q.Verifier.IsQuorum(in) || q.lax() && slices.ContainsFunc(q.Voters(), in)
}

// NewCluster returns a cluster of processes that are not running. tune may change each server's Config.
func NewCluster(q quorum.Verifier, observers []int64, tune func(*zab.Config)) *Cluster {
	c := &Cluster{voters: q, tune: tune, Checker: newChecker(q), say: func(int, string, ...any) {}, joined: func(string) {}, tells: func() bool { return false }}
	c.net.init()
	for _, id := range q.Voters() {
		c.nodes = append(c.nodes, &node{id: id})
	}
	for _, id := range observers {
		c.nodes = append(c.nodes, &node{id: id, observer: true})
	}
	slices.SortFunc(c.nodes, func(a, b *node) int { return int(a.id - b.id) })
	return c
}

func (c *Cluster) node(id int64) *node {
	for _, n := range c.nodes {
		if n.id == id {
			return n
		}
	}
	panic(fmt.Sprintf("no server %d", id))
}

// start starts the process of n on its disk.
func (c *Cluster) start(n *node, rnd zab.Rand) error {
	q := c.voters
	if c.breakage == CommitWithoutQuorum {
		q = laxQuorum{q, func() bool {
			if n.core == nil {
				return false
			}
			s := n.core.Status()
			return s.Role == zab.Leading && s.Phase == zab.Broadcast
		}}
	}
	cfg := zab.Config{
		ID: n.id, Observer: n.observer, Ensemble: zab.Ensemble{Quorum: q}, Boot: n.disk.boot(), Rand: rnd,
	}
	for _, o := range c.nodes {
		if o.observer {
			cfg.Ensemble.Observers = append(cfg.Ensemble.Observers, o.id)
		}
	}
	cfg.Boot.Blank = n.blank && cfg.Boot.Base == 0 && len(cfg.Boot.Runs) == 0
	if c.tune != nil {
		c.tune(&cfg)
	}
	core, err := zab.New(cfg)
	if err != nil {
		return err
	}
	n.core, n.delayed, n.staged, n.dials, n.failed = core, nil, map[zab.ConnID][]zab.Entry{}, nil, false
	n.tree, n.serving = n.disk.synced.history(n.disk.synced.checkpoint), false
	n.syncs, n.remote = map[uint64]int{}, nil
	n.lives++
	c.handle(n)
	return nil
}

// crash ends the process of n at once. The disk keeps the first keep unsynced orders, and entries of the next.
func (c *Cluster) crash(n *node, keep, entries int) {
	n.core = nil
	n.serving = false
	n.disk.crash(keep, entries)
	n.matchVoid = true
	c.net.forget(n.id)
}

// step gives m to n and carries out what follows.
func (c *Cluster) step(n *node, m zab.Message) {
	if n.core == nil {
		return
	}
	n.core.Step(m)
	c.handle(n)
}

func (c *Cluster) tick(n *node) {
	if n.core != nil {
		n.core.Tick()
		c.handle(n)
	}
}

// syncDisk makes up to max orders of n durable and tells the core.
func (c *Cluster) syncDisk(n *node, maxOrders int) {
	if n.core == nil || n.failed {
		return
	}
	k := min(maxOrders, len(n.disk.orders))
	if k == 0 {
		return
	}
	for _, o := range n.disk.orders[:k] {
		if o.Kind == zab.WriteTruncate || o.Kind == zab.WriteInstall {
			n.matchVoid = true
		}
		c.say(2, "%d disk synced %s", n.id, write(o.Write))
	}
	seq := n.disk.sync(k)
	n.disk.cached.checkpoint = max(n.disk.cached.checkpoint, n.disk.synced.checkpoint)
	c.release(n, seq)
	n.core.Durable(seq)
	c.handle(n)
}

// release lets the messages go that waited for writes up to seq.
func (c *Cluster) release(n *node, seq uint64) {
	i := 0
	for ; i < len(n.delayed) && n.delayed[i].After <= seq; i++ {
		c.transmit(n, n.delayed[i].Message)
	}
	n.delayed = n.delayed[i:]
}

// checkpoint puts the tree at rest up to what is durable in the log, as the runtime does behind the requests. Only a
// serving server's tree is known committed.
func (c *Cluster) checkpoint(n *node, purge bool) {
	if !n.serving || len(n.tree) == 0 {
		return
	}
	z := min(n.tree[len(n.tree)-1].Zxid, n.disk.synced.last())
	if z <= n.disk.synced.checkpoint || z < n.disk.synced.stamp {
		return
	}
	n.disk.synced.checkpoint, n.disk.cached.checkpoint = z, z
	if purge && len(n.disk.orders) == 0 {
		n.disk.synced.purge(z)
		n.disk.cached = n.disk.synced.clone()
		n.core.Purged(z)
	}
}

// handle carries out Readys until there is nothing left to do.
func (c *Cluster) handle(n *node) {
	for n.core != nil && n.core.HasReady() {
		r := n.core.Ready()
		for _, e := range r.Events {
			c.sayEvent(n, e)
		}
		c.writeAll(n, r.Writes)
		for _, d := range r.Deliver {
			c.deliverUp(n, d)
		}
		for _, m := range r.Send {
			c.transmit(n, m)
		}
		for _, d := range r.SendAfterSync {
			if c.breakage == AckBeforeSync {
				c.transmit(n, d.Message)
				continue
			}
			n.delayed = append(n.delayed, d)
		}
		n.dials = append(n.dials, r.Connect...)
		for _, id := range r.Close {
			c.net.closeEnd(id, n.id)
		}
		n.core.Advance()
		if c.breakage == LyingDisk && len(r.Writes) > 0 {
			seq := r.Writes[len(r.Writes)-1].Seq
			c.release(n, seq)
			n.core.Durable(seq)
		}
	}
	c.Checker.everyStep(c)
}

// writeAll queues the writes of one Ready at the disk.
func (c *Cluster) writeAll(n *node, writes []zab.Write) {
	orders := make([]order, 0, len(writes))
	for _, w := range writes {
		c.say(2, "%d disk ordered %s", n.id, write(w))
		if w.Kind == zab.WriteInstall {
			snap := n.staged[w.Conn]
			n.tree = slices.Clone(snap)
			orders = append(orders, order{w, snap})
			continue
		}
		orders = append(orders, order{w, nil})
	}
	for _, o := range c.spoil(orders) {
		n.disk.write(o)
	}
}

// spoil makes the mistake of c with what is about to be written.
func (c *Cluster) spoil(orders []order) []order {
	var out []order
	for _, o := range orders {
		last := len(out) - 1
		switch {
		case c.breakage == NoSyncMark && o.Kind == zab.WriteSyncMark:
			o.Kind = zab.WriteAppend // of nothing
			out = append(out, o)
		case c.breakage == EpochBeforeLog && o.Kind == zab.WriteCurrentEpoch && last >= 0:
			o.Seq, out[last].Seq = out[last].Seq, o.Seq
			out = slices.Insert(out, last, o)
		default:
			out = append(out, o)
		}
	}
	return out
}

// deliverUp is the parts above the core: a tree that is a list, clients, and the leader's way with requests.
func (c *Cluster) deliverUp(n *node, d zab.Delivery) {
	switch d.Kind {
	case zab.DeliverCommit:
		c.Checker.onCommit(n, len(n.tree), d.Entry)
		n.tree = append(n.tree, d.Entry)
		c.say(1, "%d applies %s=%s", n.id, short(d.Entry.Zxid), d.Entry.Data)
	case zab.DeliverServe:
		n.serving = true
		c.Checker.onServe(n, n.core.Status())
		c.say(1, "%d serves at %s", n.id, short(d.Zxid))
	case zab.DeliverStop:
		n.serving = false
		n.syncs, n.remote = map[uint64]int{}, nil
		c.say(1, "%d stops serving", n.id)
	case zab.DeliverSynced:
		c.seen(n, n.syncs[d.Token], fmt.Sprintf("sync %d", d.Token))
		delete(n.syncs, d.Token)
	case zab.DeliverPacket:
		c.packetUp(n, d.Packet)
	}
}

func (c *Cluster) packetUp(n *node, m zab.Message) {
	switch m.Type {
	case zab.Request:
		if string(m.Data) == "sync" {
			_ = n.core.Sync(m.Conn, 0) // an error means that the asker is gone
			return
		}
		c.propose(n, string(m.Data))
	case zab.Revalidate:
		if n.core.Status().Role == zab.Leading {
			_ = n.core.Reply(m.Conn, append([]byte("valid "), m.Data...))
			return
		}
		c.say(1, "%d is answered %s", n.id, m.Data)
	case zab.Sync:
		if len(n.remote) == 0 {
			c.Checker.fault("sync: %d gets an answer it did not ask for", n.id)
			return
		}
		need := n.remote[0]
		n.remote = n.remote[1:]
		c.seen(n, need, "forwarded sync")
	default:
	}
}

// seen checks that a sync made everything visible that was committed when it was asked for.
func (c *Cluster) seen(n *node, need int, what string) {
	c.say(1, "%d has its answer to %s with %d applied", n.id, what, len(n.tree))
	if len(n.tree) < need {
		c.Checker.fault("linearizability: %s of %d sees %d of %d", what, n.id, len(n.tree), need)
	}
}

// propose proposes data at n, if n leads.
func (c *Cluster) propose(n *node, data string) {
	want := n.core.NextZxid()
	z, err := n.core.Propose([]byte(data))
	if err != nil {
		c.say(1, "%d refuses %s: %v", n.id, data, err)
		return
	}
	if z != want {
		c.Checker.fault("zxid: promised %s, proposed %s", short(want), short(z))
	}
	c.Checker.onPropose(n, z, data)
}

// request is a client's write at any serving server.
func (c *Cluster) request(n *node, data string) {
	if n.core == nil {
		return
	}
	if n.core.Status().Role == zab.Leading {
		c.propose(n, data)
	} else if err := n.core.Forward(zab.Request, []byte(data), nil); err != nil {
		c.say(1, "%d refuses %s: %v", n.id, data, err)
	}
	c.handle(n)
}

// sync is a client's sync at any serving server.
func (c *Cluster) sync(n *node) {
	if n.core == nil || !n.serving {
		return
	}
	need := len(c.Checker.committed)
	if n.core.Status().Role == zab.Leading {
		n.token++
		n.syncs[n.token] = need
		if n.core.Sync(0, n.token) != nil {
			delete(n.syncs, n.token)
		}
	} else if n.core.Forward(zab.Request, []byte("sync"), nil) == nil {
		n.remote = append(n.remote, need)
	}
	c.handle(n)
}

func (c *Cluster) sayEvent(n *node, e zab.Event) {
	switch e.Kind {
	case zab.EventRole:
		c.say(0, "%d is %s %s, leader %s: %s", n.id, e.Role, e.Phase, sid(e.Peer), e.Reason)
	case zab.EventLearnerJoined:
		c.joined(e.Reason)
		c.say(0, "%d let %d join by %s from %s", n.id, e.Peer, e.Reason, short(e.Zxid))
	case zab.EventLearnerDropped:
		c.say(0, "%d dropped %d: %s", n.id, e.Peer, e.Reason)
	case zab.EventIgnored:
		c.say(1, "%d ignores %s from %d: %s", n.id, short(e.Zxid), e.Peer, e.Reason)
	case zab.EventHandedOver:
		c.say(0, "%d handed over to %s", n.id, sid(e.Peer))
	case zab.EventConfigSeen:
		c.say(0, "%d saw a configuration of version %s at %d", n.id, short(e.Zxid), e.Peer)
	}
}
