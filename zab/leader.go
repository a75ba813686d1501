package zab

import "slices"

// leading is what a leader knows, from its election to its end.
type leading struct {
	epoch     int64 // 0 until a quorum has said what it promised so far
	stage     stage
	summary   Vote   // the leader's own currentEpoch and last zxid as they were elected
	initial   int64  // the end of the initial history
	waitWrite uint64 // epoch write that the stage waits for; 0: none
	deadline  int64  // tick at which the stage has taken too long
	quorumAt  int64  // tick at which a quorum of followers was connected last, or the leadership began
	promised  int64  // highest acceptedEpoch heard of
	told      map[int64]bool
	acked     map[int64]bool // voters whose ACKEPOCH counts
	learners  []*learner     // by connection, oldest first
	nextPing  int64
	next      int64 // zxid of the next proposal
	leaving   int64 // tick at which a hand-over ends anyway; 0: none
	confirm   confirmation
	points    []int64 // scratch of tryCommit
}

// stage is the leader's place before its epoch is established.
type stage uint8

const (
	collecting   stage = iota // FOLLOWERINFO from a quorum
	promising                 // acceptedEpoch to disk, then LEADERINFO to all, ACKEPOCH from a quorum
	entering                  // currentEpoch to disk
	establishing              // NEWLEADER to all, its ACK from a quorum
	established
)

// learner is the leader's end of one connection.
type learner struct {
	sid      int64
	conn     ConnID
	observer bool

	informed bool  // LEADERINFO has been sent
	answered bool  // ACKEPOCH has come
	zxid     int64 // its last zxid, from ACKEPOCH
	synced   bool  // NEWLEADER has been sent
	joined   bool  // its ACK has come
	live     bool  // UPTODATE has been sent: takes part in broadcast
	how      string

	sent      int64 // proposals up to here have been sent
	committed int64 // commits up to here have been sent
	began     int64 // it had everything up to here when it joined
	acked     int64 // acknowledged up to here
	snapping  bool  // a snapshot is on its way
	held      int   // bytes that were committed since and are kept for it

	heard     int64 // tick of its last packet
	waitFor   int64 // a proposal that was sent and not acknowledged; 0: none
	waitSince int64 // tick at which it was sent
	pings     int64 // sent since live
	pongs     int64 // answered
	mark      int64 // pongs needed for the confirmation round under way

	unanswered []pings // oldest first
	answeredTo int64   // tick at which the last answered ping was sent; -1: none
}

// joining reports whether l is on its way to UPTODATE and has a position to go on from: it will need what was proposed
// since.
func (l *learner) joining() bool { return (l.synced || l.snapping) && !l.live }

// startLeading begins discovery as the elected leader.
func (c *Core) startLeading() {
	c.leading = &leading{
		summary:  Vote{Leader: c.cfg.ID, Zxid: c.log.last, PeerEpoch: c.currentEpoch},
		initial:  c.log.last,
		promised: max(c.acceptedEpoch, c.promisedByOthers),
		told:     map[int64]bool{c.cfg.ID: true},
		acked:    map[int64]bool{},
		nextPing: c.now + int64(c.cfg.PingTicks),
		quorumAt: c.now,
	}
	c.become(Leading, Discovery, "elected")
	c.enter(collecting)
	c.tryEpoch()
}

// enter moves to the next stage, which has its own time limit.
func (c *Core) enter(s stage) {
	c.leading.stage = s
	c.leading.waitWrite = 0
	c.leading.deadline = c.now + int64(c.cfg.InitLimitTicks)
}

// stepDown ends the leadership.
func (c *Core) stepDown(reason string) { c.lookForLeader(reason) }

// learnerOf returns the learner on connection conn, or nil.
func (c *Core) learnerOf(conn ConnID) *learner {
	for _, l := range c.leading.learners {
		if l.conn == conn {
			return l
		}
	}
	return nil
}

// heardFrom returns the learner that m came from, if its connection is still of use, and notes the sign of life.
func (c *Core) heardFrom(m Message) *learner {
	l := c.learnerOf(m.Conn)
	if l == nil {
		c.ignored(m, "connection is not a learner's")
		return nil
	}
	l.heard = c.now
	return l
}

