package sim

import (
	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/zab"
)

// machine is a computer of the ensemble: its disk and its clocks outlive the server
// process on it.
type machine struct {
	s        *sim
	place    int
	id       int64
	observer bool
	disk     disk
	proc     *process // nil while no server runs
	off      bool     // no power: nobody even refuses a connection
	lives    int

	// pace is how fast its clock runs; mono is what the monotonic clock showed at
	// the simulated time since, both in ms; jump is added to the wall clock, ms.
	pace        float64
	mono, since int64
	jump        int64
	syncFactor  float64 // how slow its disk is
	// stalledUntil is when its disk answers again.
	stalledUntil int64

	loopUntil int64 // until when its server's loop is held up
	standing  standing
	// readersUntil is until when nobody reads its clients' sockets.
	readersUntil int64

	// wiped says that it has lost its disk, and does not hold all again.
	wiped bool
	match int // how many of the committed transactions are durable here
}

// wallStart is what wall clocks show at the start of a run, in ms.
const wallStart = 1_700_000_000_000

// time is what its clocks show.
func (m *machine) time() replica.Time {
	mono := m.mono + int64(float64(m.s.now-m.since)*m.pace)/millisecond
	return replica.Time{Mono: mono, Wall: wallStart + m.s.now/millisecond + m.jump}
}

// setPace changes how fast its clock runs from now on.
func (m *machine) setPace(p float64) {
	m.mono = m.time().Mono
	m.since, m.pace = m.s.now, p
}

// start boots the server on what the disk holds.
func (m *machine) start() {
	s := m.s
	m.lives++
	m.off = false
	m.mono, m.since = 1_000_000*int64(m.lives), s.now
	m.restand()
	p := &process{s: s, m: m, staged: map[zab.ConnID]*snapshot{}, signs: map[int64]sign{}, relayed: map[int64]sign{}, moved: map[int64]int64{}}
	if err := p.boot(); err != nil {
		s.fault("start of %d: %v", m.id, err)
		return
	}
	m.proc = p
	s.say("%d starts at %s, log to %s", m.id, short(p.tree.LastZxid()), short(m.disk.synced.last()))
	p.tick()
	p.wake(0)
}

// crash ends the server at once. What its disk has not synced is lost but for the
// first keep orders and some entries of the next. silently is a power cut: nobody is
// told.
func (m *machine) crash(keep, entries int, silently bool) {
	p := m.proc
	m.s.say("crash of %d, keeps %d of %d orders and %d entries, silently %v", m.id, keep, len(m.disk.orders), entries, silently)
	m.proc, m.off = nil, silently
	m.disk.crash(keep, entries)
	m.s.crashes++
	p.end(silently)
	m.s.forgetVotes(m, silently)
	m.s.durableChanged(m, true)
}

// orderlyMax bounds how many entries of a half-written append survive.
const halfAppendMax = 3

// crashNow is a crash with everything drawn.
func (m *machine) crashNow() {
	s := m.s
	m.crash(s.rnd.IntN(len(m.disk.orders)+1), s.rnd.IntN(halfAppendMax), s.chance(0.5))
	s.after(s.upTo(s.plan.restartMax), func() {
		if m.proc == nil {
			m.start()
		}
	})
}

// runDisk lets the disk go on with what is queued, if it is idle.
func (m *machine) runDisk() {
	d, p, s := &m.disk, m.proc, m.s
	if d.busy || d.failed || len(d.orders) == 0 {
		return
	}
	d.busy = true
	n := len(d.orders)
	took := s.syncTime(m)
	d.busyUntil = s.now + took
	s.after(took, func() { p.synced(n) })
}

// synced makes the first n orders durable: messages that waited for them leave, and
// then the server is told.
func (p *process) synced(n int) {
	m, s := p.m, p.s
	if p.dead || m.disk.failed {
		return
	}
	if t := s.pausedUntil[m.place]; t > s.now {
		s.at(t, func() { p.synced(n) })
		return
	}
	d := &m.disk
	replaced := false
	for i := range d.orders[:n] {
		o := &d.orders[i]
		if s.telling() && o.note == 0 {
			s.say("%d synced %s", m.id, write(&o.Write))
		}
		replaced = replaced || o.Kind == zab.WriteTruncate || o.Kind == zab.WriteInstall
		if o.Kind == zab.WriteInstall {
			p.placed(o)
		}
	}
	seq := d.sync(n)
	d.busy = false
	s.durableChanged(m, replaced)
	p.release(seq)
	s.after(s.upTo(s.plan.newsMax), func() {
		if !p.dead {
			p.seq = max(p.seq, seq)
			p.wake(0)
		}
	})
	m.runDisk()
}

// placed opens the tree of a snapshot that has been put in place. The server has to
// have it before anybody can answer the acknowledgement.
func (p *process) placed(o *order) {
	tree, err := p.s.openTree(o.snap.rest)
	if err != nil {
		p.s.fault("snapshot put in place at %d: %v", p.m.id, err)
		return
	}
	p.installed = tree
}

// release lets the messages go that waited for writes up to seq.
func (p *process) release(seq uint64) {
	i := 0
	for ; i < len(p.delayed) && p.delayed[i].After <= seq; i++ {
		p.transmit(&p.delayed[i].Message)
	}
	p.delayed = p.delayed[i:]
}

// failDisk has the next sync fail: the server is told and ends.
func (m *machine) failDisk() {
	p, s := m.proc, m.s
	s.say("disk of %d fails", m.id)
	m.disk.failed = true
	p.diskFailed = true
	p.wake(0)
	s.after(s.upTo(300*millisecond), func() {
		if m.proc == p {
			m.crashNow()
		}
	})
}
