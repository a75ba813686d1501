package zab

// learning is what a follower or observer knows while it has a leader. It begins with the order to connect and ends
// with the connection.
type learning struct {
	conn     ConnID // 0 until connected
	epoch    int64  // the leader's epoch, once LEADERINFO named it
	tries    int    // connection attempts so far
	retryIn  int    // ticks until the next attempt; 0: an attempt is under way
	quiet    int    // ticks without a packet, or since the start
	sync     *incoming
	joined   uint64 // the write that the ACK of NEWLEADER waits for; 0 before NEWLEADER
	commits  int64  // everything up to here is committed, as the leader says
	ackLater []appended
}

// incoming is the synchronization under way: nothing of it touches log or tree before NEWLEADER is there, so that a
// leader that dies halfway leaves no trace (ZOOKEEPER-3642, 5094).
type incoming struct {
	op       Type    // Diff, Trunc or Snap; 0 before it is known
	from     int64   // the position that op leads to
	pending  []Entry // what follows it
	bytes    int     // of pending
	snapOnly bool    // a snapshot was demanded
}

// startLearning turns to the elected leader.
func (c *Core) startLearning(r Role) {
	c.learning = &learning{tries: 1}
	c.become(r, Discovery, "elected")
	c.out.Connect = append(c.out.Connect, c.vote.Leader)
}

// abandon gives the leader up.
func (c *Core) abandon(reason string) { c.lookForLeader(reason) }

// fromLeader reports whether m came on the connection to the leader, and notes the sign of life.
func (c *Core) fromLeader(m Message) bool {
	if c.learning.conn == 0 || m.Conn != c.learning.conn {
		c.ignored(m, "not from the leader's connection")
		return false
	}
	c.learning.quiet = 0
	return true
}

// toLeader addresses m to the leader.
func (c *Core) toLeader(m Message) Message {
	m.To, m.Conn = c.vote.Leader, c.learning.conn
	return m
}

func (c *Core) learnerDisconnected(m Message) {
	l := c.learning
	if m.Conn != l.conn || m.Conn == 0 {
		return
	}
	l.conn = 0
	if l.epoch == 0 {
		c.retryConnect() // it may not know yet that it leads
		return
	}
	c.abandon("connection to the leader lost")
}

// learnerAlive notes that a snapshot is still coming in.
func (c *Core) learnerAlive(m Message) { c.fromLeader(m) }

// tickLearner counts the leader's silence.
func (c *Core) tickLearner() {
	l := c.learning
	l.quiet++
	limit := c.cfg.InitLimitTicks
	if l.joined != 0 {
		limit = c.cfg.SyncLimitTicks
	}
	if l.quiet > limit {
		c.abandon("no word from the leader in time")
		return
	}
	if l.retryIn > 0 {
		if l.retryIn--; l.retryIn == 0 {
			l.tries++
			c.out.Connect = append(c.out.Connect, c.vote.Leader)
		}
	}
}
