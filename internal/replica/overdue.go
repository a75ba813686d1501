package replica

import "github.com/quorate/quorate/zab"

// The clients of a learner are answered by whoever reads their sockets, whatever its loop is busy with: the disk, a large
// transaction, the garbage collector. What they send keeps their sessions only when the loop answers the leader's ping.
// So a session that is due at the leader, and that a learner may have heard from, is settled as one of the leader's own
// is: the learner is asked, and until it answers the session does not expire.
//
// A learner that is gone is not waited for, nor is one to which the network is cut: ZooKeeper's rule is that their
// sessions end after their timeouts. It is the machine's acknowledgements that tell one from the other, and they end
// with the connection after syncLimit. Then whoever kept the clients of a late learner cannot do so any longer, and they
// have their whole timeout to find another server.

// overdue is a session that waits for a learner's word before it expires.
type overdue struct {
	id, touched int64
	since       int64 // when it was due, by zab.Core.Now
}

// overdues are the sessions that wait.
type overdues struct {
	list []overdue
	// waits has those in list. The tracker keeps them too, due again and again: they are
	// alive, and everybody may see that.
	waits map[int64]bool
	// late are the learners that do not come to answer, by connection.
	late map[zab.ConnID]int64
	// reached is what MemberOptions.Reaches has said at this tick.
	reached map[zab.ConnID]bool
}

// doubt keeps a session from expiring if a learner may have heard from it, and asks.
func (m *Member) doubt(s *Session) bool {
	if !m.overdue.waits[s.ID] {
		o := overdue{id: s.ID, touched: s.touched, since: m.core.Now()}
		if !m.unsure(s, o.since) {
			return false
		}
		m.overdue.add(o)
		m.core.AskReports()
	}
	m.rep.tracker.Touch(s.ID, 0, m.rep.age.At(m.rep.now))
	return true
}

func (d *overdues) add(o overdue) {
	if d.waits == nil {
		d.waits = map[int64]bool{}
	}
	d.list, d.waits[o.id] = append(d.list, o), true
}

// unsure reports whether a learner that may have heard from s has not told yet what it had heard at since.
func (m *Member) unsure(s *Session, since int64) (unsure bool) {
	m.core.EachReport(func(r zab.Report) bool {
		unsure = s.mayBeAt(r.ID) && r.Until < since && m.reaches(r.Conn)
		return !unsure
	})
	return unsure
}

// mayBeAt reports whether the session may be attached to the server sid. After a change of the leader nobody knows
// until its server tells.
func (s *Session) mayBeAt(sid int64) bool {
	return s.owner == sid || s.told == sid || s.owner == noOwner && s.told == noOwner
}

// reaches asks once a tick: many sessions may be due at a time.
func (m *Member) reaches(conn zab.ConnID) bool {
	if m.opt.Reaches == nil {
		return true
	}
	yes, known := m.overdue.reached[conn]
	if !known {
		if m.overdue.reached == nil {
			m.overdue.reached = map[zab.ConnID]bool{}
		}
		yes = m.opt.Reaches(conn)
		m.overdue.reached[conn] = yes
	}
	return yes
}

// expireOverdue ends the sessions that waited for the word of a learner which has none of them.
func (m *Member) expireOverdue(now int64, t Time) error {
	clear(m.overdue.reached)
	m.noteLate(now)
	list := m.overdue.list
	m.overdue.list, m.overdue.waits = nil, nil
	for _, o := range list {
		s := m.rep.sessions[o.id]
		if s == nil || s.touched != o.touched || m.rep.tracker.IsClosing(o.id) {
			continue
		}
		if m.rep.full() || m.unsure(s, o.since) {
			m.overdue.add(o)
			continue
		}
		if m.rep.renewed(s, now) {
			continue
		}
		if err := m.rep.closeExpired(&m.log, o.id, t); err != nil {
			return err
		}
	}
	return nil
}

// noteLate looks which learners are late, and lets the sessions of one whose connection has ended live on for their
// timeout.
func (m *Member) noteLate(now int64) {
	before := m.overdue.late
	m.overdue.late = nil
	m.core.EachReport(func(r zab.Report) bool {
		if r.Late && m.reaches(r.Conn) {
			if m.overdue.late == nil {
				m.overdue.late = map[zab.ConnID]int64{}
			}
			m.overdue.late[r.Conn] = r.ID
		}
		return true
	})
	for _, conn := range sortedIDs(before) {
		if !m.connected(conn) {
			m.rep.spare(before[conn], now)
		}
	}
}

func (m *Member) connected(conn zab.ConnID) (yes bool) {
	m.core.EachReport(func(r zab.Report) bool {
		yes = r.Conn == conn
		return !yes
	})
	return yes
}

// spare gives the sessions of a server their timeout from now on.
func (r *Replica) spare(sid, now int64) {
	for _, id := range r.sessionIDs() {
		if s := r.sessions[id]; s.mayBeAt(sid) && r.tracker.Touch(id, s.timeout.Load(), now) {
			s.heard.Store(now)
			s.touched = now
		}
	}
}
