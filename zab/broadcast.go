package zab

import (
	"math"
	"slices"
)

// Broadcast (phase 3 of the paper): the leader proposes, followers log and acknowledge, a quorum commits, in order.

// NextZxid returns the zxid that the next Propose will give, which the transaction carries inside. Only at an
// established leader; otherwise 0.
func (c *Core) NextZxid() int64 {
	if c.leading == nil || c.leading.stage != established {
		return 0
	}
	return c.leading.next
}

// CanPropose tells whether a Propose now would be taken: nil, or the error that Propose would return. A transaction is
// prepared against everything proposed before it, so a caller asks before it prepares one.
func (c *Core) CanPropose() error {
	ld := c.leading
	switch {
	case ld == nil || ld.stage != established:
		return ErrNotLeading
	case Epoch(ld.next) != ld.epoch || Counter(ld.next-1) >= c.cfg.EpochTxnsMax:
		return ErrEpochFull
	case ld.leaving != 0:
		return ErrHandingOver
	case ld.next-max(c.log.applied, MakeZxid(ld.epoch, 0)) > int64(c.cfg.OutstandingMax),
		c.log.pending >= c.cfg.OutstandingBytesMax:
		return ErrTooManyOutstanding
	}
	return nil
}

// Propose puts a transaction before the ensemble, as zxid NextZxid. It comes back as DeliverCommit, unless the
// leadership ends first: then it may or may not be part of the history that the next leader commits.
//
// Errors: ErrNotLeading, ErrHandingOver, ErrEpochFull, ErrTooManyOutstanding; nothing was proposed.
func (c *Core) Propose(data []byte) (zxid int64, err error) {
	if err := c.CanPropose(); err != nil {
		return 0, err
	}
	ld := c.leading
	zxid = ld.next
	ld.next++
	c.appendEntries(Entry{zxid, data})
	for _, l := range ld.learners {
		if l.live && !l.observer {
			c.feed(l)
		}
	}
	if Counter(zxid) == c.cfg.EpochTxnsMax {
		c.beginHandOver()
	}
	return zxid, nil
}

// feed sends a learner what is new since the last time: what it has as a proposal and is committed now, what it
// never had, and, if it is a follower, what is proposed. In the order of the history, each once.
func (c *Core) feed(l *learner) {
	limit := c.holdFor(l, c.committedHere())
	for _, e := range until(c.log.after(l.committed), limit) {
		c.feedCommitted(l, e)
		l.committed = e.Zxid
	}
	l.sent = max(l.sent, l.committed)
	if l.observer {
		return
	}
	for _, e := range c.log.after(l.sent) {
		c.toLearner(l, Message{Type: Proposal, Zxid: e.Zxid, Data: e.Data})
		l.sent = e.Zxid
		if l.live {
			c.awaitAck(l, e.Zxid)
		}
	}
}

func (c *Core) feedCommitted(l *learner, e Entry) {
	if l.observer && l.live {
		c.toLearner(l, Message{Type: Inform, Zxid: e.Zxid, Data: e.Data})
		return
	}
	if e.Zxid > l.sent {
		c.toLearner(l, Message{Type: Proposal, Zxid: e.Zxid, Data: e.Data})
	}
	c.toLearner(l, Message{Type: Commit, Zxid: e.Zxid})
}

// awaitAck watches one proposal per learner: that it is not acknowledged in time tells a stuck disk from a dead line.
func (c *Core) awaitAck(l *learner, z int64) {
	if l.waitFor == 0 {
		l.waitFor, l.waitSince = z, c.now
	}
}

// leaderAck takes an acknowledgement: everything up to its zxid is durable at the follower.
func (c *Core) leaderAck(m Message) {
	l := c.heardFrom(m)
	if l == nil {
		return
	}
	ld := c.leading
	switch {
	case !l.synced:
		c.drop(l, "ACK out of turn")
	case m.Zxid == MakeZxid(ld.epoch, 0):
		c.leaderJoinAck(l)
	case m.Zxid > l.sent:
		c.drop(l, "acknowledges what it was not sent")
	case Epoch(m.Zxid) != ld.epoch || Counter(m.Zxid) == 0:
		// Some Java followers acknowledge every catch-up proposal, even before NEWLEADER. Those are no votes.
	default:
		// One that comes before the ACK of NEWLEADER (ZOOKEEPER-4685) is kept, and counts from there on.
		l.acked = max(l.acked, m.Zxid)
		if l.acked >= l.waitFor {
			l.waitFor = 0
			if l.sent > l.acked {
				c.awaitAck(l, l.sent)
			}
		}
		if l.live {
			c.tryCommit()
		}
	}
}

