package zab

import "slices"

// Synchronization (phase 2 of the paper): the leader brings the history of each learner to its own, by DIFF, TRUNC or
// SNAP and the transactions after it, and is established when a quorum has it on disk.

// startSync runs when the leader's currentEpoch is durable, and with it its whole initial history.
func (c *Core) startSync() {
	c.enter(establishing)
	c.become(Leading, Synchronization, "a quorum has promised the epoch")
	for _, l := range slices.Clone(c.leading.learners) {
		if l.answered {
			c.syncLearner(l)
		}
	}
	c.tryEstablish()
}

// committedHere is where the committed history ends for synchronization. Before it is established a leader offers its
// whole initial history: it is committed by the same quorum that establishes it.
func (c *Core) committedHere() int64 {
	if c.leading.stage == established {
		return c.log.applied
	}
	return c.leading.initial
}

// syncLearner queues everything from the first packet of synchronization up to NEWLEADER; behind a snapshot only when
// that has left.
func (c *Core) syncLearner(l *learner) {
	op, pos := c.chooseSync(l)
	switch op {
	case Diff:
		c.toLearner(l, Message{Type: Diff, Zxid: c.committedHere()})
	case Trunc:
		c.toLearner(l, Message{Type: Trunc, Zxid: c.truncPoint(l, pos)})
	case Snap:
		pos = c.sendSnap(l)
	default:
		c.drop(l, "claims a transaction of this epoch that was never proposed")
		return
	}
	assert(pos >= c.log.base, "a learner goes on from a known position")
	l.how, l.heard = op.String(), c.now
	l.sent, l.committed = pos, pos
	if op != Snap {
		c.endSync(l)
	}
}

// endSync queues what a learner lacks behind what has been queued, and NEWLEADER.
//
// After a snapshot that is done when its last byte has been written. What was sent may hold everything that had been
// committed by then, and says only that it holds what its stamp says. Until the learner has come past that point its
// tree is of no one time, so all of it has to come before NEWLEADER: behind that, clients would be served meanwhile.
// ZooKeeper's leader does the same, because it queues NEWLEADER after it has written the snapshot.
func (c *Core) endSync(l *learner) {
	if l.committed < c.log.memFrom {
		l.how += " from disk"
		c.toLearner(l, Message{Type: LogRange, Zxid: l.committed, Through: c.log.memFrom})
		l.sent, l.committed = c.log.memFrom, c.log.memFrom
	}
	c.feed(l)
	l.held = 0
	l.synced, l.heard, l.began = true, c.now, l.committed
	c.toLearner(l, Message{Type: NewLeader, Zxid: MakeZxid(c.leading.epoch, 0), Data: c.cfg.lastSeenText()})
}

// chooseSync decides how to bring a learner with last zxid l.zxid to this history, and from which position it goes on.
// No op: the learner lies.
func (c *Core) chooseSync(l *learner) (op Type, pos int64) {
	z, limit := l.zxid, c.committedHere()
	op, pos = Diff, z
	switch {
	case z == -1:
		return Snap, 0
	case z == MakeZxid(c.leading.epoch, 0) && c.leading.initial >= c.log.base:
		pos = c.leading.initial // it got this leader's own snapshot
	case c.log.contains(z) && z > limit:
		// It holds proposals of this epoch that are not committed yet. They come again, and are acknowledged again.
		op, pos = Trunc, limit
	case c.log.contains(z):
	case Counter(z) != 0 && Epoch(z) == c.leading.epoch && z > c.log.last:
		return 0, 0
	case z < c.log.base || Counter(z) == 0 || Epoch(c.log.floor(z)) != Epoch(z):
		// Never cut across an epoch: where this history left the learner's earlier epoch says nothing about where
		// the learner's own did.
		return Snap, 0
	default:
		op, pos = Trunc, c.log.floor(z)
	}
	if op == Trunc && c.cfg.learner(l.sid).SnapForTrunc {
		return Snap, 0
	}
	if pos < c.log.memFrom && c.log.count(pos) > int64(c.cfg.DiffTxnsMax) ||
		c.log.bytesAfter(pos) > int64(c.cfg.DiffBytesMax) {
		return Snap, 0
	}
	return op, pos
}

