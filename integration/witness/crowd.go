package witness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration/history"
)

// Plan says how many clients do what.
type Plan struct {
	Addrs []string
	// Registers clients share Keys registers, Readers only read them; Counters
	// share one counter, Lockers one lock; each of Owners keeps an ephemeral, each
	// of Watchers watches a znode that they all change, each of Followers has a
	// persistent recursive watch on a stream of changes, which one more client
	// makes.
	Registers, Keys, Readers, Counters, Lockers, Owners, Watchers, Followers int
	// SessionTimeout is asked for; 0 is 10 s.
	SessionTimeout time.Duration
	// Think is the longest pause between two requests of a client; 0 is 4 ms.
	Think time.Duration
	// SyncedReads lets registers be read behind a sync and checks that such a
	// read is linearizable. It is not on an ensemble with a Java server: see
	// history.ReadSynced.
	SyncedReads bool
	// FreshReads checks that every read of a register is linearizable, also
	// without a sync: the servers have quorate.ensemble.linearizableReads.
	FreshReads bool
	Seed       uint64
}

// Everyone returns a plan with a few of each kind.
func Everyone(addrs []string) Plan {
	return Plan{Addrs: addrs, Registers: 4, Keys: 3, Readers: 2, Counters: 2, Lockers: 3, Owners: 3, Watchers: 3, Followers: 2}
}

// Crowd is a set of clients that use an ensemble.
type Crowd struct {
	Log *history.Log

	plan      Plan
	cancel    context.CancelFunc
	working   sync.WaitGroup
	gate      gate
	clients   []*Client
	expired   atomic.Int64 // sessions of clients that are gone, and of followers
	slots     *slots
	counter   counter
	locks     locks
	owners    owners
	watchers  []*watcher
	stream    stream
	followers []*follower

	mu     sync.Mutex
	faults []error
}

// Gather starts the clients and returns when the first of them has made the
// znodes that they share, which must not be there.
func Gather(ctx context.Context, plan Plan) (*Crowd, error) {
	if plan.SessionTimeout == 0 {
		plan.SessionTimeout = 10 * time.Second
	}
	if plan.Think == 0 {
		plan.Think = 4 * time.Millisecond
	}
	root := fmt.Sprintf("/crowd-%016x", rand.Uint64())
	c := &Crowd{
		Log: history.NewLog(), plan: plan, slots: newSlots(root+"/registers", max(1, plan.Keys)),
		counter: counter{path: root + "/counter"}, locks: locks{path: root + "/lock", fence: root + "/fence"},
		owners: owners{root: root + "/owners", acknowledged: map[string]int64{}, unanswered: map[string]int64{}},
		stream: stream{root: root + "/stream"},
	}
	first, err := c.newClient()
	if err != nil {
		return nil, err
	}
	paths := []string{root, c.slots.root, c.counter.path, c.locks.path, c.locks.fence, c.owners.root, c.stream.root, root + "/watched"}
	for i := range plan.Watchers {
		paths = append(paths, fmt.Sprintf("%s/watched/%d", root, i))
	}
	for _, p := range paths {
		if err := first.ensure(ctx, p); err != nil {
			c.closeAll()
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	if err := c.start(work, root); err != nil {
		c.Stop()
		c.closeAll()
		return nil, err
	}
	return c, nil
}

// newClient makes a client with the next id.
func (c *Crowd) newClient() (*Client, error) {
	client, err := NewClient(len(c.clients), c.plan.Addrs, c.plan.SessionTimeout)
	if err == nil {
		client.gate = &c.gate
		c.clients = append(c.clients, client)
	}
	return client, err
}

// start starts the work of every client.
func (c *Crowd) start(ctx context.Context, root string) error {
	type work func(ctx context.Context, client *Client, random *rand.Rand)
	for _, group := range []struct {
		n    int
		work work
	}{{c.plan.Registers, c.useRegisters}, {c.plan.Readers, c.readRegisters}, {c.plan.Counters, c.count}, {c.plan.Owners, c.own}, {min(1, c.plan.Followers), c.makeStream}} {
		for range group.n {
			client, err := c.newClient()
			if err != nil {
				return err
			}
			client.works = true
			random := c.random(client.ID)
			c.working.Go(func() {
				defer client.leave()
				group.work(ctx, client, random)
			})
		}
	}
	for i := range c.plan.Lockers {
		random := c.random(1000 + i)
		c.working.Go(func() { c.lock(ctx, 1000+i, random) })
	}
	for i := range c.plan.Watchers {
		client, err := c.newClient()
		if err != nil {
			return err
		}
		c.watchers = append(c.watchers, &watcher{path: fmt.Sprintf("%s/watched/%d", root, i), client: client})
	}
	for _, w := range c.watchers {
		random := c.random(w.client.ID)
		c.working.Go(func() { c.watch(ctx, w, random) })
	}
	for i := range c.plan.Followers {
		f := c.newFollower(3000 + i)
		c.followers = append(c.followers, f)
		c.working.Go(func() { f.follow(ctx) })
	}
	return nil
}

func (c *Crowd) random(id int) *rand.Rand { return rand.New(rand.NewPCG(c.plan.Seed, uint64(id))) }

// fault records what must never happen.
func (c *Crowd) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) < 20 {
		c.faults = append(c.faults, fmt.Errorf(format, args...))
	}
}

