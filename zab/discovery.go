package zab

import "math"

// Discovery (phase 1 of the paper): the leader learns what epoch was promised so far, proposes a later one, and
// makes sure that no follower of its quorum has a history that is longer than its own.

// leaderLearnerInfo takes FOLLOWERINFO or OBSERVERINFO, the first packet of a connection.
func (c *Core) leaderLearnerInfo(m Message) {
	ld := c.leading
	if c.learnerOf(m.Conn) != nil {
		c.drop(c.learnerOf(m.Conn), "introduced itself twice")
		return
	}
	if m.ConfigVersion > c.cfg.Ensemble.Version {
		c.ignored(m, "learner is ahead in configuration")
		c.close(m.Conn)
		return
	}
	if !c.replaceLearner(m.From) {
		c.close(m.Conn)
		return
	}
	promised := Epoch(m.Zxid)
	if ld.stage != collecting && promised > ld.epoch && c.isVoter(m.From) && m.Type == FollowerInfo {
		// It can never follow this epoch, whatever happens: only a later one brings it back.
		c.close(m.Conn)
		c.promisedByOthers = max(c.promisedByOthers, promised)
		c.stepDown("a voter has promised a later epoch")
		return
	}
	ld.learners = append(ld.learners, &learner{
		sid: m.From, conn: m.Conn, observer: m.Type == ObserverInfo, heard: c.now, answeredTo: -1,
	})
	if ld.stage == collecting {
		if c.isMember(m.From) { // a stranger could name the last epoch there is
			ld.promised = max(ld.promised, promised)
		}
		ld.told[m.From] = ld.told[m.From] || m.Type == FollowerInfo
		c.tryEpoch()
		return
	}
	c.informLearners()
}

// replaceLearner drops an older connection of the same server, which must be dead. It reports false if that cost
// this server its leadership.
func (c *Core) replaceLearner(sid int64) bool {
	ld := c.leading
	for _, old := range ld.learners {
		if old.sid == sid {
			c.drop(old, "connected again")
			return c.leading == ld
		}
	}
	return true
}

// tryEpoch fixes the new epoch once a quorum has said what it promised.
func (c *Core) tryEpoch() {
	ld := c.leading
	if !c.cfg.Ensemble.Quorum.IsQuorum(func(id int64) bool { return ld.told[id] }) {
		return
	}
	if ld.promised >= math.MaxInt32 {
		c.stepDown("no epoch left above the promised ones")
		return
	}
	ld.epoch = ld.promised + 1
	c.enter(promising)
	ld.waitWrite = c.setAcceptedEpoch(ld.epoch)
}

// announceEpoch runs when the leader's own promise is durable.
func (c *Core) announceEpoch() {
	ld := c.leading
	ld.waitWrite = 0
	ld.acked[c.cfg.ID] = true
	c.informLearners()
	c.tryEnter()
}

// informLearners sends LEADERINFO to those that have not had it.
func (c *Core) informLearners() {
	ld := c.leading
	if ld.stage < promising || ld.stage == promising && ld.waitWrite != 0 {
		return
	}
	for _, l := range ld.learners {
		if !l.informed {
			l.informed, l.heard = true, c.now
			c.send(Message{Type: LeaderInfo, To: l.sid, Conn: l.conn, Zxid: MakeZxid(ld.epoch, 0)})
		}
	}
}

// leaderAckEpoch takes what a learner has.
func (c *Core) leaderAckEpoch(m Message) {
	l := c.heardFrom(m)
	if l == nil {
		return
	}
	if !l.informed || l.answered {
		c.drop(l, "ACKEPOCH out of turn")
		return
	}
	l.answered, l.zxid = true, m.Zxid
	ld := c.leading
	if ld.stage > promising {
		if ld.stage >= establishing {
			c.syncLearner(l)
		}
		return
	}
	if m.Epoch == -1 || m.Zxid == -1 {
		return // it has promised before, or has nothing: it does not count, but will be synchronized
	}
	theirs := Vote{Leader: c.cfg.ID, Zxid: m.Zxid, PeerEpoch: m.Epoch}
	if longer(theirs, ld.summary) {
		c.drop(l, "has a later history than the leader")
		return
	}
	if !l.observer {
		ld.acked[l.sid] = true
		c.tryEnter()
	}
}

