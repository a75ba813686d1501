package zab

import (
	"errors"
	"slices"
)

// Errors of the calls that the runtime makes on behalf of clients and of the process.
var (
	// ErrNotLeading: this server is not the established leader.
	ErrNotLeading = errors.New("not the established leader")
	// ErrNotServing: this server has no established leader to send to, or the connection named is gone.
	ErrNotServing = errors.New("no established leader")
	// ErrHandingOver: the leader is leaving and takes no more proposals; the next leader will.
	ErrHandingOver = errors.New("leader is handing over")
	// ErrEpochFull: the epoch has used its last zxid; a new epoch is on its way.
	ErrEpochFull = errors.New("epoch has no zxid left")
	// ErrTooManyOutstanding: OutstandingMax proposals, or OutstandingBytesMax bytes of them, wait for their commit.
	ErrTooManyOutstanding = errors.New("too many outstanding proposals")
)

// Core is the protocol of one server. It computes and never acts: each call changes its state and adds to what the
// next Ready orders. It belongs to one goroutine; calls are not safe to overlap.
//
// The same calls in the same order give the same Readys.
type Core struct {
	cfg Config
	log history
	out Ready
	// spare is a Ready that was given back, empty.
	spare Ready
	now   int64 // ticks since New

	acceptedEpoch, currentEpoch int64
	blank                       bool // may not vote: has never held data
	needSnap                    bool // only a snapshot helps: what was offered last did not fit

	// promisedByOthers is the latest promise that a voter showed too late for the epoch that was led.
	promisedByOthers int64

	role   Role
	phase  Phase
	vote   Vote  // the vote told to others: the proposal while LOOKING, then the elected one
	round  int64 // logicalclock
	reason string

	seq     uint64 // last write ordered
	durable uint64 // last write known durable
	// diskMoved is the tick at which the disk last told of progress, or was given something to do after a rest.
	diskMoved int64
	appends   []appended
	synced    int64 // the history is durable at least to here
	inReady   bool
	electing  election
	learning  *learning
	leading   *leading
	// abdicated is the tick at which a leader that votes for its successor stops caring who is elected; 0: it is none.
	abdicated int64
}

// appended remembers where the log on disk ends once a write is durable.
type appended struct {
	seq  uint64
	zxid int64
}

// New returns a core that looks for a leader, and whose first Ready says so. The error names everything that is wrong
// with c; with ErrBoot the server must not start.
func New(c Config) (*Core, error) {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	core := &Core{
		cfg: c, log: newHistory(c.Boot),
		acceptedEpoch: c.Boot.AcceptedEpoch, currentEpoch: c.Boot.CurrentEpoch, blank: c.Boot.Blank,
	}
	core.synced = core.log.last
	if e := Epoch(core.log.last); e > core.currentEpoch {
		// The mark was there (Validate). Who holds a transaction of an epoch holds that epoch's whole initial history.
		core.setCurrentEpoch(e)
	}
	core.lookForLeader("started")
	return core, nil
}

// handler does what one message means in one role.
type handler func(*Core, Message)

// handlers is the protocol: one cell for each role and type. An empty cell is ignored, with an event: it is a message
// that was overtaken by a change of role, or a peer's mistake that harms nobody.
var handlers = [roleCount][typeCount]handler{
	Looking: {
		Notification: (*Core).lookingNotification,
		Unreachable:  (*Core).lookingUnreachable,
		FollowerInfo: (*Core).seatLearner,
		ObserverInfo: (*Core).seatLearner,
		Disconnected: (*Core).unseatLearner,
		Connected:    (*Core).staleConnection,
	},
	Following: learnerHandlers(false),
	Observing: learnerHandlers(true),
	Leading: {
		Notification: (*Core).leaderNotification,
		FollowerInfo: (*Core).leaderLearnerInfo,
		ObserverInfo: (*Core).leaderLearnerInfo,
		AckEpoch:     (*Core).leaderAckEpoch,
		Ack:          (*Core).leaderAck,
		Ping:         (*Core).leaderPing,
		Request:      (*Core).leaderPacket,
		Revalidate:   (*Core).leaderPacket,
		Connected:    (*Core).staleConnection,
		Disconnected: (*Core).leaderDisconnected,
		Alive:        (*Core).leaderAlive,
		SnapshotSent: (*Core).leaderAlive,
	},
}

