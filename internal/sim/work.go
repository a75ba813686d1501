package sim

import (
	"fmt"

	"github.com/quorate/quorate/wire"
)

// job is what a client does with its session.
type job struct {
	weights  [tasks]int
	sum      int
	versions map[string]int32 // as read last
	lock     lockJob
	closing  bool
}

// task is one kind of thing to do.
type task int

const (
	taskSet task = iota
	taskCompareAndSet
	taskGet
	taskWatch
	taskChildren
	taskCreate
	taskDelete
	taskSequence
	taskEphemeral
	taskMulti
	taskSync
	taskLock
	taskAddWatch
	taskRemoveWatch
	taskContainer
	taskClose
	tasks
)

const (
	lockPath  = "/lock"
	fencePath = "/fence"
	queuePath = "/q"
	registers = 4
	toggles   = 4
)

// draw chooses what the client likes to do.
func (j *job) draw(c *client) {
	j.versions = map[string]int32{}
	usual := [tasks]int{10, 6, 12, 10, 6, 6, 6, 6, 3, 6, 6, 6, 1, 1, 2, 0}
	for t := range j.weights {
		j.weights[t] = c.s.rnd.IntN(usual[t] + 1)
	}
	if c.s.chance(0.3) {
		j.weights[taskLock] += 20
	}
	if c.s.chance(0.2) {
		j.weights[taskClose] = 1
	}
	j.weights[taskGet]++
	for _, w := range j.weights {
		j.sum += w
	}
}

// begin is a new session: the znodes that all share are made, if nobody has yet.
func (j *job) begin(c *client) {
	j.lock = lockJob{}
	for _, path := range []string{lockPath, queuePath, fencePath, "/r0", "/r1", "/r2", "/r3"} {
		if st := c.s.oracle.at(path, c.s.oracle.last()); !st.live {
			c.request(&request{op: wire.OpCreate, path: path, data: c.value()})
		}
	}
}

// resume is the session on another connection.
func (j *job) resume(c *client) { j.lock.recover(c) }

// interrupted is the loss of a connection.
func (j *job) interrupted(*client) { j.lock.interrupt() }

// lost is the end of the session.
func (j *job) lost(*client) {
	j.lock, j.closing = lockJob{}, false
	clear(j.versions)
}

// event is a watch that has fired. While the leader stands still at the end, nobody asks
// for anything that needs it.
func (j *job) event(c *client, path string) {
	if c.s.stoodAt == 0 {
		j.lock.event(c, path)
	}
}

// value returns data that nobody else writes.
func (c *client) value() string {
	c.number++
	return fmt.Sprintf("c%d.%d", c.n, c.number)
}

// work does the next thing, if it is time.
func (c *client) work() {
	s := c.s
	for s.now >= c.thinkAt && len(c.pending) < s.plan.window && !c.job.closing && c.state == clientConnected {
		c.thinkAt = s.now + s.upTo(s.plan.thinkMax)
		if s.calm && (c.calmDone >= calmRequests || s.settledAt == 0 && c.calmDone >= calmRequests/2) {
			return
		}
		if t := c.job.pick(c); !c.readOnly || t.only() {
			c.do(t)
		}
	}
}

func (j *job) pick(c *client) task {
	n := c.s.rnd.IntN(j.sum)
	for t, w := range j.weights {
		if n -= w; n < 0 {
			return task(t)
		}
	}
	return taskGet
}

// only reports whether a task is for a server that is read-only: it reads, or asks once
// for what cannot be had there.
func (t task) only() bool {
	switch t { //nolint:exhaustive // the others do more
	case taskGet, taskWatch, taskChildren, taskSet, taskSync, taskAddWatch, taskRemoveWatch, taskCreate:
		return true
	default:
		return false
	}
}

func (c *client) register() string { return fmt.Sprintf("/r%d", c.s.rnd.IntN(registers)) }
func (c *client) toggle() string   { return fmt.Sprintf("/x%d", c.s.rnd.IntN(toggles)) }