// drop closes a learner's connection and forgets it, and with it its acknowledgements: it has to earn them again.
func (c *Core) drop(l *learner, reason string) {
	c.close(l.conn)
	c.forgetLearner(l)
	c.event(Event{Kind: EventLearnerDropped, Peer: l.sid, Zxid: l.zxid, Reason: reason})
	c.checkQuorumLost()
}

func (c *Core) forgetLearner(l *learner) {
	i := slices.Index(c.leading.learners, l)
	c.leading.learners = slices.Delete(c.leading.learners, i, i+1)
}

func (c *Core) leaderDisconnected(m Message) {
	if l := c.learnerOf(m.Conn); l != nil {
		c.forgetLearner(l)
		c.event(Event{Kind: EventLearnerDropped, Peer: l.sid, Zxid: l.zxid, Reason: "disconnected"})
		c.checkQuorumLost()
	}
}

func (c *Core) leaderAlive(m Message) {
	if l := c.heardFrom(m); l != nil && m.Type == SnapshotSent && l.snapping {
		l.snapping = false
		c.endSync(l)
	}
}

// quorumOf reports whether this server together with the voters among the learners that satisfy ok is a quorum.
func (c *Core) quorumOf(ok func(*learner) bool) bool {
	return c.cfg.decider().IsQuorum(func(id int64) bool {
		return id == c.cfg.ID || slices.ContainsFunc(c.leading.learners, func(l *learner) bool {
			return l.sid == id && !l.observer && ok(l)
		})
	})
}

// checkQuorumLost steps down at once when an established leader has no quorum any more: what it has proposed can
// not be committed, and its clients are better off with another.
func (c *Core) checkQuorumLost() {
	if c.leading.stage == established && !c.quorumOf(func(l *learner) bool { return l.live }) {
		c.stepDown("lost the quorum of followers")
	}
}

// leaderDurable goes on where a write was waited for.
func (c *Core) leaderDurable() {
	ld := c.leading
	if ld.waitWrite != 0 && c.durable >= ld.waitWrite {
		switch ld.stage {
		case promising:
			c.announceEpoch()
		case entering:
			c.startSync()
		case collecting, establishing, established:
		}
	}
	if c.leading != nil && c.leading.stage == established {
		c.tryCommit()
	}
}

// tickLeader pings, counts silence and ends what takes too long.
func (c *Core) tickLeader() {
	ld := c.leading
	if ld.stage != established && c.now > ld.deadline {
		c.stepDown("no quorum of followers in time")
		return
	}
	if c.diskHangs() && len(c.cfg.decider().Voters()) > 1 {
		// It is held to what it demands of others. Alone it has nobody to make room for.
		c.stepDown("own disk hangs")
		return
	}
	if ld.stage != established && c.quorumOf(func(*learner) bool { return true }) {
		ld.quorumAt = c.now
	}
	for _, l := range slices.Clone(ld.learners) {
		if reason := c.overdue(l); reason != "" {
			c.drop(l, reason)
			if c.leading != ld {
				return
			}
		}
	}
	if c.now >= ld.nextPing {
		ld.nextPing = c.now + int64(c.cfg.PingTicks)
		c.pingAll()
	}
	if ld.leaving != 0 {
		c.tryHandOver()
	}
}

// overdue returns why a learner is given up, or "".
func (c *Core) overdue(l *learner) string {
	limit := int64(c.cfg.InitLimitTicks)
	if l.joined {
		limit = int64(c.cfg.SyncLimitTicks)
	}
	switch {
	case !l.answered:
		// It waits for this server's stages, which have their own limit; after that it must answer.
		if l.informed && c.now-l.heard > limit {
			return "no ACKEPOCH in time"
		}
	case !l.synced && !l.snapping:
	case c.now-l.heard > limit:
		return "silent for too long"
	case l.waitFor != 0 && c.now-l.waitSince > int64(c.cfg.SyncLimitTicks):
		return "a proposal was not acknowledged in time"
	}
	return ""
}