// truncPoint is how pos is written in TRUNC. To a learner that has logged some of this epoch the end of the initial
// history is written as the stamp of the epoch: it means the same to a log, and also fits one that began with a
// snapshot so stamped.
func (c *Core) truncPoint(l *learner, pos int64) int64 {
	if pos == c.leading.initial && Epoch(l.zxid) == c.leading.epoch {
		return MakeZxid(c.leading.epoch, 0)
	}
	return pos
}

// sendSnap orders a snapshot and returns the position it leads to.
func (c *Core) sendSnap(l *learner) int64 {
	l.snapping = true
	snap := Message{Type: Snap, Zxid: c.log.applied, Through: c.log.applied}
	if c.cfg.learner(l.sid).SnapForTrunc {
		// The stamp is above every old zxid, so that the old tail of a Java log is never read again.
		snap.Through = c.committedHere()
		snap.Zxid = max(snap.Through, MakeZxid(c.leading.epoch, 0))
	}
	c.toLearner(l, snap)
	return snap.Through
}

// toLearner queues m on the connection of l.
func (c *Core) toLearner(l *learner, m Message) {
	m.To, m.Conn = l.sid, l.conn
	c.send(m)
}

// tryEstablish ends synchronization when a quorum has acknowledged NEWLEADER: the initial history is committed.
func (c *Core) tryEstablish() {
	ld := c.leading
	if ld.stage != establishing || !c.quorumOf(func(l *learner) bool { return l.joined }) {
		return
	}
	c.deliverTo(ld.initial)
	c.enter(established)
	ld.next = MakeZxid(ld.epoch, 1)
	c.vote.PeerEpoch = ld.epoch
	c.become(Leading, Broadcast, "established")
	c.out.Deliver = append(c.out.Deliver, Delivery{Kind: DeliverServe, Zxid: c.log.applied})
	for _, l := range ld.learners {
		if l.joined {
			c.goLive(l)
		}
	}
}

// goLive lets a learner serve and take part in broadcast. UPTODATE goes ahead of everything proposed or committed
// since NEWLEADER: a COMMIT between the two breaks older Java followers (ZOOKEEPER-4394).
func (c *Core) goLive(l *learner) {
	c.toLearner(l, Message{Type: UpToDate, Zxid: -1})
	l.live = true
	c.joinRound(l)
	c.event(Event{Kind: EventLearnerJoined, Peer: l.sid, Zxid: l.zxid, Reason: l.how})
	if l.sent > l.committed {
		c.awaitAck(l, l.sent)
	}
	c.feed(l)
}

// leaderJoinAck takes the acknowledgement of NEWLEADER. The same number comes again after UPTODATE, for nothing.
func (c *Core) leaderJoinAck(l *learner) {
	if l.joined {
		return
	}
	l.joined = true
	if c.leading.stage != established {
		c.tryEstablish()
		return
	}
	c.goLive(l)
	c.tryCommit() // it may have acknowledged proposals before
}

// learnerDiff, learnerTrunc and learnerSnap take the leader's choice. They only remember it.
func (c *Core) learnerDiff(m Message) { c.beginSync(m, c.log.last) }

func (c *Core) learnerTrunc(m Message) {
	to := c.log.floor(m.Zxid)
	if s := c.learning.sync; s != nil && s.op == 0 && (!c.log.contains(m.Zxid) || to < c.log.applied) {
		// Either position is not in this log, or it lies before the state of the tree. Only a snapshot helps.
		if c.fromLeader(m) {
			c.needSnap = true
			c.abandon("cannot truncate to where the leader says")
		}
		return
	}
	c.beginSync(m, to)
}

func (c *Core) learnerSnap(m Message) { c.beginSync(m, m.Zxid) }

func (c *Core) beginSync(m Message, from int64) {
	if !c.fromLeader(m) {
		return
	}
	s := c.learning.sync
	if s == nil || s.op != 0 || s.snapOnly && m.Type != Snap || from < 0 {
		c.abandon(m.Type.String() + " out of turn")
		return
	}
	if Epoch(from) > c.learning.epoch {
		// With such a history this server could not start again: it would be of an epoch that nobody has led.
		c.abandon(m.Type.String() + " is of a later epoch than the leader")
		return
	}
	s.op, s.from = m.Type, from
	c.learning.commits = from
}