// do sends what a task takes.
func (c *client) do(t task) {
	c.s.result.Done[taskNames[t]]++
	switch t {
	case taskSet:
		c.request(&request{op: wire.OpSetData, path: c.register(), data: c.value(), version: -1})
	case taskCompareAndSet:
		path := c.register()
		c.request(&request{op: wire.OpSetData, path: path, data: c.value(), version: c.job.versions[path], done: noteVersion(path)})
	case taskGet:
		c.get(false)
	case taskWatch:
		c.watch()
	case taskChildren:
		path := [...]string{queuePath, "/", lockPath}[c.s.rnd.IntN(3)]
		op := [...]wire.Op{wire.OpGetChildren, wire.OpGetChildren2}[c.s.rnd.IntN(2)]
		c.request(&request{op: op, path: path, watch: c.s.chance(0.4)})
	case taskCreate:
		op := [...]wire.Op{wire.OpCreate, wire.OpCreate2}[c.s.rnd.IntN(2)]
		c.request(&request{op: op, path: c.toggle(), data: c.value()})
	case taskDelete:
		c.request(&request{op: wire.OpDelete, path: c.toggle(), version: int32(c.s.rnd.IntN(2)) - 1}) //nolint:gosec // -1 or 0
	case taskSequence:
		c.request(&request{op: wire.OpCreate, path: queuePath + "/n-", data: c.value(), flags: wire.FlagPersistentSequential, done: takeFromQueue})
	case taskEphemeral:
		c.request(&request{op: wire.OpCreate, path: fmt.Sprintf("/e%d.%d", c.n, c.s.rnd.IntN(3)), data: c.value(), flags: wire.FlagEphemeral})
	case taskMulti:
		c.multi()
	case taskSync:
		c.request(&request{op: wire.OpSync, path: "/"})
		c.get(false)
	case taskLock:
		c.job.lock.step(c)
	case taskAddWatch:
		c.request(&request{op: wire.OpAddWatch, path: [...]string{queuePath, "/r0", "/"}[c.s.rnd.IntN(3)], flags: int32(c.s.rnd.IntN(2))}) //nolint:gosec // 0 or 1
	case taskRemoveWatch:
		c.request(&request{op: wire.OpRemoveWatches, path: [...]string{queuePath, "/r0", "/"}[c.s.rnd.IntN(3)], flags: int32(wire.WatcherAny)})
	case taskContainer:
		c.container()
	case taskClose:
		c.request(&request{op: wire.OpCloseSession})
		c.job.closing = true
	case tasks:
	}
}

var taskNames = [tasks]string{
	"set", "compare and set", "get", "watch", "children", "create", "delete", "sequence", "ephemeral", "multi", "sync",
	"lock", "add watch", "remove watch", "container", "close",
}

func (c *client) get(watch bool) {
	path := c.register()
	c.request(&request{op: wire.OpGetData, path: path, watch: watch, done: noteVersion(path)})
}

func noteVersion(path string) func(*client, *answer) {
	return func(c *client, a *answer) {
		if a.Err == wire.OK {
			c.job.versions[path] = a.stat.Version
		}
	}
}

func (c *client) watch() {
	if c.s.chance(0.5) {
		c.get(true)
		return
	}
	c.request(&request{op: wire.OpExists, path: c.toggle(), watch: true})
}

// takeFromQueue deletes most of what was put into the queue.
func takeFromQueue(c *client, a *answer) {
	if a.Err == wire.OK && c.state == clientConnected && !c.job.closing && c.s.chance(0.8) {
		c.request(&request{op: wire.OpDelete, path: a.path, version: -1})
	}
}

// multi does several things at once, on different paths.
func (c *client) multi() {
	subs := []request{
		{op: wire.OpCheck, path: "/r0", version: c.job.versions["/r0"]},
		{op: wire.OpSetData, path: "/r1", data: c.value(), version: -1},
		{op: wire.OpSetData, path: "/r2", data: c.value(), version: -1},
		{op: wire.OpCreate, path: "/x0", data: c.value()},
		{op: wire.OpDelete, path: "/x1", version: -1},
		{op: wire.OpCreate2, path: queuePath + "/m-", data: c.value(), flags: wire.FlagPersistentSequential},
		{op: wire.OpCreate, path: fmt.Sprintf("/e%d.m", c.n), data: c.value(), flags: wire.FlagEphemeral},
	}
	c.s.rnd.Shuffle(len(subs), func(i, j int) { subs[i], subs[j] = subs[j], subs[i] })
	c.request(&request{op: wire.OpMulti, subs: subs[:1+c.s.rnd.IntN(3)]})
}

// container makes znodes that servers remove by themselves.
func (c *client) container() {
	switch c.s.rnd.IntN(3) {
	case 0:
		c.request(&request{op: wire.OpCreateContainer, path: "/box", flags: wire.FlagContainer})
	case 1:
		c.request(&request{op: wire.OpCreate, path: "/box/in", data: c.value()})
		c.request(&request{op: wire.OpDelete, path: "/box/in", version: -1})
	case 2:
		c.request(&request{op: wire.OpCreateTTL, path: "/ttl", data: c.value(), flags: wire.FlagPersistentTTL})
	}
}