// learnerHandlers is the row of followers and observers: they differ in how committed transactions reach them.
func learnerHandlers(observer bool) [typeCount]handler {
	row := [typeCount]handler{
		Notification:      (*Core).learnerNotification,
		FollowerInfo:      (*Core).refuseLearner,
		ObserverInfo:      (*Core).refuseLearner,
		Connected:         (*Core).learnerConnected,
		ConnectFailed:     (*Core).learnerConnectFailed,
		Unanswered:        (*Core).learnerUnanswered,
		Disconnected:      (*Core).learnerDisconnected,
		LeaderInfo:        (*Core).learnerLeaderInfo,
		Diff:              (*Core).learnerDiff,
		Trunc:             (*Core).learnerTrunc,
		Snap:              (*Core).learnerSnap,
		NewLeader:         (*Core).learnerNewLeader,
		UpToDate:          (*Core).learnerUpToDate,
		Proposal:          (*Core).learnerProposal,
		Commit:            (*Core).learnerCommit,
		CommitAndActivate: (*Core).learnerCommit,
		Ping:              (*Core).learnerPing,
		Revalidate:        (*Core).learnerPacket,
		Sync:              (*Core).learnerPacket,
		Alive:             (*Core).learnerAlive,
	}
	if observer {
		row[Inform] = (*Core).learnerInform
		row[InformAndActivate] = (*Core).learnerInform
	}
	return row
}

// Step takes one message in: from a peer, or from the runtime about a connection. Messages of one connection are
// given in their order. Whatever a peer sends, Step does not fail: a message that breaks the protocol costs the
// connection it came on.
func (c *Core) Step(m Message) {
	if c.role == Halted {
		return
	}
	if m.Type >= typeCount || handlers[c.role][m.Type] == nil {
		if m.Type != Disconnected && m.Type != ConnectFailed && m.Type != Unreachable && m.Type != Unanswered {
			c.ignored(m, "no meaning in role "+c.role.String())
		}
		return
	}
	handlers[c.role][m.Type](c, m)
}

// Tick tells that one tick of time has passed.
func (c *Core) Tick() {
	c.now++
	switch c.role {
	case Looking:
		c.tickElection()
	case Following, Observing:
		c.tickLearner()
	case Leading:
		c.tickLeader()
	case Halted:
	}
}

// Durable tells that all writes up to and with seq are durable. Numbers may be skipped, never go back.
func (c *Core) Durable(seq uint64) {
	if seq <= c.durable || c.role == Halted {
		return
	}
	assert(seq <= c.seq, "only what was ordered becomes durable")
	c.durable, c.diskMoved = seq, c.now
	n := 0
	for n < len(c.appends) && c.appends[n].seq <= seq {
		c.synced = c.appends[n].zxid
		n++
	}
	c.appends = c.appends[n:]
	if c.role == Leading {
		c.leaderDurable()
	}
}

// DiskFailed tells that a write or sync failed. What the disk holds is unknown from here on, so the server gives up
// its role at once, closes its connections and takes no part in anything until the process starts again.
func (c *Core) DiskFailed() {
	if c.role == Halted {
		return
	}
	c.leaveRole()
	c.become(Halted, Election, "disk failed")
}

// Purged tells that the log on disk now begins with the entry after zxid.
func (c *Core) Purged(zxid int64) {
	c.log.purge(zxid)
}

// HasReady reports whether Ready has anything to say.
func (c *Core) HasReady() bool { return !c.out.empty() }

// Ready takes what has gathered. It is followed by Advance before the next Ready.
func (c *Core) Ready() Ready {
	assert(!c.inReady, "Advance comes before the next Ready")
	c.inReady = true
	r := c.out
	c.out = c.spare
	c.spare = Ready{}
	return r
}

