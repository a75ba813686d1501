package zab

import (
	"cmp"
	"slices"

	"github.com/quorate/quorate/zab/quorum"
)

// FastLeaderElection. Every voter proposes the best vote it has heard of, first its own; when a quorum proposes the
// same, it is decided. Servers that already have a leader answer with it, so that latecomers join rather than elect.
//
// Safety does not rest here: discovery refuses a leader that lacks what a follower has. The election makes it likely
// that the first one is accepted.

// tally is one server's vote as counted.
type tally struct {
	vote   Vote
	round  int64
	state  Role
	format int32
}

// election is what one search for a leader has gathered.
type election struct {
	own           Vote            // what this server proposes by itself
	received      map[int64]tally // by sender, of this round
	outOfElection map[int64]tally // by sender, of servers that follow or lead
	interval      int             // ticks without news after which the vote is sent again
	quiet         int             // ticks without news so far
	finalize      int             // ticks left before a decided vote is taken; 0: not decided
	diskHangs     bool            // this server does not vote because of its disk
	absent        map[int64]bool  // voters that are known to be down
	unanswered    tally           // the leader given up last, if because nothing was answered
	seated        []Message       // learners that take this server for the leader already
	seatedAt      int64           // the tick at which the first of them came
}

// seatedMax bounds the learners that may wait for an election to end.
const seatedMax = 256

// better reports whether v beats w under the committed configuration: later currentEpoch, then longer history, then
// higher sid. A server of weight 0 never wins.
func better(q quorum.Verifier, v, w Vote) bool {
	if q.Weight(v.Leader) == 0 {
		return false
	}
	return cmp.Or(cmp.Compare(v.PeerEpoch, w.PeerEpoch), cmp.Compare(v.Zxid, w.Zxid), cmp.Compare(v.Leader, w.Leader)) > 0
}

// sameVote is the equality that counts. Servers with a leader differ legitimately in zxid and round, because they may
// have joined later (ZOOKEEPER-1732, 1805); a server of the 3.4 line tells no peerEpoch that could be compared.
func sameVote(a, b tally) bool {
	switch {
	case a.vote.Leader != b.vote.Leader:
		return false
	case a.state == Looking || b.state == Looking:
		return a.vote == b.vote && a.round == b.round
	case (a.format == 0) != (b.format == 0):
		return true
	default:
		return a.vote.PeerEpoch == b.vote.PeerEpoch
	}
}

// ownVote is what this server proposes when it knows nothing of the others.
func (c *Core) ownVote() Vote {
	if c.cfg.Observer {
		return noVote()
	}
	v := Vote{Leader: c.cfg.ID, Zxid: c.log.last, PeerEpoch: c.currentEpoch}
	if !c.isVoter(c.cfg.ID) {
		v.Leader = NoServer
	}
	if c.blank || c.diskHangs() {
		v.Zxid = -1 // not to be counted, nor does it count
	}
	return v
}

// lookForLeader leaves whatever the role was and starts an election.
func (c *Core) lookForLeader(reason string) { c.lookWith(c.ownVote(), reason) }

// lookWith is lookForLeader with another first proposal than the server itself: a leader that hands over proposes its
// successor.
func (c *Core) lookWith(own Vote, reason string) {
	c.leaveRole()
	c.round++
	c.electing = election{
		own: own, received: map[int64]tally{}, outOfElection: map[int64]tally{}, interval: c.cfg.NotifyMinTicks,
		diskHangs: c.diskHangs(), absent: map[int64]bool{},
	}
	c.vote = own
	c.become(Looking, Election, reason)
	c.propose(own)
	c.checkDecided()
}

// propose makes v this server's vote and tells all voters.
func (c *Core) propose(v Vote) {
	c.vote = v
	c.electing.finalize = 0
	if c.isVoter(c.cfg.ID) {
		c.electing.received[c.cfg.ID] = tally{v, c.round, Looking, notificationFormat}
	}
	c.notifyAll()
}

const notificationFormat = 2

func (c *Core) notifyAll() {
	for _, id := range c.cfg.decider().Voters() {
		if id != c.cfg.ID {
			c.notify(id)
		}
	}
}

// notify sends the present vote, round and state to one server.
func (c *Core) notify(to int64) {
	c.send(Message{
		Type: Notification, To: to, Vote: c.vote, Round: c.round, State: c.role, Format: notificationFormat,
		ConfigVersion: c.cfg.Ensemble.Version, Data: c.cfg.Ensemble.Text,
	})
}

// establishedNotification answers servers that look for a leader, in every role that has one.
func (c *Core) establishedNotification(m Message) {
	c.noteConfig(m)
	if !c.isVoter(m.From) || m.State == Looking {
		c.notify(m.From)
	}
}

// learnerNotification also believes its own leader that looks for another: it has left, and its connections are about to
// end. Its vote counts, which nobody who follows would count, and which may be the one that everybody waits for
// (handover.go). A vote of this round or before is no news: it is how the leader was elected, sent again or overtaken.
// One of a later round can only be sent after the leader has left, so believing it late, or twice, costs at most an
// election that finds the same leader, whose round is known then.
func (c *Core) learnerNotification(m Message) {
	if m.From != c.vote.Leader || m.State != Looking || m.Round <= c.round {
		c.establishedNotification(m)
		return
	}
	c.abandon("the leader looks for another")
	if c.role == Looking {
		c.lookingNotification(m)
	}
}

