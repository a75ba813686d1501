package sim

import (
	"slices"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// process is a server that runs: the hands of a [replica.Member], as internal/server
// has them.
type process struct {
	s    *sim
	m    *machine
	dead bool

	mem  *replica.Member
	rep  *replica.Replica
	tree *znode.Tree

	// What waits for the loop.
	inbox      []zab.Message
	subs       []replica.Submission
	seq        uint64
	installed  *znode.Tree
	diskFailed bool
	handOver   bool // it is asked to
	ticked     bool
	planned    bool // a step is

	conns   []*qconn // in the order they were made
	staged  map[zab.ConnID]*snapshot
	delayed []zab.Delayed
	clients []*attached

	checkpoint *znode.Checkpoint
	barrier    uint64 // the checkpoint is written when this write is durable
	ordered    uint64 // the last write ordered
	noted      int64

	// The checker's.
	signs    map[int64]sign  // of sessions
	relayed  map[int64]sign  // that have come to a learner and may not have come here
	moved    map[int64]int64 // the servers to which sessions have gone, as the leader was told last
	leads    int64           // when it began to lead, by machine.ran
	checked  int             // entries that are applied and have been compared
	verified bool
	fuzzy    bool  // the tree came as a snapshot that may have held more than it said
	zxid     int64 // of the tree when it was looked at last
	serving  bool
}

// boot makes a server of what the disk holds.
func (p *process) boot() error {
	s, d := p.s, &p.m.disk
	tree, err := s.openTree(d.synced.rest)
	if err != nil {
		return err
	}
	if z := min(d.synced.noted, d.synced.last()); z > tree.LastZxid() {
		if err := replay(tree, d.synced.through(z)); err != nil {
			return err
		}
	}
	t := p.m.time()
	p.tree = tree
	o := s.replicaOptions(p.m, tree)
	o.Settle = p.readAll
	s.spoilOptions(&o)
	p.rep = replica.New(o, t)
	p.zxid, p.fuzzy = tree.LastZxid(), d.synced.fuzzy
	cfg := s.coreConfig(p)
	cfg.Boot = d.boot(tree.LastZxid(), s.rnd.IntN(5))
	cfg.Boot.Blank = cfg.Boot.Blank && !s.broken(VoteBlank)
	member := s.plan.member
	member.Unproven = d.synced.fuzzy && d.synced.noted == 0
	member.Reaches = p.reaches
	p.mem, err = replica.NewMember(cfg, p.rep, member, t)
	return err
}

// end is the death of the process.
func (p *process) end(silently bool) {
	p.dead = true
	for _, k := range p.conns {
		side := k.side(p)
		k.pipes[1-side].drop()
		if silently {
			k.silent = true
			k.pipes[side].drop()
			continue
		}
		k.pipes[side].breakAfter(p.s.rnd.IntN(len(k.pipes[side].queue) + 1))
	}
	for _, a := range p.clients {
		a.die(silently)
	}
	p.conns, p.clients = nil, nil
	p.closeTree(p.tree)
	if p.installed != nil {
		p.closeTree(p.installed)
	}
}

func (p *process) closeTree(t *znode.Tree) {
	if err := t.Close(); err != nil {
		p.s.fault("closing a tree of %d: %v", p.m.id, err)
	}
}

// receive takes a message for the core.
func (p *process) receive(m zab.Message) {
	if p.dead {
		return
	}
	p.s.mix(int64(m.Type), m.From, m.To, m.Zxid, int64(m.Conn))
	p.hearsPeer(&m)
	if p.s.telling() && m.Type != zab.Alive {
		p.s.say("%d > %d  %s", m.From, p.m.id, message(&m))
	}
	p.inbox = append(p.inbox, m)
	p.wake(p.s.upTo(p.s.plan.loopMax))
}

// wake plans a step of the loop.
func (p *process) wake(d int64) {
	if p.planned || p.dead {
		return
	}
	p.planned = true
	p.s.after(d, p.step)
}

// tick tells the loop of the time, again and again.
func (p *process) tick() {
	if p.dead {
		return
	}
	p.ticked = true
	p.pulse()
	p.wake(0)
	p.s.after(int64(float64(coreTick)/p.m.pace), p.tick)
}

// coreTick is how often the core is told of the time.
const coreTick = 50 * millisecond

// step is one round of the loop.
func (p *process) step() {
	p.planned = false
	s := p.s
	if p.dead {
		return
	}
	if t := max(s.pausedUntil[p.m.place], p.m.loopUntil); t > s.now {
		p.planned = true
		s.at(t, p.step)
		return
	}
	if err := p.round(p.m.time()); err != nil {
		s.fault("server %d: %v", p.m.id, err)
		return
	}
	p.look()
	p.rest()
	p.dropStaged()
	p.feedResumed()
}

// round takes what has gathered.
func (p *process) round(t replica.Time) error {
	if p.handOver {
		p.handOver = false
		_ = p.mem.HandOver() // most do not lead
	}
	if err := p.diskNews(t); err != nil {
		return err
	}
	inbox := p.inbox
	p.inbox = nil
	for i := range inbox {
		p.mem.Step(inbox[i], t)
		if err := p.perhapsCarryOut(t); err != nil {
			return err
		}
	}
	if !p.mem.Backlogged() {
		subs := p.subs
		p.subs = nil
		for i := range subs {
			if err := p.mem.Submit(&subs[i], t); err != nil {
				return err
			}
			if err := p.perhapsCarryOut(t); err != nil {
				return err
			}
		}
	}
	if p.ticked {
		p.ticked = false
		p.mem.Tick(t)
	}
	return p.carryOut(t)
}

// dropStaged forgets the snapshots of connections that have ended. What came on a
// connection before its end may still wait for the loop.
func (p *process) dropStaged() {
	for id := range p.staged {
		if p.conn(id) == nil && !slices.ContainsFunc(p.inbox, func(m zab.Message) bool { return m.Conn == id }) {
			delete(p.staged, id)
		}
	}
}

// diskNews tells what the disk has done.
func (p *process) diskNews(t replica.Time) error {
	if p.diskFailed {
		p.diskFailed = false
		p.mem.DiskFailed(t)
	}
	if tree := p.installed; tree != nil && !p.s.broken(KeepOldTree) {
		p.installed = nil
		old := p.tree
		if err := p.mem.Installed(tree, t); err != nil {
			return err
		}
		p.s.say("%d has the tree of a snapshot, at %s", p.m.id, short(tree.LastZxid()))
		p.tree, p.verified, p.fuzzy, p.zxid, p.noted = tree, false, true, tree.LastZxid(), 0
		p.closeTree(old)
	}
	if p.seq != 0 {
		p.mem.Durable(p.seq, t)
		p.seq = 0
	}
	return p.perhapsCarryOut(t)
}

// perhapsCarryOut is carryOut after each input, for runtimes that do not gather them.
func (p *process) perhapsCarryOut(t replica.Time) error {
	if !p.s.plan.eachInput {
		return nil
	}
	return p.carryOut(t)
}

// carryOut does what the core orders.
func (p *process) carryOut(t replica.Time) error {
	for {
		out, ok, err := p.mem.Take(t)
		if err != nil || !ok {
			p.observe(nil)
			return err
		}
		p.order(out.Writes)
		p.observe(out.Events)
		for i := range out.Send {
			p.transmit(&out.Send[i])
		}
		for i := range out.SendAfterSync {
			if p.s.broken(AckBeforeSync) {
				p.transmit(&out.SendAfterSync[i].Message)
				continue
			}
			p.delayed = append(p.delayed, out.SendAfterSync[i])
		}
		for _, sid := range out.Connect {
			p.dial(sid)
		}
		for _, c := range out.Close {
			p.closeConn(c)
		}
		p.m.runDisk()
		p.release(p.durable()) // some wait for what is durable, which the core does not know yet
		if p.s.plan.recycle {
			p.mem.Recycle(out)
		}
	}
}

// order queues writes at the disk.
func (p *process) order(ws []zab.Write) {
	orders := make([]order, 0, len(ws))
	for i := range ws {
		o := order{Write: ws[i]}
		p.ordered = o.Seq
		if p.s.telling() {
			p.s.say("%d orders %s", p.m.id, write(&o.Write))
		}
		if o.Kind == zab.WriteInstall {
			if o.snap = p.staged[o.Conn]; o.snap == nil {
				p.s.fault("%d is to install the snapshot of %d, which is not there", p.m.id, o.Conn)
				return
			}
		}
		if o.Kind == zab.WriteInstall || o.Kind == zab.WriteTruncate {
			p.settle()
		}
		p.s.logged(p.m, &o)
		orders = append(orders, o)
	}
	for _, o := range p.s.spoil(orders) {
		p.m.disk.write(o)
	}
}

// rest brings the tree to rest now and then, notes what is committed, and keeps the
// tree within its budget.
func (p *process) rest() {
	s := p.s
	if p.tree.OverBudget() {
		p.evict()
	}
	if c := p.checkpoint; c != nil {
		if p.mem.Status().Role == zab.Halted {
			return
		}
		if p.durable() >= p.barrier && s.chance(0.3) {
			p.endCheckpoint(c.Write())
		}
		return
	}
	if st := p.mem.Status(); s.chance(s.plan.note) && st.Synced >= st.Committed && st.Committed > p.noted && p.mem.Serving() {
		p.noted = st.Committed
		p.m.disk.write(order{note: st.Committed})
		p.m.runDisk()
	}
	if s.chance(s.plan.checkpoint) {
		p.beginCheckpoint()
	}
}

// durable is the last write that is.
func (p *process) durable() uint64 {
	for i := range p.m.disk.orders {
		if o := &p.m.disk.orders[i]; o.note == 0 {
			return o.Seq - 1
		}
	}
	return p.ordered
}

// beginCheckpoint freezes the tree. What it holds is applied, but perhaps not
// durable yet: it is written behind a barrier.
func (p *process) beginCheckpoint() {
	if !p.mem.Serving() || p.checkpoint != nil || p.m.disk.replacing() || p.installed != nil {
		return
	}
	if p.tree.LastZxid() == p.tree.CheckpointZxid() {
		return
	}
	p.tree.Lock()
	p.checkpoint = p.tree.BeginCheckpoint()
	p.tree.Unlock()
	p.barrier = p.ordered
	if p.s.broken(CheckpointAhead) {
		p.endCheckpoint(p.checkpoint.Write())
	}
}

func (p *process) endCheckpoint(err error) {
	s := p.s
	c := p.checkpoint
	p.checkpoint = nil
	p.tree.Lock()
	p.tree.EndCheckpoint(c, err)
	p.tree.Unlock()
	if err != nil {
		return
	}
	p.m.disk.synced.fuzzy, p.m.disk.cached.fuzzy = false, false
	s.say("%d has a checkpoint at %s", p.m.id, short(c.Zxid()))
	if s.chance(s.plan.purge) && len(p.m.disk.orders) == 0 {
		s.say("%d purges its log to %s", p.m.id, short(c.Zxid()))
		p.m.disk.synced.purge(c.Zxid())
		p.m.disk.cached.purge(c.Zxid())
		p.mem.Purged(p.m.disk.synced.base)
	}
}

// settle ends a checkpoint before the tree is replaced, or the log cut: it fails.
func (p *process) settle() {
	if p.checkpoint != nil {
		p.endCheckpoint(errSettled)
	}
}

func (p *process) evict() {
	p.tree.Lock()
	p.tree.Evict(64)
	pinned := p.tree.Pinned() && p.tree.DirtyBytes() > 0
	p.tree.Unlock()
	if pinned {
		p.beginCheckpoint()
	}
}
