//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/wire"
)

// What stock clients wait: for an answer two thirds of their session's timeout,
// which is 30 s here, for a connection less, because there are other servers.
const (
	sessionMs     = 30_000
	answerWithin  = 20 * time.Second
	sessionWithin = 2 * time.Second
	// betweenRounds only spares the processor when all servers refuse.
	betweenRounds = 5 * time.Millisecond
)

// client is one session that takes an election as stock clients do: it keeps
// its connection for as long as the server does, and then goes on to the next
// of its servers with its session, at once. It is for one goroutine.
type client struct {
	addrs []string
	// pause is the longest time it waits before it connects again; how long, is
	// random. ZooKeeper's client for Java waits for up to a second, others do not.
	pause time.Duration
	at    int                  // the server of the connection, or the next to try
	conn  *integration.Session // nil: none
	known integration.ConnectOptions

	// connections counts those that a session was had on, unanswered those on
	// which a server kept silent until this client gave up, expired the sessions
	// that a server did not know any more.
	connections, unanswered, expired int
}

func newClient(addrs []string) *client {
	return &client{addrs: addrs, known: integration.ConnectOptions{TimeoutMs: sessionMs}}
}

// errUnreachable: the server cannot be had now, another or the same one may be
// soon.
var errUnreachable = errors.New("no session")

// connect gets a session from the server it is at, the one it has if the server
// knows it.
func (c *client) connect() error {
	conn, err := integration.Dial(c.addrs[c.at])
	if err != nil {
		return errors.Join(errUnreachable, err)
	}
	conn.Patience = sessionWithin
	s, err := integration.Handshake(conn, c.known)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.unanswered++
	}
	if errors.Is(err, integration.ErrSessionInvalid) {
		c.expired++
		c.known.SessionID, c.known.Passwd = 0, nil
	}
	if err != nil {
		conn.Close()
		return errors.Join(errUnreachable, err)
	}
	conn.Patience = answerWithin
	c.conn, c.known.SessionID, c.known.Passwd = s, s.ID, s.Passwd
	c.connections++
	return nil
}

// try makes one attempt at a write.
func (c *client) try(path string, data []byte) error {
	if c.conn == nil {
		if c.pause > 0 && c.connections > 0 {
			time.Sleep(rand.N(c.pause))
		}
		if err := c.connect(); err != nil {
			return err
		}
	}
	st, err := c.conn.Set(path, data, -1)
	if err == nil {
		c.known.LastZxidSeen = max(c.known.LastZxidSeen, st.Mzxid)
	}
	return err
}

// refused reports whether err is a server's answer to the request that another
// connection would not change.
func refused(err error) bool {
	var code wire.Code
	return errors.As(err, &code) && code != wire.ErrSessionExpired && code != wire.ErrSessionMoved
}

// write repeats a setData until it is acknowledged.
func (c *client) write(ctx context.Context, path string, data []byte) error {
	var err error
	for failures := 1; ; failures++ {
		if err = c.try(path, data); err == nil || refused(err) {
			return err
		}
		c.drop()
		c.at = (c.at + 1) % len(c.addrs)
		if failures%len(c.addrs) != 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no write was acknowledged by %v: %w", c.addrs, errors.Join(context.Cause(ctx), err))
		case <-time.After(betweenRounds):
		}
	}
}

// drop closes the connection and keeps the session.
func (c *client) drop() {
	if c.conn != nil {
		c.conn.Drop()
		c.conn = nil
	}
}

// close ends the session, as far as it has a connection.
func (c *client) close() {
	if c.conn != nil {
		c.conn.Patience = sessionWithin
		_ = c.conn.Close() // one that cannot be ended will expire
		c.conn = nil
	}
}