// leaderNotification also tells a leader that is not established, and whose followers are no quorum, that a voter is
// looking: it will not come, because this leader's word alone is not enough for it. Waiting for others would cost the
// ensemble initLimit, so the leader looks with it. A vote of this round or before may be an old one that was sent
// again; it counts only when the leader has been alone for a while.
func (c *Core) leaderNotification(m Message) {
	ld := c.leading
	hopeless := ld.stage != established && !c.quorumOf(func(*learner) bool { return true })
	fresh := m.Round > c.round || c.now-ld.quorumAt > 2*int64(c.cfg.NotifyMinTicks)
	if hopeless && fresh && m.State == Looking && c.isVoter(m.From) && c.isVoter(m.Vote.Leader) {
		c.stepDown("a voter looks for a leader, and no quorum follows")
		if c.role == Looking {
			c.lookingNotification(m)
		}
		return
	}
	c.establishedNotification(m)
}

func (c *Core) noteConfig(m Message) {
	if m.ConfigVersion > c.cfg.Ensemble.Version {
		c.event(Event{Kind: EventConfigSeen, Peer: m.From, Zxid: m.ConfigVersion})
	}
}

// lookingNotification is the heart of the election.
func (c *Core) lookingNotification(m Message) {
	c.noteConfig(m)
	if !c.isVoter(m.From) {
		c.notify(m.From) // observers and joiners are told, never counted
		return
	}
	if !c.isVoter(m.Vote.Leader) {
		// A voter that cannot vote (blank disk of the 3.4 line, or not in its own configuration) still asks.
		if m.State == Looking {
			c.notify(m.From)
		}
		return
	}
	switch m.State {
	case Looking:
		c.countLooking(m)
	case Following, Leading:
		c.countEstablished(m)
	case Observing, Halted:
	}
}

// countLooking takes the vote of a server that is looking as well.
func (c *Core) countLooking(m Message) {
	if !c.isVoter(c.cfg.ID) {
		// What a looking Java server tells one that has no vote is the leader of its last election under the round of
		// this one. A quorum of that would lead to a leader that is gone, or hangs, and holds an observer for
		// initLimit. So only the word of those counts who have a leader, and they are asked again soon.
		c.electing.interval = c.cfg.NotifyMinTicks
		return
	}
	if m.Round < c.round {
		c.notify(m.From)
		return
	}
	if c.electing.own.Zxid == -1 || m.Vote.Zxid == -1 {
		c.ignored(m, "a server that may not vote")
		return
	}
	c.noteNews(m)
	delete(c.electing.absent, m.From)
	q := c.cfg.Ensemble.Quorum
	switch {
	case m.Round > c.round:
		c.round = m.Round
		clear(c.electing.received)
		if better(q, m.Vote, c.electing.own) {
			c.propose(m.Vote)
		} else {
			c.propose(c.electing.own)
		}
	case better(q, m.Vote, c.vote):
		c.propose(m.Vote)
	case c.vote != m.Vote && !c.heardLooking(m.From):
		// It may still have followed when it was told, and who follows counts nothing. Without this answer both would
		// wait until the votes are sent again.
		c.notify(m.From)
	}
	c.electing.received[m.From] = tally{m.Vote, m.Round, Looking, m.Format}
	c.checkDecided()
}

// lookingUnreachable takes the word that a voter is down: nobody needs to wait for what it might say. It counts again
// when it is heard.
func (c *Core) lookingUnreachable(m Message) {
	if c.isVoter(m.From) && m.From != c.cfg.ID {
		c.electing.absent[m.From] = true
		c.checkDecided()
	}
}

// seatLearner lets a learner wait that has elected this server a moment before this server knows. To send it away would
// cost it a connection and a pause before the next one, and a Java follower its election.
func (c *Core) seatLearner(m Message) {
	e := &c.electing
	if len(e.seated) >= seatedMax || !c.isVoter(c.cfg.ID) {
		c.refuseLearner(m)
		return
	}
	if len(e.seated) == 0 {
		e.seatedAt = c.now
	}
	e.seated = append(e.seated, m)
}

// unseatLearner forgets one whose connection is gone.
func (c *Core) unseatLearner(m Message) {
	e := &c.electing
	e.seated = slices.DeleteFunc(e.seated, func(s Message) bool { return s.Conn == m.Conn })
}

// clearSeats ends an election for those that waited for it: they follow, or look elsewhere.
func (c *Core) clearSeats(seated []Message) {
	for _, m := range seated {
		if c.role == Leading {
			c.leaderLearnerInfo(m)
		} else {
			c.refuseLearner(m)
		}
	}
}