// tryCommit commits as far as a quorum has acknowledged. Acknowledgements are cumulative, so the candidates are the
// points up to which somebody has; this server's own disk is one of the voters.
func (c *Core) tryCommit() {
	ld := c.leading
	if c.log.last <= c.log.applied {
		return
	}
	points := append(ld.points[:0], c.synced)
	for _, l := range ld.learners {
		if l.live && !l.observer && l.acked > c.log.applied {
			points = append(points, l.acked)
		}
	}
	ld.points = points
	slices.Sort(points)
	for _, z := range slices.Backward(points) {
		if z > c.log.applied && Epoch(z) == ld.epoch && c.ackedBy(z) {
			c.commitTo(z)
			return
		}
	}
}

// ackedBy reports whether a quorum has z on disk.
func (c *Core) ackedBy(z int64) bool {
	return c.cfg.decider().IsQuorum(func(id int64) bool {
		if id == c.cfg.ID {
			return c.synced >= z
		}
		return slices.ContainsFunc(c.leading.learners, func(l *learner) bool {
			return l.sid == id && l.live && !l.observer && l.acked >= z
		})
	})
}

// commitTo commits everything up to z and tells everybody.
func (c *Core) commitTo(z int64) {
	waited := c.log.pending
	c.deliverTo(z)
	for _, l := range c.leading.learners {
		if l.live {
			c.feed(l)
		} else if l.joining() {
			l.held += waited - c.log.pending
		}
	}
	c.releaseSyncs()
	c.trimLeader()
	if c.leading != nil && c.leading.leaving != 0 {
		c.tryHandOver()
	}
}

// trimLeader lets memory go that no learner needs, and learners that would need too much of it.
func (c *Core) trimLeader() {
	ld := c.leading
	// What was committed is yet to be told to these: they join, or wait for the answer to a sync.
	owed := func(l *learner) bool { return l.joining() || l.live && l.committed < c.log.applied }
	if !slices.ContainsFunc(ld.learners, owed) {
		c.log.forget(c.cfg.WindowTxns, math.MaxInt64)
		return
	}
	keepFrom := int64(math.MaxInt64)
	for _, l := range slices.Clone(ld.learners) {
		if !owed(l) {
			continue
		}
		if len(after(c.log.mem, l.committed)) > c.cfg.WindowTxns+c.cfg.HeldTxnsMax || l.held > c.cfg.HeldBytesMax {
			c.drop(l, "too far behind while it was synchronized")
			if c.leading != ld {
				return
			}
			continue
		}
		keepFrom = min(keepFrom, l.committed)
	}
	c.log.forget(c.cfg.WindowTxns, keepFrom)
}

func (c *Core) trimLearner() { c.log.forget(c.cfg.WindowTxns, math.MaxInt64) }

// pingAll sends a ping to every learner that has been sent its synchronization.
func (c *Core) pingAll() {
	for _, l := range c.leading.learners {
		if l.synced {
			c.ping(l)
		}
	}
}

func (c *Core) ping(l *learner) {
	c.toLearner(l, Message{Type: Ping, Zxid: c.log.last})
	if l.live {
		l.pinged(c.now) // before UPTODATE pings are not answered
	}
}

// leaderPing takes a learner's answer, which carries its sessions.
func (c *Core) leaderPing(m Message) {
	l := c.heardFrom(m)
	if l == nil || !l.live {
		return
	}
	if !l.ponged() {
		c.drop(l, "answers pings that were not sent")
		return
	}
	c.out.Deliver = append(c.out.Deliver, Delivery{Kind: DeliverPacket, Packet: m})
	c.checkRound()
}

// leaderPacket hands a request of a learner to the parts above.
func (c *Core) leaderPacket(m Message) {
	l := c.heardFrom(m)
	if l == nil {
		return
	}
	if !l.live {
		c.drop(l, m.Type.String()+" before UPTODATE")
		return
	}
	c.out.Deliver = append(c.out.Deliver, Delivery{Kind: DeliverPacket, Packet: m})
}

// Reply sends the answer to a Revalidate to the learner on connection conn, in order with everything else that it is
// sent. ErrNotServing: the learner is gone.
func (c *Core) Reply(conn ConnID, data []byte) error {
	if c.leading == nil || c.leading.stage != established {
		return ErrNotLeading
	}
	l := c.learnerOf(conn)
	if l == nil || !l.live {
		return ErrNotServing
	}
	c.toLearner(l, Message{Type: Revalidate, Zxid: -1, Data: data})
	return nil
}

// Forward sends a Request or Revalidate to the leader, in order. ErrNotServing: there is no established leader, or it
// is this server itself.
func (c *Core) Forward(t Type, data, auth []byte) error {
	assert(t == Request || t == Revalidate, "only REQUEST and REVALIDATE are forwarded")
	if c.learning == nil || c.phase != Broadcast {
		return ErrNotServing
	}
	c.send(c.toLeader(Message{Type: t, Zxid: -1, Data: data, Auth: auth}))
	return nil
}

