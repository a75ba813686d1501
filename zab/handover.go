package zab

// A leader that is asked to stop does not simply vanish, which would cost its ensemble a time-out and an election from
// scratch. It takes no more proposals, waits until what it proposed is committed, and then enters the election itself,
// for the follower that will win it anyway. With every voter of one mind nobody waits for a better vote.
//
// That takes its vote to be counted, which comes on another connection than the end of its leadership. A follower that
// gets the vote first believes it (Core.learnerNotification). A follower of Java's only answers it then, and counts
// nothing before it looks itself: so the vote is repeated to everybody who is heard to look (Core.countLooking), and the
// process has to stay until the outcome is known (Status.HandingOver).

// HandOver begins a graceful end of this leadership: before the process stops, or to move the leader. From here on
// Propose refuses. The end is an EventHandedOver: then the successor is elected, or there is none. ErrNotLeading: there
// is nothing to hand over.
func (c *Core) HandOver() error {
	if c.leading == nil || c.leading.stage != established {
		return ErrNotLeading
	}
	c.beginHandOver()
	c.tryHandOver()
	return nil
}

func (c *Core) beginHandOver() {
	if c.leading.leaving == 0 {
		c.leading.leaving = c.now + int64(c.cfg.HandOverTicks)
	}
}

// tryHandOver leaves when everything is committed and somebody has it all, or when time is up.
func (c *Core) tryHandOver() {
	if c.log.last > c.log.applied && c.now < c.leading.leaving {
		return
	}
	successor := c.successor()
	if successor != NoServer && c.log.last == c.log.applied {
		own := Vote{Leader: successor, Zxid: c.log.last, PeerEpoch: c.currentEpoch}
		c.abdicated = c.now + int64(c.cfg.HandOverTicks)
		c.lookWith(own, "handed over")
		return
	}
	if c.now >= c.leading.leaving || len(c.cfg.decider().Voters()) == 1 {
		c.event(Event{Kind: EventHandedOver, Peer: NoServer})
		c.stepDown("handed over to nobody")
	}
}

// tickAbdicated gives up waiting for the outcome.
func (c *Core) tickAbdicated() {
	if c.abdicated != 0 && c.now >= c.abdicated {
		c.abdicated = 0
		c.event(Event{Kind: EventHandedOver, Peer: NoServer})
	}
}

// successor returns the follower that an election among equals chooses: the highest sid of those that have everything.
func (c *Core) successor() int64 {
	best := int64(NoServer)
	for _, l := range c.leading.learners {
		q := c.cfg.Ensemble.Quorum
		has := max(l.acked, l.began) >= c.log.last
		if l.live && !l.observer && q.Weight(l.sid) > 0 && has && l.sid > best {
			best = l.sid
		}
	}
	return best
}