// AwaitProgress waits for n more acknowledged writes.
func (c *Crowd) AwaitProgress(ctx context.Context, n int) error {
	for want := c.Log.Acknowledged() + n; c.Log.Acknowledged() < want; {
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%d more writes were not acknowledged: %w", n, context.Cause(ctx))
		}
	}
	return nil
}

// Rest lets the clients end what they are at and hold their sessions, so that
// the ensemble comes to rest soon, until they [Crowd.Resume] or are judged.
func (c *Crowd) Rest() { c.gate.shut.Store(true) }

// Resting tells, in a rest, that every client has ended what it was at, or waits for
// a lock.
func (c *Crowd) Resting() bool { return c.gate.shut.Load() && c.gate.busy.Load() == 0 }

// Resume ends a rest.
func (c *Crowd) Resume() { c.gate.shut.Store(false) }

// Expired returns how many sessions the ensemble has ended so far.
func (c *Crowd) Expired() int {
	n := c.expired.Load()
	for _, client := range c.clients {
		n += int64(client.Expired.Load())
	}
	return int(n)
}

// Stop ends the work and waits for it. The sessions stay.
func (c *Crowd) Stop() {
	c.cancel()
	c.working.Wait()
}

// Findings is what a crowd has done and seen.
type Findings struct {
	Operations, Unanswered, Registers int
	Increments, LocksTaken, LocksLost int
	Ephemerals, WatchSteps, Expired   int
	StreamEvents, StreamConnections   int
}

func (f Findings) String() string {
	return fmt.Sprintf("%d operations on %d registers (%d unanswered), %d increments, %d locks taken (%d given up), %d ephemerals, %d steps of watches, %d events of a stream on %d connections, %d sessions expired",
		f.Operations, f.Registers, f.Unanswered, f.Increments, f.LocksTaken, f.LocksLost, f.Ephemerals, f.WatchSteps,
		f.StreamEvents, f.StreamConnections, f.Expired)
}

// Judge stops the work, looks at the end of everything through every server,
// which must all serve, and returns what was done and whether anything was
// wrong. The clients are closed.
func (c *Crowd) Judge(ctx context.Context) (Findings, error) {
	c.Stop()
	c.Resume()
	defer c.closeAll()
	var errs []error
	for _, client := range c.clients {
		if !client.AwaitSession(ctx) {
			errs = append(errs, fmt.Errorf("client %d has no session: %w", client.ID, context.Cause(ctx)))
		}
	}
	for _, w := range c.watchers {
		errs = append(errs, w.judge(ctx))
	}
	errs = append(errs, c.judgeStream(ctx))
	for i, addr := range c.plan.Addrs {
		errs = append(errs, c.lookThrough(ctx, 2000+i, addr))
	}
	ops := c.Log.Ops()
	errs = append(errs, history.Linearizable(ops, 2*time.Minute), history.Ordered(ops), history.Sessions(ops))
	c.mu.Lock()
	errs = append(errs, c.faults...)
	c.mu.Unlock()
	return c.findings(ops), errors.Join(errs...)
}

