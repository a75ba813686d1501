package sim

import (
	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
)

// A server stands still when its loop is held up, while its sockets and its disk go on,
// or when the whole machine is paused. This file does that, and sees that no session
// expires because of it: a leader that ends a session has not heard of it for its timeout,
// by what had come to that leader or been read by a learner that it reaches, and counting
// only the time in which the leader ran.

// standGrace is how long a server that stands still counts as running, in ms: what its
// clock goes on by itself.
const standGrace = 2 * coreTick / millisecond

// standing is how long a machine's server has stood still since it was started.
type standing struct {
	lost  int64 // ms of the monotonic clock
	since int64 // on that clock; 0: it runs
	until int64 // simulated time
}

// stallLoop holds up the loop of a server.
func (m *machine) stallLoop(d int64) {
	m.s.say("the loop of %d stands still for %d ms", m.id, d/millisecond)
	m.s.result.Done["loop held up"]++
	m.loopUntil = max(m.loopUntil, m.s.now+d)
	m.stand(m.loopUntil)
}

// stand notes that the server does not run until then.
func (m *machine) stand(until int64) {
	if m.standing.since == 0 {
		m.standing.since = m.time().Mono
	}
	m.standing.until = max(m.standing.until, until)
	m.s.at(until, m.goOn)
}

func (m *machine) goOn() {
	if st := &m.standing; st.since != 0 && st.until <= m.s.now {
		st.lost += m.standsFor()
		st.since = 0
	}
}

// standsFor is how long it has stood still now.
func (m *machine) standsFor() int64 {
	if m.standing.since == 0 {
		return 0
	}
	return max(0, m.time().Mono-m.standing.since-standGrace)
}

// restand begins to count anew for another process.
func (m *machine) restand() {
	m.standing.lost, m.standing.since = 0, 0
	if m.standing.until > m.s.now {
		m.standing.since = m.time().Mono
	}
}

// ran is how long the server has run, in ms from some time on.
func (m *machine) ran() int64 { return m.time().Mono - m.standing.lost - m.standsFor() }

// sign is a sign of life of a session.
type sign struct {
	at   int64      // by machine.ran
	conn zab.ConnID // that brought it; it counts for as long as that lives
	// before is when the last one came that is older by settleMillis.
	before int64
}

// settleMillis is how long it takes at most until a session expires whose client has sent
// nothing in time, when all is read that had come by then. What comes meanwhile may come
// too late.
const settleMillis = 2 * coreTick / millisecond

// hears notes a sign of life that has come to a server.
func (p *process) hears(session int64, conn zab.ConnID) {
	old, now := p.signs[session], p.m.ran()
	if old.at < now-settleMillis {
		old.before = old.at
	}
	p.signs[session] = sign{now, conn, old.before}
}

// hearsClient: a request has come from a client itself. What comes behind closeSession
// says nothing.
func (p *process) hearsClient(a *attached) {
	if s := a.c.Session(); s != nil && a.c.State() == replica.StateConnected {
		frames(a.unfed, func([]byte) { p.hears(s.ID, 0) })
		delete(p.moved, s.ID)
	}
}

// hearsPeer: a learner tells of sessions it has heard from, or of one that has come to it.
func (p *process) hearsPeer(m *zab.Message) {
	if m.Type != zab.Ping && m.Type != zab.Revalidate {
		return
	}
	for rd := wire.NewReader(m.Data); len(rd.Remaining()) >= 12; {
		id := rd.Long()
		rd.Int()
		p.hears(id, m.Conn)
		if m.Type == zab.Revalidate {
			p.moved[id] = m.From
		}
	}
}

// relays: a learner has read n bytes of what a client sent. Its leader is to know, if the
// session is not overdue already, for as long as their connection lasts. What comes from a
// connection that the client has left for another server is nothing to wait for.
func (p *process) relays(a *attached, n int) {
	session := a.c.Session()
	if session == nil || a.c.State() != replica.StateConnected || !p.mem.Serving() {
		return
	}
	for _, k := range p.conns {
		lead := k.ends[1]
		m := p.s.oracle.sessions[session.ID]
		if k.ends[0] != p || m == nil || !lead.leadsOn(k) || lead.silence(session.ID) >= int64(m.timeout)-roundingMillis {
			continue
		}
		if at, ok := lead.moved[session.ID]; ok && at != p.m.id {
			continue
		}
		frames(a.unfed[:n], func(f []byte) {
			rd := wire.NewReader(f)
			var h wire.RequestHeader
			if h.Decode(&rd); rd.Err() == nil && h.Op != wire.OpAuth && h.Op != wire.OpSASL {
				lead.relayed[session.ID] = sign{at: lead.m.ran(), conn: k.id}
			}
		})
	}
}

// leadsOn reports whether k is the connection of a learner that takes part.
func (p *process) leadsOn(k *qconn) (yes bool) {
	if p.dead || !k.of(p) || !p.mem.Serving() {
		return false
	}
	p.mem.Core().EachReport(func(r zab.Report) bool {
		yes = r.Conn == k.id
		return !yes
	})
	return yes
}

// reaches is what the server is told.
func (p *process) reaches(id zab.ConnID) bool {
	return p.acknowledged(id) && !p.s.broken(ExpireUnreported)
}

// acknowledged reports whether the machine at the other end of a connection answers.
func (p *process) acknowledged(id zab.ConnID) bool {
	k := p.conn(id)
	if k == nil || k.silent {
		return false
	}
	a, b := k.ends[0].m.place, k.ends[1].m.place
	return !p.s.blocked[a][b] && !p.s.blocked[b][a] && !p.s.paused(a) && !p.s.paused(b)
}

// expires: a leader proposes the end of a session that it has not heard of.
func (p *process) expires(id int64) {
	s := p.s
	m := s.oracle.sessions[id]
	if m == nil {
		return
	}
	if silent := p.silence(id); silent < int64(m.timeout)-roundingMillis {
		s.say("ran %d mono %d sign %+v relayed %+v leads %d standing %+v",
			p.m.ran(), p.m.time().Mono, p.signs[id], p.relayed[id], p.leads, p.m.standing)
		s.fault("session %x expires at %d, which has heard from it %d ms ago; its timeout is %d", id, p.m.id, silent, m.timeout)
	}
}

// silence is how long a leader has not heard of a session, nor a learner that it reaches.
func (p *process) silence(id int64) int64 {
	heard := p.leads
	if g, ok := p.signs[id]; ok && (g.conn == 0 || p.conn(g.conn) != nil) {
		at := g.at
		if p.m.ran()-at <= settleMillis {
			at = g.before
		}
		heard = max(heard, at)
	}
	if g, ok := p.relayed[id]; ok && p.acknowledged(g.conn) {
		heard = max(heard, g.at)
	}
	return p.m.ran() - heard
}

// roundingMillis is what clocks of whole milliseconds are off.
const roundingMillis = 3

// readAll has all read that clients have sent by now.
func (p *process) readAll() (done func() bool) {
	read := false
	var look func()
	look = func() {
		if t := p.m.readersUntil; t > p.s.now {
			p.s.at(t, look)
			return
		}
		read = true
	}
	p.s.after(1+p.s.upTo(20*millisecond), look)
	return func() bool { return read }
}

// stallReaders has nobody read what clients send to a server for a while.
func (m *machine) stallReaders(d int64) {
	m.s.say("nobody reads the clients of %d for %d ms", m.id, d/millisecond)
	m.s.result.Done["readers held up"]++
	m.readersUntil = max(m.readersUntil, m.s.now+d)
}
