package replica

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/watch"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// Options configure a Replica. Times are in milliseconds.
type Options struct {
	Tree *znode.Tree
	// Rules decide what a write may do; see [znode.Rules].
	Rules znode.Rules
	// ServerID is the top byte of session ids. A standalone server has 1.
	ServerID int64
	// TickMillis is the step of session expiry.
	TickMillis int64
	// StepMillis is how often Tick is called while the server runs as it should. When
	// a Tick comes later than two of them after the last, the server has stood still,
	// and sessions have not aged meanwhile. 0 means a tenth of TickMillis.
	StepMillis int64
	// SessionMillisMin and SessionMillisMax bound what clients may ask for.
	SessionMillisMin, SessionMillisMax int32
	// RequestBytesMax is jute.maxbuffer: the longest request that is served.
	RequestBytesMax int
	// OversizedBytesMax is up to which a longer request is skipped and answered
	// with an error; beyond it the connection is closed, as ZooKeeper does at
	// once. 0 closes at once too.
	OversizedBytesMax int
	// QueueLimit and QueueBytes bound the requests of one client that wait
	// behind its own writes; at the bound nothing more is read from it.
	// 0 means 1,000 requests and 4 MiB.
	QueueLimit, QueueBytes int
	// OutBytes bounds the answers that wait for a slow client: at the bound no
	// more of its requests are read. 0 means 1 MiB.
	OutBytes int
	// MultiReadBytesMax bounds the answer to one multiRead, which may ask for the
	// same znode a thousand times: beyond it the request is refused. 0 means 64 MiB;
	// a packet cannot be longer than 2 GiB.
	MultiReadBytesMax int
	// EventBytes bounds what waits for a client that reads nothing while its
	// watches fire: beyond it the connection is closed. 0 means 16 MiB.
	// EventBytesAll bounds what waits for all of them together: beyond it the
	// next to be told something, of those that read too slowly, is closed. 0
	// means 16 MiB.
	EventBytes, EventBytesAll int
	// WatchBytesMax bounds what the watches of one connection take, about 150 bytes
	// and the path for each: beyond it a request that would register one is refused.
	// 0 means 128 MiB.
	WatchBytesMax int64
	// EnforceAuth lists the schemes of which a connection must hold one before
	// anything but auth is served (enforce.auth.schemes). Empty: none.
	EnforceAuth []string
	// Limits bound the requests of all clients together.
	Limits Limits
	// ReapMillis is the interval of the container and TTL check, ReapPerCheck
	// how many nodes one check may delete, and NeverUsedMillis after how long a
	// container that never had a child goes too (0: never).
	ReapMillis, NeverUsedMillis int64
	ReapPerCheck                int
	// WatchesOptimized says that addWatch is refused, as with ZooKeeper's
	// WatchManagerOptimized.
	WatchesOptimized bool
	// Member says that the server is one of an ensemble: a [Member] steps it, and
	// it serves nobody before that says so.
	Member bool
	// LinearizableReads has every read wait until the leader has confirmed that
	// it leads, as if the client had sent sync before it. Only for a Member.
	LinearizableReads bool
	// LocalSessions gives clients sessions that only this server knows, and
	// LocalUpgrade makes them global when they create an ephemeral. Only for a
	// Member.
	LocalSessions, LocalUpgrade bool
	// EagerACL refuses a write that the tree of this server does not permit before the
	// leader hears of it (enableEagerACLCheck). Only for a Member.
	EagerACL bool
	// Audit is told of every change that clients of this server ask for when it has
	// been made or has failed, and of ephemerals that go with their session. The loop
	// calls it, with locks held; it must not block for long, and not keep the record.
	// nil is nobody.
	Audit func(*AuditRecord)
	// Admit decides whether a client may ask for a session, or for the one it had;
	// one that may not is closed. Any goroutine may call it, also with locks held;
	// it must not block. nil is everybody.
	Admit func(renewed bool, now int64) bool
	// Settle is called when sessions are about to expire. It has all read that clients
	// have sent by now, and returns a function that reports whether that is done: until
	// then none of them expires. The loop calls both; they must not block. nil says
	// that nothing ever waits to be read.
	Settle func() (done func() bool)
	// Crowded is called when what was read from the tree at rest has brought
	// the tree over its memory budget: the loop is to evict. Any goroutine may
	// call it, without locks; it must not block. nil is nobody.
	Crowded func()
}

