package zab

// LearnerStatus is what a leader knows of one learner, for operators.
type LearnerStatus struct {
	// ID is the learner's sid, Conn its connection.
	ID   int64
	Conn ConnID
	// Observer tells that it introduced itself as one, Voter that its
	// acknowledgements count. A follower that is neither does not vote.
	Observer, Voter bool
	// Live tells that it takes part in broadcast: it is synchronized.
	Live bool
	// Sync is how it was synchronized: DIFF, TRUNC or SNAP; empty before.
	Sync string
	// Sent and Acked are the zxids up to which it was sent proposals, or what an
	// observer gets instead, and up to which it has acknowledged them.
	Sent, Acked int64
}

// Learners returns the learners of a leader, by connection, oldest first; nil
// when this server does not lead.
func (c *Core) Learners() []LearnerStatus {
	if c.leading == nil {
		return nil
	}
	out := make([]LearnerStatus, len(c.leading.learners))
	for i, l := range c.leading.learners {
		out[i] = LearnerStatus{
			ID: l.sid, Conn: l.conn, Observer: l.observer, Voter: c.isVoter(l.sid), Live: l.live, Sync: l.how,
			Sent: l.sent, Acked: l.acked,
		}
		if l.observer {
			out[i].Sent = l.committed
		}
	}
	return out
}
