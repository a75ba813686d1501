package sim

import "github.com/quorate/quorate/zab"

// link is the connection of the election channel between two servers. Each end has a
// queue of one: the newest notification takes the place of one that has not left.
// When the connection comes up with nothing to say, the last one is said again.
type link struct {
	s       *sim
	ends    [2]*machine
	boxes   [2]ballotBox // by sender
	pipes   [2]*pipe     // by sender
	up      bool
	dialing bool
}

// ballotBox is what one end has to say.
type ballotBox struct {
	pending, last *zab.Message
	planned       bool
}

// ballot is a notification on its way.
type ballot struct{ msg *zab.Message }

func (s *sim) link(a, b *machine) (l *link, side int) {
	if a.place < b.place {
		return s.links[a.place][b.place], 0
	}
	return s.links[b.place][a.place], 1
}

func (s *sim) makeLinks() {
	s.links = make([][]*link, len(s.machines))
	for i, a := range s.machines {
		s.links[i] = make([]*link, len(s.machines))
		for j, b := range s.machines {
			if i < j {
				s.links[i][j] = &link{s: s, ends: [2]*machine{a, b}}
			}
		}
	}
}

// vote gives a notification to the election channel.
func (s *sim) vote(from *machine, m *zab.Message) {
	to := s.machine(m.To)
	if to == nil || to == from {
		return
	}
	l, side := s.link(from, to)
	own := *m // the core uses its lists again
	l.boxes[side].pending = &own
	l.write(side)
}

// write has the end's pending notification leave soon, or a connection made.
func (l *link) write(side int) {
	b := &l.boxes[side]
	if b.pending == nil {
		return
	}
	if !l.up {
		l.dial()
		return
	}
	if b.planned {
		return
	}
	b.planned = true
	l.s.after(l.s.upTo(500), func() {
		b.planned = false
		if !l.up || b.pending == nil {
			return
		}
		b.last, b.pending = b.pending, nil
		p := l.pipes[side]
		if p.cut && l.ends[1-side].proc != nil {
			l.down() // the machine has started again and knows nothing of this connection
			return
		}
		p.put(ballot{b.last}, 0)
		if l.s.chance(l.s.plan.repeat) {
			p.put(ballot{b.last}, l.s.upTo(50*millisecond))
		}
	})
}

// dial makes one attempt to connect the two ends.
func (l *link) dial() {
	if l.dialing {
		return
	}
	l.dialing = true
	a, b := l.ends[0].place, l.ends[1].place
	l.s.after(l.s.latency(a, b)+l.s.latency(b, a), func() {
		l.dialing = false
		switch {
		case l.up || l.s.blocked[a][b] || l.s.blocked[b][a]:
		case l.ends[0].proc == nil || l.ends[1].proc == nil:
			l.refused()
		default:
			l.connect()
		}
	})
}

// refused tells the end that is there that nobody is at the other, unless that machine
// vanished silently.
func (l *link) refused() {
	for side, m := range l.ends {
		if other := l.ends[1-side]; m.proc != nil && other.proc == nil && l.s.chance(0.8) {
			m.proc.receive(zab.Message{Type: zab.Unreachable, From: other.id, To: m.id})
		}
	}
}

func (l *link) connect() {
	l.down()
	l.up = true
	for side := range l.ends {
		from, to := l.ends[side], l.ends[1-side]
		l.pipes[side] = &pipe{s: l.s, from: from.place, to: to.place, take: func(it any) {
			if p := to.proc; p != nil {
				p.receive(*it.(ballot).msg)
			}
		}}
		if b := &l.boxes[side]; b.pending == nil {
			b.pending = b.last
		}
		l.write(side)
	}
}

// down ends the connection; what is on its way is lost.
func (l *link) down() {
	if !l.up {
		return
	}
	l.up = false
	for _, p := range l.pipes {
		p.drop()
	}
}

// forgetVotes ends what a process that died had to say. The other ends notice, unless
// the machine vanished silently.
func (s *sim) forgetVotes(m *machine, silently bool) {
	for _, other := range s.machines {
		if other == m {
			continue
		}
		l, side := s.link(m, other)
		l.boxes[side] = ballotBox{}
		if !l.up {
			continue
		}
		if !silently {
			l.down()
			continue
		}
		for _, p := range l.pipes {
			p.drop()
		}
	}
}
