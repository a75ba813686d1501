package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// After the faults everything works. Then all servers must come to serve and to hold
// the same, all clients must get on, sessions that nobody keeps must end, and nothing
// else may happen.

const (
	// calmLimit is how long each stage of that may take, expiryLimit how long a session
	// outlives its client: the longest timeout, on a slow clock, and some ticks.
	calmLimit   = 60 * second
	expiryLimit = 11 * second
	// calmRequests is how many requests each client gets answered.
	calmRequests = 12
	calmStep     = 50 * millisecond
	// settleTime is how long it takes at most until everybody knows what connections
	// have ended.
	settleTime = 4 * second
)

// heal ends all faults and waits.
func (s *sim) heal() {
	s.say("calm")
	s.calm = true
	s.unblock()
	s.awake = max(slices.Max(s.pausedUntil), s.now)
	for _, m := range s.machines {
		s.awake = max(s.awake, m.disk.busyUntil, m.loopUntil, m.readersUntil)
	}
	s.awake += settleTime
	for _, c := range s.clients {
		c.pace = 1
	}
	for _, m := range s.machines {
		m.setPace(0.9 + 0.2*s.rnd.Float64())
		m.syncFactor, m.stalledUntil = 1, 0
		if m.proc == nil {
			m.start()
		}
	}
	stages := []struct {
		what string
		done func() bool
	}{
		{"the servers do not come to serve the same", s.settled},
		{"the clients do not get on", s.allGotOn},
		{noEnd, s.onlyKeptSessions},
		{"the servers do not come to hold the same", s.settled},
		{"the clients do not come to rest", s.quiet},
		{"the clients of a leader that stands still do not go on", s.leaderStood},
	}
	for _, st := range stages {
		if !s.await(st.what, st.done) {
			return
		}
		if s.settledAt == 0 {
			s.say("settled")
			s.settledAt, s.settledEpochs = s.now, len(s.leaders)
		}
	}
	s.last()
}

// noEnd is what is wrong with sessions that live on.
const noEnd = "sessions that nobody keeps do not end"

// await runs until a condition holds.
func (s *sim) await(what string, done func() bool) bool {
	limit := s.now + calmLimit
	if s.well() && what == noEnd {
		limit = s.now + expiryLimit
	}
	for next := s.now; !done(); {
		next += calmStep
		for s.now < next {
			if !s.run() {
				return false
			}
		}
		if s.now > limit {
			s.fault("liveness: %s: %s", what, s.state())
			return false
		}
	}
	return !s.stopped
}

// well reports whether nothing may go wrong any more. Where epochs are short, leaders
// change all the time, and clients may have to look for another server.
func (s *sim) well() bool { return s.settledAt != 0 && !s.shortEpochs }

// settled reports whether all servers serve the same and all clients are connected.
func (s *sim) settled() bool {
	if s.now <= s.awake {
		return false
	}
	for _, m := range s.machines {
		p := m.proc
		if p == nil || m.disk.failed {
			return false
		}
		st := p.mem.Status()
		refuses := st.Role == zab.Leading && s.plan.member.NoLeaderServes
		if st.Phase != zab.Broadcast || !p.mem.Serving() && !refuses || s.oracle.through(p.tree.LastZxid()) != len(s.oracle.commits) {
			return false
		}
	}
	for _, c := range s.clients {
		if !c.dead && s.settledAt == 0 && (c.state != clientConnected || c.conn.doomed()) {
			return false
		}
	}
	return true
}

// allGotOn reports whether every client has had its requests answered.
func (s *sim) allGotOn() bool {
	return !slices.ContainsFunc(s.clients, func(c *client) bool { return !c.dead && c.calmDone < calmRequests })
}

// onlyKeptSessions reports whether the open sessions are those of the clients.
func (s *sim) onlyKeptSessions() bool {
	kept := map[int64]bool{}
	for _, c := range s.clients {
		if !c.dead {
			kept[c.session] = true
		}
	}
	for id, m := range s.oracle.sessions {
		if m.closed == 0 && !kept[id] {
			return false
		}
	}
	return true
}

