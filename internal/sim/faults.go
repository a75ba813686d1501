package sim

import (
	"slices"

	"github.com/quorate/quorate/zab"
)

// faultStep is how often the dice of faults are thrown.
const faultStep = 20 * millisecond

// befalls throws the dice for something that happens rate times a second.
func (s *sim) befalls(rate float64) bool {
	return s.chance(rate * float64(faultStep) / float64(second))
}

// faults breaks things, and mends some.
func (s *sim) faults() {
	if s.calm {
		return
	}
	s.after(faultStep, s.faults)
	for _, m := range s.machines {
		s.befall(m)
	}
	s.network()
	for _, c := range slices.Clone(s.clients) {
		switch {
		case c.dead:
		case s.befalls(s.plan.killClient):
			c.kill()
		case s.befalls(s.plan.pauseClient):
			s.pausePlace(c.place, s.upTo(6*second))
		case c.conn != nil && s.befalls(s.plan.resetClient):
			s.say("the connection of %s is reset", c)
			c.conn.reset()
		}
	}
}

// befall is what may happen to one machine.
func (s *sim) befall(m *machine) {
	p := &s.plan
	if s.befalls(p.jump) {
		m.jump += s.rnd.Int64N(2*jumpMax) - jumpMax
		s.say("the wall clock of %d jumps", m.id)
	}
	if s.befalls(p.drift) {
		m.setPace(s.drawPace())
	}
	if m.proc == nil {
		return
	}
	switch {
	case s.befalls(p.crash), m.disk.midSync() && s.befalls(p.crashMidSync):
		m.crashNow()
	case s.befalls(p.wipe) && m.mayBeWiped():
		m.wipe()
	case s.befalls(p.failDisk):
		m.failDisk()
	case s.befalls(p.stallDisk):
		m.stalledUntil = s.now + s.upTo(3*second)
	case s.befalls(p.stallLoop):
		m.stallLoop(s.upTo(3 * second))
	case s.befalls(p.stallReaders):
		m.stallReaders(s.upTo(3 * second))
	case s.befalls(p.pause):
		s.pausePlace(m.place, s.upTo(3*second))
	case s.befalls(p.handOver):
		s.say("%d is asked to hand over", m.id)
		m.proc.handOver = true
		m.proc.wake(0)
	}
}

// jumpMax bounds how far a wall clock jumps, in ms.
const jumpMax = 3_600_000

func (s *sim) pausePlace(place int, d int64) {
	s.say("place %d pauses for %d ms", place, d/millisecond)
	s.pausedUntil[place] = max(s.pausedUntil[place], s.now+d)
	if place < len(s.machines) {
		s.machines[place].stand(s.pausedUntil[place])
	}
}

// network breaks connections and cuts the network apart.
func (s *sim) network() {
	for _, m := range s.machines {
		if m.proc == nil {
			continue
		}
		for _, k := range slices.Clone(m.proc.conns) {
			if k.ends[0] == m.proc && s.befalls(s.plan.reset) {
				s.say("connection %d is reset", k.id)
				k.reset()
			}
		}
	}
	for i, row := range s.links {
		for j := i + 1; j < len(row); j++ {
			if row[j].up && s.befalls(s.plan.resetVotes) {
				row[j].down()
				row[j].write(0)
				row[j].write(1)
			}
		}
	}
	switch {
	case s.befalls(s.plan.part):
		s.partition()
	case s.befalls(s.plan.heal):
		s.unblock()
	}
}

func (s *sim) unblock() {
	for _, row := range s.blocked {
		clear(row)
	}
	s.releasePipes()
}

// partition cuts the network: into halves, one server off, one way, or so that one
// server is the only bridge.
func (s *sim) partition() {
	if s.chance(0.7) {
		for _, row := range s.blocked {
			clear(row)
		}
	}
	places := len(s.blocked)
	side := make([]int, places)
	for i := range side {
		side[i] = s.rnd.IntN(2)
	}
	bridge := -1
	switch s.rnd.IntN(4) {
	case 0: // halves
	case 1: // one alone, often one that leads
		alone := s.rnd.IntN(len(s.machines))
		for _, m := range s.machines {
			if m.proc != nil && m.proc.mem.Status().Role == zab.Leading && s.chance(0.6) {
				alone = m.place
			}
		}
		for i := range s.machines {
			side[i] = 0
		}
		side[alone] = 1
	case 2:
		bridge = s.rnd.IntN(len(s.machines))
	case 3: // clients reach everybody
		for i := len(s.machines); i < places; i++ {
			side[i] = 2
		}
	}
	oneWay := s.chance(0.3)
	for i := range places {
		for j := range places {
			if i == bridge || j == bridge || side[i] == 2 || side[j] == 2 || side[i] == side[j] {
				continue
			}
			if !oneWay || side[i] < side[j] {
				s.blocked[i][j] = true
			}
		}
	}
	s.say("partition %v, bridge %d, one way %v", side, bridge, oneWay)
	s.releasePipes()
}
