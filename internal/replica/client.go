package replica

import (
	"errors"
	"net/netip"
	"sync"

	"github.com/quorate/quorate/watch"
	"github.com/quorate/quorate/wire"
)

// ErrProtocol is wrapped by every error of [Client.Feed]: the peer broke a
// rule for which ZooKeeper closes the connection.
var ErrProtocol = errors.New("protocol violation")

// State is where a client stands between its first byte and its last.
type State uint8

const (
	// StateNew says: no connect request yet.
	StateNew State = iota
	// StateConnecting says: a connect request is being decided; nothing is read.
	StateConnecting
	// StateConnected says: requests are served.
	StateConnected
	// StateClosing says: closeSession was received; later requests are dropped.
	StateClosing
	// StateClosed says: what is in the output is the last there will be.
	StateClosed
)

// Sink is what a client needs of its connection. Methods are called by the
// goroutine that applies transactions, and Resume by those that feed others too,
// without any lock held, and must not block.
type Sink interface {
	// Flush says that the client's output has grown. When the client's state is
	// StateClosed the connection is to be closed once the output is written.
	Flush()
	// Resume says that Feed can go on: the session is established, or the queue
	// has drained.
	Resume()
}

// Client is a connection as the replica sees it: its session, its
// credentials, the requests that wait for an earlier write, and its output.
type Client struct {
	r       *Replica
	sink    Sink
	remote  netip.Addr
	watcher watch.Watcher

	// session is set when the session is established, and never changes after.
	session *Session
	// Stats is read by the four-letter words.
	Stats ClientStats

	mu     sync.Mutex
	state  State
	ids    []wire.ID // replaced, never changed in place: requests keep theirs
	out    []byte
	unread int // bytes of events in out
	queue  requestQueue
	// paused says that Feed stopped because the queue or the output is full.
	paused      bool
	proposed    int  // of its writes, how many are on their way; owned by the loop
	readOnly    bool // it was connected by a read-only server
	held        bool // Feed stopped because there is no leader
	behind      bool // Feed stopped because a write waits for a sync to be answered
	dirty       bool // listed in Replica.dirty; owned by the applying goroutine
	hasReadOnly bool
	// What follows is of limiter, and unused without limits. reserved is the size of a
	// large request that is being handled, announced says that the length of the packet
	// which begins was looked at; stalledBytes of what was fed have waited for their turn
	// since stalledAt; inLine says that the client is in the line.
	reserved     int32
	announced    bool
	inLine       bool
	stalledBytes int
	stalledAt    int64
	// skip is how many bytes of an oversized request are still to be dropped;
	// owned by the feeding goroutine.
	skip int
	// blocked is what Unblock is to do; owned by the feeding goroutine.
	blocked demand
	// busy says that Feed stopped in a request that it has not carried out.
	busy bool
	// part is how far a request has got that is carried out in pieces.
	part progress
	// offered is the session being created while connecting.
	offered offer
	// counted keeps the result of a count that was made without locks.
	counted countResult
	reads   lastReads
}

// State returns the client's state. Any goroutine may call it.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Session returns the established session, or nil. Any goroutine may call it.
func (c *Client) Session() *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Remote returns the peer's address as it was given to NewClient.
func (c *Client) Remote() netip.Addr { return c.remote }

// TakeOut swaps the client's output for buf[:0] and returns it. It reports
// whether the connection is to be closed after these bytes. Only the one
// goroutine that is writing to the connection may call it.
func (c *Client) TakeOut(buf []byte) (out []byte, last bool) {
	c.mu.Lock()
	out, c.out = c.out, buf[:0]
	if c.unread > 0 {
		c.r.unread.Add(-int64(c.unread))
		c.unread = 0
	}
	last = c.state == StateClosed
	c.mu.Unlock()
	return out, last
}

// Pending returns how many bytes of output and how many requests wait.
func (c *Client) Pending() (outBytes, requests int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out), c.queue.len()
}

// Unpause reports whether a client that was told to Wait, because too much was
// waiting for it, may be fed again. The connection calls it when it has written
// output; for the queue, Resume comes.
func (c *Client) Unpause() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.paused || c.full() {
		return false
	}
	c.paused = false
	return true
}

// full reports whether the client has to wait before more is read from it.
func (c *Client) full() bool {
	return c.queue.len() >= c.r.opt.QueueLimit || c.queue.bytes() >= c.r.opt.QueueBytes ||
		len(c.out) >= c.r.opt.OutBytes || c.queue.len() > 0 && c.r.limits.crowded()
}

// setState moves the client on; the caller holds c.mu.
func (c *Client) setState(s State) {
	if s > c.state {
		c.state = s
	}
}

// appendReply appends a whole reply that has no body. c.mu is held.
func (c *Client) appendReply(xid int32, zxid int64, code wire.Code) {
	c.out = wire.AppendInt(c.out, wire.ReplyHeaderBytes)
	c.out = wire.ReplyHeader{Xid: xid, Zxid: zxid, Err: code}.Append(c.out)
	c.Stats.sent()
}
