package sim

import "slices"

// A voter may lose its disk. What stands in for it is blank: it does not vote before it has
// been synchronized (db.autocreate=false, and no file initialize). That is safe only while
// the others do not need what is lost, so no more is wiped than they can do without.

// wipe takes a machine's disk away and gives it an empty one.
func (m *machine) wipe() {
	s := m.s
	s.say("%d loses its disk", m.id)
	s.result.Done["disk lost"]++
	m.crash(0, 0, s.chance(0.5))
	m.lose()
	s.after(s.upTo(s.plan.restartMax), func() {
		if m.proc == nil {
			m.start()
		}
	})
}

// lose leaves a blank disk.
func (m *machine) lose() {
	m.disk = newDisk()
	m.disk.synced.blank, m.disk.cached.blank = !m.observer, !m.observer
	m.wiped = !m.observer
	m.match = 0
}

// mayBeWiped reports whether the others hold everything that a machine may have told
// somebody it holds, wherever a quorum could form without it; and whether one can.
func (m *machine) mayBeWiped() bool {
	s := m.s
	if m.observer {
		return true
	}
	if slices.ContainsFunc(s.machines, func(o *machine) bool { return o.wiped }) {
		return false
	}
	mine := &m.disk.synced
	holds := func(o *machine) bool {
		d := &o.disk.synced
		n := mine.len()
		return d.len() >= n && (n == 0 || d.at(n-1).Zxid == mine.at(n-1).Zxid) &&
			d.current >= mine.current && d.accepted >= mine.accepted
	}
	others := func(id int64) bool { return id != m.id }
	behind := func(id int64) bool { return id != m.id && !holds(s.machine(id)) }
	return s.quorum.IsQuorum(others) && !s.quorum.IsQuorum(behind)
}

// restored notes that who was wiped holds all again that is committed.
func (m *machine) restored() {
	if m.wiped && len(m.s.oracle.commits) > 0 && m.match >= len(m.s.oracle.commits) {
		m.wiped = false
	}
}