func (c *Crowd) findings(ops []history.Op) Findings {
	f := Findings{
		Operations: len(ops), Registers: len(c.slots.every()), Increments: int(c.counter.acknowledged.Load()),
		LocksTaken: int(c.locks.taken.Load()), LocksLost: int(c.locks.lost.Load()),
		Ephemerals: len(c.owners.acknowledged), Expired: c.Expired(),
	}
	for _, o := range ops {
		if o.Outcome == history.Unknown {
			f.Unanswered++
		}
	}
	for _, w := range c.watchers {
		f.WatchSteps += len(w.steps)
	}
	for _, w := range c.followers {
		f.StreamEvents += w.events()
		f.StreamConnections += len(w.connections)
	}
	return f
}

// lookThrough reads the end of every register, of the counter and of the
// ephemerals through one server.
func (c *Crowd) lookThrough(ctx context.Context, id int, addr string) error {
	client, err := NewClient(id, []string{addr}, c.plan.SessionTimeout)
	if err != nil {
		return err
	}
	defer client.Close()
	in := func(err error) error {
		if err != nil {
			err = fmt.Errorf("through %s: %w", addr, err)
		}
		return err
	}
	for _, key := range c.slots.every() {
		err := client.insist(ctx, func() error {
			o := history.Op{Client: id, Key: key, Action: history.ReadSynced}
			c.perform(client, &o)
			if o.Outcome != history.OK {
				return fmt.Errorf("no answer from %s", addr)
			}
			return nil
		})
		if err != nil {
			return in(err)
		}
	}
	return in(errors.Join(c.lookAtCounter(ctx, client), c.lookAtEphemerals(ctx, client)))
}

func (c *Crowd) lookAtCounter(ctx context.Context, client *Client) error {
	return c.look1(ctx, client, c.counter.path, func(_ []byte, st *zk.Stat) error {
		return history.Counted(int(st.Version), int(c.counter.acknowledged.Load()), int(c.counter.unanswered.Load()))
	})
}

// look1 reads a znode behind a sync and judges it.
func (c *Crowd) look1(ctx context.Context, client *Client, path string, judge func([]byte, *zk.Stat) error) error {
	var data []byte
	var st *zk.Stat
	err := client.insist(ctx, func() (err error) {
		if _, err = client.Sync(path); err == nil {
			data, st, err = client.Get(path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return judge(data, st)
}

// lookAtEphemerals waits until the ephemerals of dead sessions are gone: their
// timeouts may still run.
func (c *Crowd) lookAtEphemerals(ctx context.Context, client *Client) error {
	live := map[int64]bool{}
	for _, o := range c.clients {
		live[o.SessionID()] = true
	}
	limit := time.Now().Add(4 * c.plan.SessionTimeout)
	for {
		shown, err := c.ephemerals(ctx, client)
		if err != nil {
			return err
		}
		c.owners.mu.Lock()
		err = history.Ephemerals(shown, alive(c.owners.acknowledged, live), alive(c.owners.unanswered, live))
		c.owners.mu.Unlock()
		if err == nil || time.Now().After(limit) {
			return err
		}
		if !pause(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

// alive returns the entries whose session is not dead.
func alive(all map[string]int64, live map[int64]bool) map[string]int64 {
	out := map[string]int64{}
	for p, s := range all {
		if live[s] {
			out[p] = s
		}
	}
	return out
}

// ephemerals returns what is shown below the owners' znode.
func (c *Crowd) ephemerals(ctx context.Context, client *Client) (map[string]int64, error) {
	shown := map[string]int64{}
	err := client.insist(ctx, func() error {
		clear(shown)
		if _, err := client.Sync(c.owners.root); err != nil {
			return err
		}
		names, _, err := client.Children(c.owners.root)
		for _, n := range names {
			p := c.owners.root + "/" + n
			ok, st, bad := client.Exists(p)
			if ok {
				shown[p] = st.EphemeralOwner
			}
			err = errors.Join(err, bad)
		}
		return err
	})
	return shown, err
}

// closeAll ends all sessions.
func (c *Crowd) closeAll() {
	var all sync.WaitGroup
	for _, client := range c.clients {
		all.Go(client.Close)
	}
	all.Wait()
}

// Describe shows the plan.
func (p Plan) String() string {
	return fmt.Sprintf("%d clients of registers and %d that read them, %d of a counter, %d of a lock, %d of ephemerals, %d of watches, %d of a stream on %s",
		p.Registers, p.Readers, p.Counters, p.Lockers, p.Owners, p.Watchers, p.Followers, strings.Join(p.Addrs, " "))
}