// Recycle gives back a Ready with which the runtime is done, so that the next ones need no new memory for its lists:
// nothing keeps a reference to them, but to the bytes of their messages and entries. A runtime need not call it.
func (c *Core) Recycle(r Ready) {
	clear(r.Deliver)
	clear(r.Send)
	clear(r.SendAfterSync)
	c.spare = Ready{
		Deliver: keepSmall(r.Deliver), Send: keepSmall(r.Send), SendAfterSync: keepSmall(r.SendAfterSync),
	}
}

// recycledMax is the longest list that is kept: a rare long one is let go.
const recycledMax = 4096

func keepSmall[T any](list []T) []T {
	if cap(list) > recycledMax {
		return nil
	}
	return list[:0]
}

// Advance tells that the last Ready is taken over: its writes are queued in order at the disk (not yet durable, see
// Durable), its messages are queued, its deliveries are with the tree.
func (c *Core) Advance() {
	assert(c.inReady, "Advance follows a Ready")
	c.inReady = false
}

// Status is a look at a core, for operators, tests and the parts that answer clients.
type Status struct {
	Role  Role
	Phase Phase
	// Leader is the sid of the elected leader, NoServer while LOOKING.
	Leader int64
	// AcceptedEpoch and CurrentEpoch are as ordered to disk.
	AcceptedEpoch, CurrentEpoch int64
	// LastZxid is the end of the history, Committed the last transaction delivered or installed, Synced is what is
	// known durable here.
	LastZxid, Committed, Synced int64
	// Round is the round of the election (logicalclock), Vote what this server tells others.
	Round int64
	Vote  Vote
	// HandingOver tells that a graceful hand-over is under way: its EventHandedOver is still to come.
	HandingOver bool
	// Learners and SyncedFollowers are counts at the leader: connections, and voters among them that take part.
	Learners, SyncedFollowers int
	// Reason is why the last change of role or phase came.
	Reason string
}

// Status returns the present state.
func (c *Core) Status() Status {
	s := Status{
		Role: c.role, Phase: c.phase, Leader: NoServer, AcceptedEpoch: c.acceptedEpoch, CurrentEpoch: c.currentEpoch,
		LastZxid: c.log.last, Committed: c.log.applied, Synced: c.synced, Round: c.round, Vote: c.vote, Reason: c.reason,
	}
	if c.role != Looking && c.role != Halted {
		s.Leader = c.vote.Leader
	}
	s.HandingOver = c.abdicated != 0 || c.leading != nil && c.leading.leaving != 0
	if c.leading != nil {
		s.Learners = len(c.leading.learners)
		for _, l := range c.leading.learners {
			if l.live && c.isVoter(l.sid) {
				s.SyncedFollowers++
			}
		}
	}
	return s
}

// FollowersSuffice reports whether this server leads and commits without its own disk: the followers that take part are
// a quorum.
func (c *Core) FollowersSuffice() bool {
	return c.leading != nil && c.phase == Broadcast && c.cfg.decider().IsQuorum(func(id int64) bool {
		return id != c.cfg.ID && slices.ContainsFunc(c.leading.learners, func(l *learner) bool {
			return l.sid == id && l.live && !l.observer
		})
	})
}

// become changes role and phase and says so.
func (c *Core) become(r Role, p Phase, reason string) {
	c.role, c.phase, c.reason = r, p, reason
	c.event(Event{Kind: EventRole, Peer: c.vote.Leader, Role: r, Phase: p, Reason: reason})
}

// leaveRole ends what the role had going: connections close, the parts above stop serving.
func (c *Core) leaveRole() {
	if c.phase == Broadcast {
		c.out.Deliver = append(c.out.Deliver, Delivery{Kind: DeliverStop})
	}
	if c.learning != nil && c.learning.conn != 0 {
		c.close(c.learning.conn)
	}
	if c.leading != nil {
		for _, l := range c.leading.learners {
			c.close(l.conn)
		}
	}
	for _, m := range c.electing.seated {
		c.close(m.Conn)
	}
	c.electing.seated = nil
	c.learning, c.leading = nil, nil
}

func (c *Core) isVoter(id int64) bool { return c.cfg.isVoter(id) }

