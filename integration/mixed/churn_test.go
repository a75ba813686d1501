//go:build linux

package mixed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/integration/witness"
	"github.com/quorate/quorate/wire"
)

// churn are clients that make transactions of every kind: of many parts, that fail
// at the first, the middle or the last part, single ones that fail, sequential
// znodes, containers, ACLs, sessions that are closed with their ephemerals, and
// sessions that are left to expire. There is one on each member.
type churn struct {
	t       *testing.T
	cancel  context.CancelFunc
	working sync.WaitGroup
	resting atomic.Bool
	// rounds, closed and left count what was done.
	rounds, closed, left atomic.Int64
	busy                 []atomic.Bool // clients in the midst of a round
	mu                   sync.Mutex
	// last is what each client has written last and had acknowledged, by path.
	last map[string]string
	// expiring are the sessions that were left.
	expiring []int64
}

var everything = zk.WorldACL(zk.PermAll)

func startChurn(t *testing.T, addrs []string) *churn {
	ctx, cancel := context.WithCancel(t.Context())
	c := &churn{t: t, cancel: cancel, last: map[string]string{}, busy: make([]atomic.Bool, len(addrs))}
	for i, addr := range addrs {
		client, err := witness.NewClient(i, []string{addr}, sessionTimeout)
		if err != nil {
			t.Fatal(err)
		}
		c.working.Go(func() {
			defer client.Close()
			c.work(ctx, client, addr)
		})
	}
	t.Cleanup(c.stop)
	return c
}

func (c *churn) rest()   { c.resting.Store(true) }
func (c *churn) resume() { c.resting.Store(false) }
func (c *churn) stop() {
	c.cancel()
	c.working.Wait()
}

func (c *churn) String() string {
	return fmt.Sprintf("%d rounds of transactions of every kind, %d sessions closed, %d left to expire", c.rounds.Load(), c.closed.Load(), c.left.Load())
}

// work does rounds until ctx ends. Requests may fail when servers are disturbed; the
// next round begins where that left it.
func (c *churn) work(ctx context.Context, client *witness.Client, addr string) {
	root := fmt.Sprintf("/churn%d", client.ID)
	for n := 0; client.AwaitSession(ctx); n++ {
		c.busy[client.ID].Store(true) // before the look at resting: who sets that sees either
		if !c.resting.Load() {
			c.round(client, root, n)
			c.sessions(addr, root, n)
			c.rounds.Add(1)
		}
		c.busy[client.ID].Store(false)
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// round makes a few transactions.
func (c *churn) round(client *witness.Client, root string, n int) {
	box, value := fmt.Sprintf("%s/box%d", root, n%10), []byte(fmt.Sprint(n))
	_, _ = client.Create(root, nil, 0, everything)
	_, _ = client.CreateContainer(root+"/container", nil, zk.FlagContainer, everything)
	_, _ = client.Create(root+"/none/x", nil, 0, everything) // fails
	_, err := client.Multi(
		&zk.CreateRequest{Path: box, Data: value, Acl: everything},
		&zk.SetDataRequest{Path: box, Data: []byte("changed"), Version: 0},
		&zk.CreateRequest{Path: box + "/s-", Acl: everything, Flags: zk.FlagSequence},
		&zk.CreateRequest{Path: box + "/e", Acl: everything, Flags: zk.FlagEphemeral},
	)
	if err != nil { // it is there: take it away
		_, _ = client.Multi(&zk.CheckVersionRequest{Path: box, Version: 1}, &zk.DeleteRequest{Path: box + "/e", Version: -1},
			&zk.DeleteRequest{Path: box + "/s-0000000000", Version: -1}, &zk.DeleteRequest{Path: box, Version: -1})
	}
	// These fail at their first, second and last part.
	_, _ = client.Multi(&zk.DeleteRequest{Path: root + "/none", Version: -1}, &zk.CreateRequest{Path: root + "/never", Acl: everything})
	_, _ = client.Multi(&zk.CreateRequest{Path: root + "/never", Acl: everything}, &zk.CheckVersionRequest{Path: root, Version: 1 << 30},
		&zk.SetDataRequest{Path: root, Data: value, Version: -1})
	_, _ = client.Multi(&zk.SetDataRequest{Path: root, Data: []byte("never"), Version: -1}, &zk.CreateRequest{Path: root + "/none/x", Acl: everything})
	_, _ = client.SetACL(root, zk.WorldACL(zk.PermAll), -1)
	_, _ = client.Sync(root) // while others write through the same server
	_, err = client.Set(root, value, -1)
	c.note(root, string(value), err)
}

// note keeps what was acknowledged last; what was not may have been written, or not.
func (c *churn) note(path, value string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.last[path] = value
	case !errors.Is(err, zk.ErrNoNode):
		delete(c.last, path)
	}
}

// sessions makes one that is closed, or one that is left alone.
func (c *churn) sessions(addr, root string, n int) {
	if n%8 != 0 {
		return
	}
	s, err := integration.Connect(addr, integration.ConnectOptions{TimeoutMs: 1000})
	if err != nil {
		return
	}
	for i := range 3 {
		_, _ = s.Create(fmt.Sprintf("%s/of-%x-%d", root, s.ID, i), nil, wire.FlagEphemeral)
	}
	if n%32 == 0 {
		s.Drop()
		c.left.Add(1)
		c.mu.Lock()
		c.expiring = append(c.expiring, s.ID)
		c.mu.Unlock()
	} else if s.Close() == nil {
		c.closed.Add(1)
	}
}

// awaitRest waits, in a rest, until the clients of members that run have ended their
// rounds, and a Java leader has no session more that was left to expire.
func (c *churn) awaitRest(e *ensemble.Ensemble, leader *ensemble.Member) error {
	return ensemble.Await("the clients to rest", func() error {
		for i, m := range e.Members {
			if m.Responsive() && c.busy[i].Load() {
				return fmt.Errorf("the client of member %v is at work", m)
			}
		}
		sessions, err := ensemble.Word(leader.Addr(), "dump")
		if err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, id := range c.expiring {
			if strings.Contains(sessions, fmt.Sprintf("0x%x\n", id)) {
				return fmt.Errorf("session %#x has not expired", id)
			}
		}
		c.expiring = nil
		return nil
	})
}

// judge looks through every server whether the last acknowledged writes are there and
// nothing that failed is.
func (c *churn) judge(addrs []string) {
	c.t.Helper()
	for _, addr := range addrs {
		s, err := integration.Connect(addr, integration.ConnectOptions{TimeoutMs: 10000})
		if err != nil {
			c.t.Fatal(err)
		}
		if _, _, err := s.Call(wire.OpSync, wire.AppendString(nil, "/")); err != nil {
			c.t.Fatal(err)
		}
		for path, want := range c.last {
			if got, _, err := s.Get(path, false); err != nil || string(got) != want {
				c.t.Errorf("through %s %s is %q, %v; %q was acknowledged", addr, path, got, err, want)
			}
			if _, _, err := s.Get(path+"/never", false); !errors.Is(err, wire.ErrNoNode) {
				c.t.Errorf("through %s %s/never is there, or %v", addr, path, err)
			}
		}
		s.Drop()
	}
}
