package witness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration/history"
)

// Bounds of one register's history, which keep the search for a linear order
// short: it grows with the unanswered operations above all.
const (
	opsMax        = 300
	unansweredMax = 8
)

// slots are the registers in use. A register that has history enough is
// replaced by a new one.
type slots struct {
	root string
	mu   sync.Mutex
	made int
	keys []*slot
	all  []string // every register that was ever used
	last *slot    // the one that was written last; nil: none yet
}

type slot struct {
	path            string
	ops, unanswered int
	version         int32 // the last that anybody saw
}

func newSlots(root string, n int) *slots {
	return &slots{root: root, keys: make([]*slot, n)}
}

// pick returns a register and the version it was last seen with. It makes one
// when the drawn place has none.
func (s *slots) pick(ctx context.Context, c *Client, random *rand.Rand) (string, int32, error) {
	i := random.IntN(len(s.keys))
	s.mu.Lock()
	if k := s.keys[i]; k != nil && k.ops < opsMax && k.unanswered < unansweredMax {
		k.ops++
		defer s.mu.Unlock()
		return k.path, k.version, nil
	}
	s.made++
	path := fmt.Sprintf("%s/r%d", s.root, s.made)
	s.mu.Unlock()
	if err := c.ensure(ctx, path); err != nil {
		return "", 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[i] = &slot{path: path, ops: 1}
	s.all = append(s.all, path)
	return path, 0, nil
}

// note takes up what an operation showed.
func (s *slots) note(o history.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		switch {
		case k == nil || k.path != o.Key:
		case o.Outcome == history.Unknown:
			k.unanswered++
		case o.Outcome == history.OK:
			k.version = max(k.version, o.Version)
			if o.Action == history.Set || o.Action == history.Swap {
				s.last = k
			}
		}
	}
}

// latest returns the register with the last acknowledged write, or reports that
// there is none whose history has room.
func (s *slots) latest() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.last.ops >= opsMax {
		return "", false
	}
	s.last.ops++
	return s.last.path, true
}

// every returns the paths of all registers that were ever used.
func (s *slots) every() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.all...)
}

// useRegisters reads and writes registers until ctx ends.
func (c *Crowd) useRegisters(ctx context.Context, client *Client, random *rand.Rand) {
	for n := 0; client.AwaitSession(ctx); n++ {
		key, version, err := c.slots.pick(ctx, client, random)
		if err != nil {
			return
		}
		o := history.Op{Client: client.ID, Key: key, Action: c.action(random), Expect: version, Value: fmt.Sprintf("c%d-%d", client.ID, n)}
		c.perform(client, &o)
		c.slots.note(o)
		if !pause(ctx, time.Duration(random.Int64N(int64(c.plan.Think)+1))) {
			return
		}
	}
}

// readRegisters reads the register that somebody has just written, again and
// again until ctx ends: a server that is behind is found out by whoever reads what
// others write, and those that write wait most of the time.
func (c *Crowd) readRegisters(ctx context.Context, client *Client, random *rand.Rand) {
	action := history.Read
	switch {
	case c.plan.FreshReads:
		action = history.ReadFresh
	case c.plan.SyncedReads:
		action = history.ReadSynced
	}
	for client.AwaitSession(ctx) {
		if key, ok := c.slots.latest(); ok {
			o := history.Op{Client: client.ID, Key: key, Action: action}
			c.perform(client, &o)
			c.slots.note(o)
		}
		if !pause(ctx, time.Duration(random.Int64N(int64(c.plan.Think)+1))) {
			return
		}
	}
}

// action draws what to do next.
func (c *Crowd) action(random *rand.Rand) history.Action {
	switch n := random.IntN(20); {
	case n < 6:
		return history.Set
	case n < 12:
		return history.Swap
	case n < 13:
		return history.Check
	case n >= 17 && c.plan.SyncedReads:
		return history.ReadSynced
	case c.plan.FreshReads:
		return history.ReadFresh
	default:
		return history.Read
	}
}

// perform does an operation and records it.
func (c *Crowd) perform(client *Client, o *history.Op) {
	o.Call = c.Log.Now()
	var err error
	var st *zk.Stat
	switch o.Action {
	case history.Set:
		st, err = client.Set(o.Key, []byte(o.Value), -1)
	case history.Swap:
		st, err = client.Set(o.Key, []byte(o.Value), o.Expect)
	case history.Check:
		_, err = client.Multi(&zk.CheckVersionRequest{Path: o.Key, Version: o.Expect})
	default:
		st, err = read(client, o)
	}
	o.Return = c.Log.Now()
	switch {
	case err == nil:
		o.Outcome = history.OK
	case errors.Is(err, zk.ErrBadVersion):
		o.Outcome = history.BadVersion
	}
	if err == nil && st != nil {
		o.Version, o.Zxid = st.Version, st.Mzxid
	}
	if o.Action == history.Read && errors.Is(err, zk.ErrNoNode) {
		return // this server has not heard of the register yet
	}
	if err != nil && refused(err) && !errors.Is(err, zk.ErrBadVersion) && !errors.Is(err, zk.ErrSessionMoved) {
		c.fault("%v: %v", *o, err) // the register is there and nobody deletes it
	}
	c.Log.Add(*o)
}

func read(client *Client, o *history.Op) (*zk.Stat, error) {
	if o.Action == history.ReadSynced {
		if _, err := client.Sync(o.Key); err != nil {
			return nil, err
		}
	}
	data, st, err := client.Get(o.Key)
	o.Value = string(data)
	return st, err
}