// learnerProposal logs a transaction, and acknowledges it when it is durable.
func (c *Core) learnerProposal(m Message) {
	if !c.fromLeader(m) {
		return
	}
	l := c.learning
	switch {
	case l.joined == 0 && l.sync != nil:
		c.syncProposal(m)
	case l.joined == 0:
		c.abandon("PROPOSAL out of turn")
	case c.role == Observing:
		c.ignored(m, "an observer is informed")
	case m.Zxid == c.log.last && Epoch(m.Zxid) == l.epoch:
		// A Java 3.9 leader gives a request it cannot parse the zxid of the one before.
		c.ignored(m, "repeats the last zxid")
		c.ackProposal(c.seq, m.Zxid)
	case !c.nextOf(l, m.Zxid):
		c.abandon("PROPOSAL skips transactions")
	case !c.sound(m):
	default:
		c.ackProposal(c.appendEntries(Entry{m.Zxid, m.Data}), m.Zxid)
	}
}

// nextOf reports whether z may be the next transaction of the epoch that l follows.
func (c *Core) nextOf(l *learning, z int64) bool {
	return Epoch(z) == l.epoch && Follows(c.log.last, z)
}

// sound reports whether the log can hold the transaction of m. If not, the leader is given up.
func (c *Core) sound(m Message) bool {
	if c.cfg.Check == nil {
		return true
	}
	err := c.cfg.Check(Entry{m.Zxid, m.Data})
	if err != nil {
		c.abandon("leader sent no transaction: " + err.Error())
	}
	return err == nil
}

// ackProposal acknowledges z once seq is durable, but never ahead of the ACK that answers UPTODATE.
func (c *Core) ackProposal(seq uint64, z int64) {
	if c.phase != Broadcast {
		c.learning.ackLater = append(c.learning.ackLater, appended{seq, z})
		return
	}
	c.sendAfter(seq, c.toLeader(Message{Type: Ack, Zxid: z}))
}

// learnerCommit takes the word that the oldest proposal is committed.
func (c *Core) learnerCommit(m Message) {
	if !c.fromLeader(m) {
		return
	}
	l := c.learning
	switch {
	case l.joined == 0 && l.sync != nil && l.sync.op != 0:
		c.syncCommit(m)
	case l.joined == 0:
		c.abandon("COMMIT out of turn")
	case c.role == Observing:
		c.ignored(m, "an observer is informed")
	case m.Zxid <= l.commits || c.log.last <= l.commits:
		c.ignored(m, "nothing is waiting for it")
	case c.log.after(l.commits)[0].Zxid != m.Zxid:
		c.abandon("COMMIT is not of the oldest proposal")
	default:
		c.commitLearned(m.Zxid)
	}
}

// commitLearned delivers up to z, or remembers it until UPTODATE.
func (c *Core) commitLearned(z int64) {
	c.learning.commits = z
	if c.phase == Broadcast {
		c.deliverTo(z)
		c.trimLearner()
	}
}

// learnerInform takes a committed transaction at an observer.
func (c *Core) learnerInform(m Message) {
	if !c.fromLeader(m) {
		return
	}
	if m.Type == InformAndActivate {
		const designatedLeader = 8 // bytes before the transaction
		if len(m.Data) < designatedLeader {
			c.abandon("INFORMANDACTIVATE is too short")
			return
		}
		m.Data = m.Data[designatedLeader:]
	}
	l := c.learning
	switch {
	case l.joined == 0 && l.sync != nil:
		if c.syncProposal(m); c.learning == l {
			c.syncCommit(m)
		}
	case l.joined == 0:
		c.abandon("INFORM out of turn")
	case m.Zxid <= c.log.last:
		c.ignored(m, "repeated")
	case !c.nextOf(l, m.Zxid):
		c.abandon("INFORM skips transactions")
	case !c.sound(m):
	default:
		c.appendEntries(Entry{m.Zxid, m.Data})
		c.commitLearned(m.Zxid)
	}
}

// learnerPing answers with an empty list, which the runtime may fill with sessions: Java's leader fails on nil.
func (c *Core) learnerPing(m Message) {
	if c.fromLeader(m) && c.phase == Broadcast {
		c.send(c.toLeader(Message{Type: Ping, Zxid: m.Zxid, Data: []byte{}}))
	}
}

// learnerPacket hands an answer of the leader to the parts above, behind the commits that came before it.
func (c *Core) learnerPacket(m Message) {
	if c.fromLeader(m) && c.phase == Broadcast {
		c.out.Deliver = append(c.out.Deliver, Delivery{Kind: DeliverPacket, Packet: m})
	}
}