// noteNews has the vote sent again soon when m is not just said again: who has something new to say may have missed what
// was said to it, when it was out of reach. What is repeated does not count, or two servers that go on talking to each
// other would have a third wait for ever.
func (c *Core) noteNews(m Message) {
	e := &c.electing
	for _, said := range []map[int64]tally{e.received, e.outOfElection} {
		if t, ok := said[m.From]; ok && t.vote == m.Vote && t.round == m.Round && t.state == m.State {
			return
		}
	}
	e.quiet, e.interval = 0, c.cfg.NotifyMinTicks
}

// heardLooking reports whether that server has voted in this round.
func (c *Core) heardLooking(id int64) bool {
	t, ok := c.electing.received[id]
	return ok && t.state == Looking
}

// countEstablished takes the word of a server that follows or leads.
func (c *Core) countEstablished(m Message) {
	c.noteNews(m)
	delete(c.electing.absent, m.From)
	t := tally{m.Vote, m.Round, m.State, m.Format}
	if gone := c.electing.unanswered; m.State == Leading && m.From == gone.vote.Leader && m.Vote == gone.vote && m.Round == gone.round {
		// The leader given up answers after all, and was elected by a quorum already. One of Java's that has not got its
		// quorum yet would never be followed by the word of others: they wait as well.
		c.round = m.Round
		c.elected(m.Vote)
		return
	}
	if m.Round == c.round {
		counted := t
		counted.format = 0
		c.electing.received[m.From] = counted
		if c.agreed(c.electing.received, t) && c.leaderAnswers(c.electing.received, m) {
			c.elected(m.Vote)
			return
		}
	}
	c.electing.outOfElection[m.From] = t
	if c.agreed(c.electing.outOfElection, t) && c.leaderAnswers(c.electing.outOfElection, m) {
		c.round = m.Round
		c.elected(m.Vote)
	}
}

// agreed reports whether a quorum voted like t.
func (c *Core) agreed(votes map[int64]tally, t tally) bool {
	return c.cfg.decider().IsQuorum(func(id int64) bool {
		v, ok := votes[id]
		return ok && sameVote(t, v)
	})
}

// leaderAnswers reports whether the leader that m names says so itself: followers of a dead leader still name it.
func (c *Core) leaderAnswers(votes map[int64]tally, m Message) bool {
	if m.Vote.Leader == c.cfg.ID {
		// Votes for a blank server were for what it has lost.
		return m.Round == c.round && !c.blank
	}
	t, ok := votes[m.Vote.Leader]
	return ok && t.state == Leading
}

// checkDecided looks whether a quorum proposes what this server proposes. If so it waits a little for a better vote,
// unless nobody is left who could have one: ZooKeeper waits for the dead as well.
func (c *Core) checkDecided() {
	mine := tally{c.vote, c.round, Looking, notificationFormat}
	if !c.isVoter(c.vote.Leader) || c.electing.own.Zxid == -1 || !c.agreed(c.electing.received, mine) {
		c.electing.finalize = 0
		return
	}
	for _, id := range c.cfg.decider().Voters() {
		if t, ok := c.electing.received[id]; !c.electing.absent[id] && (!ok || !sameVote(mine, t)) {
			if c.electing.finalize == 0 {
				c.electing.finalize = c.cfg.FinalizeWaitTicks + 1
			}
			return
		}
	}
	c.elected(c.vote)
}

// tickElection sends the vote again when there has been no news, and takes a decided vote after its wait.
func (c *Core) tickElection() {
	c.tickAbdicated()
	if hangs := c.diskHangs(); hangs != c.electing.diskHangs && c.isVoter(c.cfg.ID) {
		c.lookForLeader(map[bool]string{true: "own disk hangs", false: "own disk goes on"}[hangs])
		return
	}
	e := &c.electing
	if len(e.seated) > 0 && c.now-e.seatedAt > int64(c.cfg.FinalizeWaitTicks+c.cfg.NotifyMinTicks) {
		seated := e.seated
		e.seated = nil
		c.clearSeats(seated) // nothing comes of it: let them look again
	}
	if e.finalize > 0 {
		if e.finalize--; e.finalize == 0 {
			c.elected(c.vote)
			return
		}
	}
	e.quiet++
	if e.quiet < e.interval {
		return
	}
	e.quiet = 0
	if c.cfg.Rand != nil {
		e.quiet = -c.cfg.Rand.Intn(max(1, e.interval/4))
	}
	e.interval = min(2*e.interval, c.cfg.NotifyMaxTicks)
	c.notifyAll()
}

// elected ends the election: this server leads, or turns to who does.
func (c *Core) elected(v Vote) {
	c.vote = v
	seated := c.electing.seated
	c.electing = election{}
	if c.abdicated != 0 {
		c.abdicated = 0
		c.event(Event{Kind: EventHandedOver, Peer: v.Leader})
	}
	switch {
	case v.Leader == c.cfg.ID:
		c.startLeading()
	case c.cfg.Observer:
		c.startLearning(Observing)
		return
	default:
		c.startLearning(Following)
	}
	// Whoever still looks may have missed a vote while it followed the last leader. ZooKeeper lets it ask again.
	c.notifyAll()
	c.clearSeats(seated)
}
