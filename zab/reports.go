package zab

// Answers to pings bring the sessions that a learner has heard from. What a learner has heard and not told is therefore
// known up to the moment at which the last answered ping was sent, and no further.

// pings are those that were sent in one tick.
type pings struct {
	tick int64
	n    int
}

// pinged notes a ping that l has to answer.
func (l *learner) pinged(now int64) {
	l.pings++
	if n := len(l.unanswered); n > 0 && l.unanswered[n-1].tick == now {
		l.unanswered[n-1].n++
		return
	}
	l.unanswered = append(l.unanswered, pings{now, 1})
}

// ponged takes the answer to the oldest one. It reports false if there is none.
func (l *learner) ponged() bool {
	if len(l.unanswered) == 0 {
		return false
	}
	l.pongs++
	oldest := &l.unanswered[0]
	l.answeredTo = oldest.tick
	if oldest.n--; oldest.n == 0 {
		l.unanswered = l.unanswered[1:]
	}
	return true
}

// Report is how far a leader knows which sessions a learner has heard from.
type Report struct {
	// ID is the learner's sid, Conn its connection.
	ID   int64
	Conn ConnID
	// Until is the tick, as Core.Now counts, at which the last ping was sent that has been answered; -1 is none.
	Until int64
	// Late tells that a ping is not answered that has been followed by another one: the learner is not there, or does not
	// come to answer.
	Late bool
}

// EachReport calls f with every learner that takes part, by connection, oldest first, until f returns false. There are
// none when this server does not lead.
func (c *Core) EachReport(f func(Report) bool) {
	if c.leading == nil {
		return
	}
	for _, l := range c.leading.learners {
		if !l.live {
			continue
		}
		late := len(l.unanswered) > 0 && c.now-l.unanswered[0].tick > int64(c.cfg.PingTicks)
		if !f(Report{ID: l.sid, Conn: l.conn, Until: l.answeredTo, Late: late}) {
			return
		}
	}
}

// Now returns the number of ticks since New.
func (c *Core) Now() int64 { return c.now }

// AskReports has all learners pinged at the next tick.
func (c *Core) AskReports() {
	if c.leading != nil {
		c.leading.nextPing = min(c.leading.nextPing, c.now)
	}
}