func (o *Options) fillDefaults() {
	setDefault(&o.QueueLimit, 1000)
	setDefault(&o.QueueBytes, 4<<20)
	setDefault(&o.OutBytes, 1<<20)
	setDefault(&o.MultiReadBytesMax, 64<<20)
	o.MultiReadBytesMax = min(o.MultiReadBytesMax, packetBytesMax)
	setDefault(&o.EventBytes, 16<<20)
	setDefault(&o.EventBytesAll, 16<<20)
	setDefault(&o.WatchBytesMax, 128<<20)
	setDefault(&o.RequestBytesMax, 0xfffff)
	setDefault(&o.ReapPerCheck, 10000)
	setDefault(&o.ServerID, 1)
	setDefault(&o.TickMillis, 3000)
	setDefault(&o.StepMillis, max(o.TickMillis/10, 1))
	setDefault(&o.ReapMillis, 60000)
	setDefault(&o.SessionMillisMin, int32(2*o.TickMillis))
	setDefault(&o.SessionMillisMax, int32(20*o.TickMillis))
}

func setDefault[T int | int32 | int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Session is an open session as this server sees it.
type Session struct {
	ID int64
	// timeout is the negotiated timeout in ms; a reconnect may change it.
	timeout atomic.Int32
	// heard is when the session last renewed itself, by Replica.age; touched is what
	// of it the tracker has been told.
	heard   atomic.Int64
	touched int64
	client  *Client // nil while nobody is attached; owned by the loop

	// What follows is a Member's.
	// own are the writes of this server's clients that are on their way.
	own ownQueue
	// owner is the server the session is attached to as the leader knows it: a
	// sid, or noOwner.
	owner int64
	// told is another at which it may be: the server that has told the leader of it last,
	// that had it created, or that it has left.
	told int64
	// proposed is the zxid of the session's last proposal; the leader's.
	proposed int64
	// reported is what of heard the leader has been told, untold that the client has
	// gone and the leader may not have been told all.
	reported int64
	untold   bool
	// local says that only this server knows the session, upgrading that its
	// creation is on its way to the leader, ending that its client has closed it.
	local, upgrading, ending bool
	// readOnly says that it began at a read-only server, and ends with that.
	readOnly bool
}

// TimeoutMillis returns the negotiated timeout.
func (s *Session) TimeoutMillis() int32 { return s.timeout.Load() }

// Replica is one server's state. See the package comment for who may call
// what.
type Replica struct {
	opt Options
	// db is the database. It is replaced only while nobody is served.
	db atomic.Pointer[znode.Tree]
	// serving says that clients are served, refusing that they are closed
	// instead of kept waiting. The tree's lock guards both.
	serving, refusing bool
	// readOnly says that clients that can do with that are served reads although
	// there is no leader. The tree's lock guards it.
	readOnly bool
	// full, if it is not nil, says that nothing more can be proposed for now.
	full func() bool
	// doubt keeps a session that is due for now, because a learner may have heard from
	// it; nil for a server that is alone.
	doubt func(s *Session) bool
	// loading is held while the tree at rest is read, and for replacing the tree.
	loading sync.RWMutex

	// age is the time by which sessions age, and by which a Member waits for a leader.
	age *session.Clock

	// Owned by the loop. prep and tracker are nil unless this server decides
	// about writes.
	prep    *znode.Preparer
	tracker *session.Tracker
	// settling and localSettling lead up to the expiry of sessions.
	settling, localSettling settling
	offers                  map[int64]*ownWrite // a Member's sessions being created, by id
	local                   map[int64]*Session  // not in sessions
	// opening are the sessions whose creation this leader has proposed.
	opening map[int64]opening
	ended   endedSessions
	// localTracker expires the local sessions.
	localTracker *session.Tracker
	ids          session.IDs
	sessions     map[int64]*Session
	nextZxid     int64
	inflight     ownerQueue
	dirty        []*Client
	resume       []*Client
	// stalled is a client whose waiting read needs the backend first.
	stalled  *Client
	events   []znode.Event
	header   znode.TxnHeader // of the transaction being applied
	result   znode.Result
	fired    []watch.Watcher
	targets  []*Client
	nextReap int64
	now      int64 // monotonic ms of the step under way

	digests digestLog
	limits  limiter
	unread  atomic.Int64 // bytes of events that wait in all outputs
	// Stats count for the four-letter words and metrics.
	Stats Stats

	watchMu     sync.Mutex
	watches     *watch.Table
	clients     map[watch.Watcher]*Client
	nextWatcher watch.Watcher
}

// New returns a Replica over a tree that is complete up to its last zxid.
// Every session of the tree starts with its full timeout. Session ids are made
// from the wall clock: a monotonic one, as in ZooKeeper, may give an id twice
// when the machine was restarted.
func New(o Options, t Time) *Replica {
	o.fillDefaults()
	now := t.Mono
	r := &Replica{
		opt:          o,
		ids:          session.NewIDs(o.ServerID, t.Wall),
		sessions:     make(map[int64]*Session),
		offers:       make(map[int64]*ownWrite),
		local:        make(map[int64]*Session),
		localTracker: session.NewTracker(o.TickMillis),
		watches:      watch.NewTable(),
		clients:      make(map[watch.Watcher]*Client),
		nextReap:     now + o.ReapMillis,
		now:          now,
		age:          session.NewClock(2*o.StepMillis, now),
	}
	r.watches.Limit(o.WatchBytesMax)
	r.limits.init(o.Limits)
	r.db.Store(o.Tree)
	for id, timeout := range o.Tree.Sessions() {
		r.openSession(id, timeout)
	}
	if !o.Member {
		r.lead(zxidAfter(o.Tree.LastZxid()))
		r.serving = true
	}
	return r
}

// lead makes this server the one that decides about writes: nothing is pending,
// the next transaction gets the zxid given, and every session has its full
// timeout from now on.
func (r *Replica) lead(nextZxid int64) {
	r.prep = znode.NewPreparer(r.Tree(), r.opt.Rules)
	r.tracker = session.NewTracker(r.opt.TickMillis)
	r.nextZxid = nextZxid
	r.nextReap = r.now + r.opt.ReapMillis
	r.opening = make(map[int64]opening)
	r.settling, r.ended = settling{}, endedSessions{}
	now := r.age.At(r.now)
	for id, s := range r.sessions {
		s.heard.Store(now)
		s.touched, s.owner, s.told, s.proposed = now, noOwner, noOwner, 0
		r.tracker.Add(id, s.timeout.Load(), now)
	}
}

// follow ends what lead began.
func (r *Replica) follow() { r.prep, r.tracker = nil, nil }

// NewClient registers a connection from remote.
// Any goroutine may call it. The caller ends it with a [Submission] of kind
// Detach.
func (r *Replica) NewClient(remote netip.Addr, sink Sink) *Client {
	c := &Client{r: r, sink: sink, remote: remote}
	c.ids = []wire.ID{znode.AddressID(remote)}
	r.watchMu.Lock()
	r.nextWatcher++
	c.watcher = r.nextWatcher
	r.clients[c.watcher] = c
	r.watchMu.Unlock()
	return c
}

// Tree returns the replica's tree. Only the loop may keep it: others use
// [Replica.View].
func (r *Replica) Tree() *znode.Tree { return r.db.Load() }

// View calls f with the tree, which is not replaced meanwhile. Any goroutine
// may call it; f locks the tree itself, and must not wait for the loop.
func (r *Replica) View(f func(*znode.Tree)) {
	r.loading.RLock()
	defer r.loading.RUnlock()
	f(r.Tree())
}

// EachClient calls fn for every connection, in the order they came. Any
// goroutine may call it; fn must not call back into the replica's watches.
func (r *Replica) EachClient(fn func(*Client)) {
	r.watchMu.Lock()
	list := make([]*Client, 0, len(r.clients))
	for _, c := range r.clients {
		list = append(list, c)
	}
	r.watchMu.Unlock()
	slices.SortFunc(list, func(a, b *Client) int { return cmp.Compare(a.watcher, b.watcher) })
	for _, c := range list {
		fn(c)
	}
}

// ownerQueue is the FIFO of proposed transactions that are not applied yet,
// each with the client that waits for it, if it is one of ours.
type ownerQueue struct {
	items []owner
	head  int
}

type owner struct {
	zxid   int64
	client *Client
	op     wire.Op
	xid    int32
	at     int64 // ms, when it was received
	audit  *auditNote
}

func (q *ownerQueue) push(o owner) { q.items = append(q.items, o) }

func (q *ownerQueue) len() int { return len(q.items) - q.head }

// take removes and returns the owner of zxid; a transaction that was not
// proposed here has none.
func (q *ownerQueue) take(zxid int64) owner {
	if q.len() == 0 || q.items[q.head].zxid != zxid {
		return owner{zxid: zxid}
	}
	o := q.items[q.head]
	q.items[q.head].client = nil
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head >= 1024 && q.head*2 >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return o
}