// isMember reports whether id is in the configuration, as a voter or an observer.
func (c *Core) isMember(id int64) bool {
	return c.isVoter(id) || slices.Contains(c.cfg.Ensemble.Observers, id) ||
		c.cfg.LastSeen != nil && slices.Contains(c.cfg.LastSeen.Observers, id)
}

func (c *Core) event(e Event) { c.out.Events = append(c.out.Events, e) }

func (c *Core) ignored(m Message, reason string) {
	c.event(Event{Kind: EventIgnored, Peer: m.From, Zxid: m.Zxid, Reason: m.Type.String() + ": " + reason})
}

// send lets m leave at once.
func (c *Core) send(m Message) {
	m.From = c.cfg.ID
	c.out.Send = append(c.out.Send, m)
}

// sendAfter lets m leave when the write seq is durable.
func (c *Core) sendAfter(seq uint64, m Message) {
	if seq <= c.durable && len(c.out.SendAfterSync) == 0 {
		// Older delayed messages are past their write too, and were taken by an earlier Ready; the runtime lets them
		// leave before it calls Durable, so this one cannot overtake them.
		c.send(m)
		return
	}
	m.From = c.cfg.ID
	c.out.SendAfterSync = append(c.out.SendAfterSync, Delayed{After: seq, Message: m})
}

func (c *Core) close(conn ConnID) { c.out.Close = append(c.out.Close, conn) }

// write orders w and returns its number.
func (c *Core) write(w Write) uint64 {
	if c.seq == c.durable {
		c.diskMoved = c.now
	}
	c.seq++
	w.Seq = c.seq
	c.out.Writes = append(c.out.Writes, w)
	return c.seq
}

// appendEntries puts entries behind the history, in memory and on disk, and returns the number of the write. Entries
// that come while the last write has not been taken yet join it.
func (c *Core) appendEntries(entries ...Entry) uint64 {
	for _, e := range entries {
		c.log.append(e)
	}
	if n := len(c.out.Writes); n > 0 && c.out.Writes[n-1].Kind == WriteAppend {
		w := &c.out.Writes[n-1]
		w.Entries = append(w.Entries, entries...)
		c.appends[len(c.appends)-1].zxid = c.log.last
		return w.Seq
	}
	return c.moved(c.write(Write{Kind: WriteAppend, Entries: append([]Entry(nil), entries...)}))
}

// diskHangs reports whether the disk has had something to do for longer than a follower may take to acknowledge, and has
// done nothing. It may yet come back: that is what tells it from one that failed.
func (c *Core) diskHangs() bool {
	return c.seq > c.durable && c.now-c.diskMoved > int64(c.cfg.SyncLimitTicks)
}

// moved notes that the write seq brings the log on disk to where the history is now.
func (c *Core) moved(seq uint64) uint64 {
	c.appends = append(c.appends, appended{seq, c.log.last})
	return seq
}

func (c *Core) setAcceptedEpoch(e int64) uint64 {
	assert(e > c.acceptedEpoch, "acceptedEpoch only grows")
	c.acceptedEpoch = e
	return c.write(Write{Kind: WriteAcceptedEpoch, Epoch: e})
}

func (c *Core) setCurrentEpoch(e int64) uint64 {
	assert(e <= c.acceptedEpoch, "currentEpoch stays at or below acceptedEpoch")
	c.currentEpoch = e
	return c.write(Write{Kind: WriteCurrentEpoch, Epoch: e})
}

// deliverTo hands the entries after the tree up to and with z to be applied.
func (c *Core) deliverTo(z int64) {
	if z <= c.log.applied {
		return
	}
	for _, e := range until(c.log.after(c.log.applied), z) {
		c.out.Deliver = append(c.out.Deliver, Delivery{Kind: DeliverCommit, Entry: e})
		c.log.apply(e)
	}
}

// staleConnection closes a connection that came up after it was of use.
func (c *Core) staleConnection(m Message) { c.close(m.Conn) }

// refuseLearner answers a learner that takes this server for the leader.
func (c *Core) refuseLearner(m Message) {
	c.ignored(m, "not leading")
	c.close(m.Conn)
}
