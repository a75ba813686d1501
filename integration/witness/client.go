package witness

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

// Client is one session of go-zookeeper/zk, and the sessions after it when it
// expires. It connects to any of its servers.
type Client struct {
	*zk.Conn
	ID int
	// Expired counts the sessions that the ensemble has ended.
	Expired atomic.Int32
	// Connections counts connections with a session.
	Connections atomic.Int32
	done        chan struct{}
	// gate, if it is not nil, holds the client's next work back.
	gate *gate
	// works tells that the client changes things between two calls of AwaitSession.
	works, busy bool
}

// NewClient starts to connect and returns at once.
func NewClient(id int, addrs []string, sessionTimeout time.Duration) (*Client, error) {
	c := &Client{ID: id, done: make(chan struct{})}
	conn, events, err := zk.Connect(addrs, sessionTimeout, zk.WithLogger(quiet{}), zk.WithLogInfo(false), zk.WithEventCallback(c.note))
	if err != nil {
		return nil, fmt.Errorf("client %d of %v: %w", id, addrs, err)
	}
	c.Conn = conn
	go func() {
		defer close(c.done)
		for range events { // until the client is closed
		}
	}()
	return c, nil
}

type quiet struct{}

// Printf implements zk.Logger.
func (quiet) Printf(string, ...any) {}

// note counts what happens to the session, before any request can be answered
// on a new connection.
func (c *Client) note(e zk.Event) {
	switch {
	case e.Type == zk.EventSession && e.State == zk.StateHasSession:
		c.Connections.Add(1)
	case e.Type == zk.EventSession && e.State == zk.StateExpired:
		c.Expired.Add(1)
	}
}

// gate holds clients back between two pieces of their work.
type gate struct {
	shut atomic.Bool
	busy atomic.Int64 // clients in the midst of a piece of work
}

func (g *gate) closed() bool { return g != nil && g.shut.Load() }

// Close ends the session, as far as a server can be reached.
func (c *Client) Close() {
	c.Conn.Close()
	<-c.done
}

// AwaitSession waits until the client is connected and may work, so that it does not fill
// its history with requests that cannot be sent. It reports false when ctx
// ends first.
func (c *Client) AwaitSession(ctx context.Context) bool {
	for c.State() != zk.StateHasSession || !c.enter() {
		c.leave()
		if !pause(ctx, 2*time.Millisecond) {
			return false
		}
	}
	return ctx.Err() == nil
}

// enter begins a piece of work, unless the gate is shut.
func (c *Client) enter() bool {
	if c.works && !c.busy {
		c.busy = true
		c.gate.busy.Add(1) // before the look at the gate: who shuts it sees either
	}
	return !c.gate.closed()
}

// leave ends a piece of work.
func (c *Client) leave() {
	if c.busy {
		c.busy = false
		c.gate.busy.Add(-1)
	}
}

// pause waits, and reports false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// refused reports whether a request was answered with an error, so that it
// certainly did not happen. Any other error leaves that open.
func refused(err error) bool {
	for _, e := range []error{
		zk.ErrBadVersion, zk.ErrNoNode, zk.ErrNodeExists, zk.ErrNotEmpty, zk.ErrSessionMoved, zk.ErrNoChildrenForEphemerals,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// insist repeats a request until it is answered, with success or refusal.
func (c *Client) insist(ctx context.Context, request func() error) error {
	for {
		if !c.AwaitSession(ctx) {
			return ctx.Err()
		}
		err := request()
		if err == nil || refused(err) {
			return err
		}
		if !pause(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
}

var open = zk.WorldACL(zk.PermAll)

// ensure makes a persistent znode if it is not there.
func (c *Client) ensure(ctx context.Context, path string) error {
	err := c.insist(ctx, func() error {
		_, err := c.Create(path, nil, 0, open)
		return err
	})
	if errors.Is(err, zk.ErrNodeExists) {
		err = nil
	}
	return err
}