// last is what is looked at in the end.
func (s *sim) last() {
	if s.well() && len(s.leaders) != s.settledEpochs {
		s.fault("liveness: a healthy ensemble elects: %s", s.state())
	}
	for id := range s.denied {
		if m := s.oracle.sessions[id]; m != nil && m.closed == 0 {
			s.fault("session %x is open, although its client was told that it has expired", id)
		}
	}
	for path, n := range s.oracle.nodes {
		st := n.states[len(n.states)-1]
		info, found, err := s.oracle.tree.Lookup([]byte(path))
		var have wire.Stat
		info.WireStat(&have, znode.OwnerKinds{Extended: true})
		if err != nil || found != st.live || found && have != st.stat {
			s.fault("model: %s is %+v (%v, %v), should be %+v", path, have, found, err, st)
		}
	}
	if n := s.oracle.tree.EphemeralSessions(); slices.ContainsFunc(n, func(id int64) bool { return s.oracle.sessions[id].closed != 0 }) {
		s.fault("ephemerals outlive their sessions: %x", n)
	}
}

// toldExpired notes that a client was told that its session has expired.
func (s *sim) toldExpired(c *client) {
	if s.well() {
		s.fault("%s is told that session %x has expired, and all is well", c, c.session)
	}
	s.denied[c.session] = true
}

// expired sees a session end that no client has closed.
func (s *sim) expired(id int64) {
	s.result.Expired++
	if !s.well() {
		return
	}
	for _, c := range s.clients {
		if c.session == id && !c.dead {
			s.fault("session %x of %s expires, and all is well", id, c)
		}
	}
}

// quiet reports whether no client waits for anything but pings.
func (s *sim) quiet() bool {
	return !slices.ContainsFunc(s.clients, func(c *client) bool {
		return !c.dead && slices.ContainsFunc(c.pending, func(r *request) bool { return r.op != wire.OpPing })
	})
}

// leaderStood has the leader stand still for longer than some sessions may be silent, if
// its followers bear that, and reports whether enough time has passed to see what comes of
// it: nothing. The clients only ping meanwhile, and their servers answer.
func (s *sim) leaderStood() bool {
	if s.stoodAt == 0 {
		s.stoodAt = s.now
		most := int64(s.plan.core.SyncLimitTicks)*coreTick*9/10 - second
		for _, m := range s.machines {
			if st := m.proc.mem.Status(); st.Role == zab.Leading && most > 0 {
				d := most/2 + s.upTo(most/2)
				m.stallLoop(d)
				s.stoodAt += d
			}
		}
	}
	return s.now > s.stoodAt+int64(s.plan.timeoutMin)*millisecond+2*second
}

// state tells where everybody is.
func (s *sim) state() (text string) {
	for _, m := range s.machines {
		if m.proc == nil {
			text += fmt.Sprintf("[%d is down]", m.id)
			continue
		}
		st := m.proc.mem.Status()
		text += fmt.Sprintf("[%d %s %s leader %d current %d accepted %d last %s tree %s serving %v: %s]", m.id, st.Role, st.Phase, st.Leader,
			st.CurrentEpoch, st.AcceptedEpoch, short(st.LastZxid), short(m.proc.tree.LastZxid()), m.proc.mem.Serving(), st.Reason)
	}
	for _, c := range s.clients {
		if !c.dead {
			text += fmt.Sprintf("[%s at %d state %d, %d done, waits for %s]", c, c.server+1, c.state, c.calmDone, c.waiting())
		}
	}
	for _, id := range sortedKeys(s.oracle.sessions) {
		if s.oracle.sessions[id].closed == 0 {
			text += fmt.Sprintf("[session %x]", id)
		}
	}
	return text
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