// syncProposal remembers a transaction that comes before NEWLEADER. One that is known already may be repeated (the
// joiner of the paper sees a transaction in the initial history and as a proposal); one that is missing may not.
func (c *Core) syncProposal(m Message) {
	l, s := c.learning, c.learning.sync
	prev := s.from
	if n := len(s.pending); n > 0 {
		prev = s.pending[n-1].Zxid
	}
	switch {
	case s.op == 0:
		c.abandon("transaction before DIFF, TRUNC or SNAP")
	case m.Zxid <= prev:
		c.ignored(m, "repeated")
	case !Follows(prev, m.Zxid) || Epoch(m.Zxid) > l.epoch:
		c.needSnap = s.op != Snap
		c.abandon("synchronization skips transactions")
	case !c.sound(m):
	default:
		s.pending = append(s.pending, Entry{m.Zxid, m.Data})
		s.bytes += len(m.Data)
		if s.op != Snap && s.bytes > c.cfg.DiffBytesMax+c.cfg.OutstandingBytesMax {
			c.needSnap = true
			c.abandon("synchronization is longer than memory allows")
		}
	}
}

// syncCommit remembers that the oldest uncommitted transaction of the synchronization is committed.
func (c *Core) syncCommit(m Message) {
	l, s := c.learning, c.learning.sync
	if m.Zxid <= l.commits {
		c.ignored(m, "repeated")
		return
	}
	if next := after(s.pending, l.commits); len(next) == 0 || next[0].Zxid != m.Zxid {
		c.abandon("COMMIT is not of the oldest proposal")
		return
	}
	l.commits = m.Zxid
}

// after returns those of entries that are after z.
func after(entries []Entry, z int64) []Entry { return entries[len(until(entries, z)):] }

// learnerNewLeader puts the leader's history on disk, in one ordered sequence: mark, data, currentEpoch, and only then
// the acknowledgement (ZOOKEEPER-3911, 4643, 4646, 4685, 4785).
func (c *Core) learnerNewLeader(m Message) {
	if !c.fromLeader(m) {
		return
	}
	l := c.learning
	if l.sync == nil || l.sync.op == 0 || m.Zxid != MakeZxid(l.epoch, 0) {
		c.abandon("NEWLEADER out of turn")
		return
	}
	s := l.sync
	l.sync = nil
	c.putSync(s, m.Conn)
	c.blank = false
	l.joined = c.setCurrentEpoch(l.epoch)
	for _, e := range after(s.pending, l.commits) {
		l.ackLater = append(l.ackLater, appended{l.joined, e.Zxid})
	}
	c.sendAfter(l.joined, c.toLeader(Message{Type: Ack, Zxid: m.Zxid}))
}

// putSync orders the data of a synchronization to disk.
func (c *Core) putSync(s *incoming, conn ConnID) {
	if s.op != Diff || len(s.pending) > 0 {
		c.write(Write{Kind: WriteSyncMark})
	}
	switch {
	case s.op == Snap:
		c.log.reset(s.from)
		for _, e := range s.pending {
			c.log.append(e)
		}
		c.moved(c.write(Write{Kind: WriteInstall, Conn: conn, Zxid: s.from, Entries: s.pending}))
		return
	case s.op == Trunc && s.from < c.log.last:
		c.log.truncate(s.from)
		c.moved(c.write(Write{Kind: WriteTruncate, Zxid: s.from}))
	}
	if len(s.pending) > 0 {
		c.appendEntries(s.pending...)
	}
}

// learnerUpToDate begins broadcast: what was committed is delivered, and clients may be served.
func (c *Core) learnerUpToDate(m Message) {
	if !c.fromLeader(m) {
		return
	}
	l := c.learning
	if c.phase == Broadcast {
		c.ignored(m, "late")
		return
	}
	if l.joined == 0 {
		c.abandon("UPTODATE out of turn")
		return
	}
	c.vote.PeerEpoch = l.epoch
	c.become(c.role, Broadcast, "up to date")
	c.deliverTo(l.commits)
	c.out.Deliver = append(c.out.Deliver, Delivery{Kind: DeliverServe, Zxid: c.log.applied})
	c.trimLearner()
	c.sendAfter(l.joined, c.toLeader(Message{Type: Ack, Zxid: MakeZxid(l.epoch, 0)}))
	for _, a := range l.ackLater {
		c.sendAfter(a.seq, c.toLeader(Message{Type: Ack, Zxid: a.zxid}))
	}
	l.ackLater = nil
}