// longer reports whether a's (currentEpoch, last zxid) is greater than b's.
func longer(a, b Vote) bool {
	return a.PeerEpoch > b.PeerEpoch || a.PeerEpoch == b.PeerEpoch && a.Zxid > b.Zxid
}

// tryEnter goes on once a quorum has promised the epoch: from here no older leader can commit anything.
func (c *Core) tryEnter() {
	ld := c.leading
	if !c.cfg.Ensemble.Quorum.IsQuorum(func(id int64) bool { return ld.acked[id] }) {
		return
	}
	c.enter(entering)
	ld.waitWrite = c.setCurrentEpoch(ld.epoch)
}

// learnerConnected introduces this server to the leader.
func (c *Core) learnerConnected(m Message) {
	l := c.learning
	if m.From != c.vote.Leader || l.conn != 0 {
		c.close(m.Conn)
		return
	}
	l.conn, l.quiet, l.retryIn = m.Conn, 0, 0
	info := Message{Type: FollowerInfo, Zxid: MakeZxid(c.acceptedEpoch, 0), ConfigVersion: c.cfg.Ensemble.Version}
	if c.cfg.Observer {
		info.Type = ObserverInfo
	}
	// What it says it promised must survive a crash.
	c.sendAfter(c.seq, c.toLeader(info))
}

func (c *Core) learnerConnectFailed(m Message) {
	if l := c.learning; m.From == c.vote.Leader && l.conn == 0 && l.retryIn == 0 {
		c.retryConnect()
	}
}

// learnerUnanswered gives up a leader to which every way is lost. It was elected by votes that came from it, and does not
// know, because none comes to it; to wait until it answers after all would cost the ensemble initLimit. Its votes are of
// a round before the next one, and count no more. If it does answer, countEstablished comes back to it.
func (c *Core) learnerUnanswered(m Message) {
	if m.From != c.vote.Leader || c.learning.conn != 0 {
		return
	}
	mute := tally{vote: c.vote, round: c.round}
	c.abandon("leader does not answer")
	c.electing.unanswered = mute
}

// retryConnect tries to reach the leader again in a while, a few times.
func (c *Core) retryConnect() {
	l := c.learning
	if l.tries >= c.cfg.ConnectTriesMax {
		c.abandon("leader cannot be reached")
		return
	}
	l.retryIn = c.cfg.ConnectRetryTicks
}

// learnerLeaderInfo promises the leader's epoch, if nothing later was promised.
func (c *Core) learnerLeaderInfo(m Message) {
	if !c.fromLeader(m) {
		return
	}
	l, e := c.learning, Epoch(m.Zxid)
	switch {
	case l.epoch != 0 || e <= 0:
		c.abandon("LEADERINFO out of turn")
		return
	case e < c.acceptedEpoch:
		c.abandon("leader's epoch is older than one promised")
		return
	}
	l.epoch = e
	answer := Message{Type: AckEpoch, Zxid: c.log.last, Epoch: c.currentEpoch}
	if e == c.acceptedEpoch {
		answer.Epoch = -1
	} else {
		c.setAcceptedEpoch(e)
	}
	if c.blank {
		// Not to be counted: what it had acknowledged is not compared with the leader's history.
		answer.Zxid, answer.Epoch = -1, -1
	}
	l.sync = &incoming{snapOnly: c.needSnap}
	if c.needSnap {
		// A position no history has: whoever leads can only answer with a snapshot. Not to be counted, not compared.
		// Demanded once: if it comes to nothing, the next attempt is an ordinary one, that may be counted.
		answer.Zxid, answer.Epoch = MakeZxid(e+1, 0), -1
		c.needSnap = false
	}
	c.become(c.role, Synchronization, "epoch promised")
	c.sendAfter(c.seq, c.toLeader(answer))
}
