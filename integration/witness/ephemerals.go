package witness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// owners are clients that each keep one ephemeral. What they know of it is kept
// by path.
type owners struct {
	root string
	mu   sync.Mutex
	// acknowledged and unanswered hold the sessions that made, or may have
	// made, a path's ephemeral.
	acknowledged, unanswered map[string]int64
}

func (o *owners) set(path string, session int64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.acknowledged, path)
	delete(o.unanswered, path)
	switch {
	case err == nil:
		o.acknowledged[path] = session
	case !refused(err):
		o.unanswered[path] = session
	}
}

// own keeps an ephemeral until ctx ends: makes it, looks whether it is there,
// removes it and makes it again. It leaves it to the session at the end.
func (c *Crowd) own(ctx context.Context, client *Client, random *rand.Rand) {
	path := fmt.Sprintf("%s/e%d", c.owners.root, client.ID)
	for client.AwaitSession(ctx) {
		session, expired := client.SessionID(), client.Expired.Load()
		_, err := client.Create(path, fmt.Append(nil, session), zk.FlagEphemeral, open)
		switch {
		case client.Expired.Load() != expired || client.SessionID() != session:
			c.owners.set(path, client.SessionID(), zk.ErrConnectionClosed) // the next round finds out whose it is
			continue
		case errors.Is(err, zk.ErrNodeExists):
			c.adopt(client, path, session)
		default:
			c.owners.set(path, session, err)
		}
		for range random.IntN(6) {
			if !pause(ctx, time.Duration(random.Int64N(int64(4*c.plan.Think)+1))) {
				return
			}
			c.look(client, path, session)
		}
		if random.IntN(3) == 0 && ctx.Err() == nil {
			c.removeOwn(client, path, session)
		}
	}
}

// adopt finds out whose the ephemeral is that stands in the way: the client's
// own, made by a request that was not answered. The ephemerals of a session
// that was told to be dead are gone before the next session can write.
func (c *Crowd) adopt(client *Client, path string, session int64) {
	_, st, err := client.Get(path)
	if err == nil && st.EphemeralOwner != session && client.SessionID() == session {
		c.fault("the ephemeral %s of the dead session %#x is in the way of session %#x", path, st.EphemeralOwner, session)
	}
	c.owners.set(path, session, err)
}

// look checks that an acknowledged ephemeral is there while its session lives.
func (c *Crowd) look(client *Client, path string, session int64) {
	c.owners.mu.Lock()
	_, known := c.owners.acknowledged[path]
	c.owners.mu.Unlock()
	there, _, err := client.Exists(path)
	if known && err == nil && !there && client.SessionID() == session && client.Expired.Load() == 0 {
		c.fault("the ephemeral %s of the live session %#x is gone", path, session)
	}
}

func (c *Crowd) removeOwn(client *Client, path string, session int64) {
	err := client.Delete(path, -1)
	switch {
	case err == nil || errors.Is(err, zk.ErrNoNode):
		c.owners.set(path, 0, zk.ErrNoNode)
	case !refused(err):
		c.owners.set(path, session, err)
	}
}
