package witness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

// locks are taken by the stock recipe. While a client holds the lock it changes
// a znode, the fence, in a transaction that checks that its place in the lock
// is still there: whatever the clocks say, the fence then has the version it
// was read with, or two clients hold the lock.
type locks struct {
	path, fence string
	taken       atomic.Int64
	lost        atomic.Int64 // ended by the loss of the session or connection
}

// lock takes and releases the lock until ctx ends. The recipe forgets its place
// in the lock when the connection breaks, so each attempt has a session of its
// own.
func (c *Crowd) lock(ctx context.Context, id int, random *rand.Rand) {
	for ctx.Err() == nil {
		client, err := NewClient(id, c.plan.Addrs, c.plan.SessionTimeout)
		if err != nil {
			c.fault("%v", err)
			return
		}
		client.gate, client.works = &c.gate, true
		stop := context.AfterFunc(ctx, client.Conn.Close) // ends a wait for the lock
		for c.lockOnce(ctx, client, random) {
			if !pause(ctx, time.Duration(random.Int64N(int64(2*c.plan.Think)+1))) {
				break
			}
		}
		client.leave()
		if stop() {
			client.Conn.Close()
		}
		<-client.done
		c.expired.Add(int64(client.Expired.Load()))
	}
}

// lockOnce takes the lock, works and releases it. It reports false when the
// session should not be used any more.
func (c *Crowd) lockOnce(ctx context.Context, client *Client, random *rand.Rand) bool {
	if !client.AwaitSession(ctx) {
		return false
	}
	l := zk.NewLock(client.Conn, c.locks.path, open)
	name := fmt.Sprintf("%d-%d", client.ID, random.Uint64())
	client.leave() // the holder may be a session that is yet to expire
	if err := l.LockWithData([]byte(name)); err != nil {
		c.locks.lost.Add(1)
		return false
	}
	client.enter()
	if err := c.underLock(ctx, client, name, random); err != nil {
		c.locks.lost.Add(1)
		return false
	}
	c.locks.taken.Add(1)
	return l.Unlock() == nil
}

// underLock changes the fence a few times.
func (c *Crowd) underLock(ctx context.Context, client *Client, name string, random *rand.Rand) error {
	place, err := c.place(client, name)
	if err != nil {
		return err
	}
	_, st, err := client.Get(c.locks.fence)
	if err != nil {
		return err
	}
	version := st.Version
	for range 1 + random.IntN(3) {
		_, err := client.Multi(
			&zk.CheckVersionRequest{Path: place, Version: -1},
			&zk.SetDataRequest{Path: c.locks.fence, Data: []byte(name), Version: version},
		)
		if errors.Is(err, zk.ErrBadVersion) {
			c.fault("the lock is held twice: %s holds %s, but the fence has left version %d", name, place, version)
		}
		if err != nil {
			return err
		}
		version++
		pause(ctx, time.Duration(random.Int64N(int64(c.plan.Think)+1)))
	}
	return nil
}

// place finds the client's own znode in the lock and checks that it is the
// first.
func (c *Crowd) place(client *Client, name string) (string, error) {
	names, _, err := client.Children(c.locks.path)
	if err != nil {
		return "", err
	}
	first, own, lowest := "", "", 0
	for _, n := range names {
		if seq, err := strconv.Atoi(n[max(0, len(n)-10):]); err == nil && (first == "" || seq < lowest) {
			first, lowest = n, seq
		}
	}
	data, _, err := client.Get(c.locks.path + "/" + first)
	if err == nil && string(data) == name {
		own = c.locks.path + "/" + first
	}
	if own == "" {
		return "", errors.Join(err, errors.New("not the first any more")) // the session has expired
	}
	return own, nil
}
