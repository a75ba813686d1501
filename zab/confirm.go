package zab

// Confirmation of leadership. A leader that is cut off does not know it yet; if it answered a sync, the client could
// read what is long overwritten. So before it answers it asks a quorum, with ordinary pings: a follower that answers a
// ping has not promised a later epoch before, and as a later leader needs such a promise from every quorum, nothing
// was committed without this leader when the question was asked. ZooKeeper's own sync lacks this step.

// confirmation counts rounds of questions. Requests that come while a round is under way share the next one.
type confirmation struct {
	round, done int64 // begun, answered by a quorum
	queue       []syncRequest
}

// syncRequest waits for its round and for everything proposed before it.
type syncRequest struct {
	conn    ConnID // 0: this server's own
	token   uint64
	barrier int64
	round   int64
}

// Sync asks for a point to read from: it is answered once everything proposed before is committed, and a quorum has
// confirmed after this call that this server leads. Whoever reads after the answer sees every write that was
// acknowledged, by any leader, before this call.
//
// For a learner's request conn is its connection, and the answer is a SYNC packet to it, behind the commits. For the
// leader's own clients, and for linearizable reads, conn is 0, and the answer is DeliverSynced with token. Answers
// come in the order of the calls; none comes after DeliverStop. Many calls share one round of pings.
//
// Errors: ErrNotLeading, or ErrNotServing if the learner is gone.
func (c *Core) Sync(conn ConnID, token uint64) error {
	ld := c.leading
	if ld == nil || ld.stage != established {
		return ErrNotLeading
	}
	if conn != 0 {
		if l := c.learnerOf(conn); l == nil || !l.live {
			return ErrNotServing
		}
	}
	cf := &ld.confirm
	cf.queue = append(cf.queue, syncRequest{conn: conn, token: token, barrier: c.log.last, round: cf.round + 1})
	if cf.round == cf.done {
		c.startRound()
	}
	return nil
}

// startRound asks all followers.
func (c *Core) startRound() {
	ld := c.leading
	ld.confirm.round++
	for _, l := range ld.learners {
		if l.live {
			c.askLearner(l)
		}
	}
	c.checkRound()
}

func (c *Core) askLearner(l *learner) {
	if !l.observer && c.isVoter(l.sid) {
		c.ping(l)
		l.mark = l.pings
	}
}

// joinRound asks a learner that comes while a round is under way: those that were asked first may be gone.
func (c *Core) joinRound(l *learner) {
	if cf := &c.leading.confirm; cf.round > cf.done {
		c.askLearner(l)
	}
}

// checkRound ends the round under way when a quorum has answered, and begins the next if there is need.
func (c *Core) checkRound() {
	cf := &c.leading.confirm
	if cf.round == cf.done || !c.quorumOf(func(l *learner) bool { return l.live && l.pongs >= l.mark }) {
		return
	}
	cf.done = cf.round
	c.releaseSyncs()
	if n := len(cf.queue); n > 0 && cf.queue[n-1].round > cf.done {
		c.startRound()
	}
}

// releaseSyncs answers what has waited long enough, in order. A learner is told behind its answer what it was not
// told before (holdFor).
func (c *Core) releaseSyncs() {
	cf := &c.leading.confirm
	for len(cf.queue) > 0 {
		r := cf.queue[0]
		if r.round > cf.done || r.barrier > c.log.applied {
			return
		}
		cf.queue = cf.queue[1:]
		c.answerSync(r)
	}
}

func (c *Core) answerSync(r syncRequest) {
	if r.conn == 0 {
		c.out.Deliver = append(c.out.Deliver, Delivery{Kind: DeliverSynced, Token: r.token, Zxid: c.log.applied})
		return
	}
	if l := c.learnerOf(r.conn); l != nil {
		c.toLearner(l, Message{Type: Sync})
		c.feed(l)
	}
}

// holdFor returns up to where a learner may be told of commits: not beyond what was proposed when it asked for a sync
// that is not answered. A Java learner knows its clients' requests by their order alone, syncs among them: a commit
// that overtook the answer would be taken for another server's, and no request of any of its clients would ever be
// answered again. ZooKeeper's leader, which asks nobody, answers at the latest behind the commits of what was proposed
// before.
func (c *Core) holdFor(l *learner, committed int64) int64 {
	if !l.live {
		return committed
	}
	for _, r := range c.leading.confirm.queue {
		if r.conn == l.conn {
			return min(committed, r.barrier)
		}
	}
	return committed
}
