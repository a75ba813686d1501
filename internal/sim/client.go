package sim

import (
	"fmt"

	"github.com/quorate/quorate/wire"
)

// client is a ZooKeeper client: one session at a time, which it takes from server to
// server, with requests, watches and what they are for.
type client struct {
	s     *sim
	n     int
	place int
	dead  bool // it will never come back; its session is to expire
	pace  float64

	state   clientState
	conn    *cconn
	server  int   // place of the one that is tried, or connected to
	since   int64 // of the state
	retryAt int64
	heard   int64
	spoke   int64
	in      []byte

	// takesReadOnly says that it can do with a server that serves reads only, readOnly
	// that it has a session with one.
	takesReadOnly, readOnly bool

	// The session.
	session int64
	passwd  []byte
	ask     int32 // timeout asked for, ms
	timeout int32
	strays  int   // its connect requests that were given up: each may take it away once, however late
	seen    int64 // the latest zxid that an answer named
	floor   int64 // what a sync has made sure of
	xid     int32

	pending []*request // sent, not answered, in order
	watches watchSet
	job     job
	thinkAt int64
	number  int // of values written

	calmDone int // requests answered since faults ended
}

// clientState is how far a client is with its connection.
type clientState uint8

const (
	clientIdle clientState = iota
	clientDialing
	clientGreeting
	clientConnected
)

// String names the client.
func (c *client) String() string { return fmt.Sprintf("client %d", c.n) }

// newClient brings another client.
func (s *sim) newClient() {
	if len(s.clients) == clientsMax {
		return
	}
	c := &client{s: s, n: len(s.clients) + 1, place: len(s.machines) + len(s.clients), pace: 1, server: -1}
	if s.chance(0.2) {
		c.pace = s.drawPace()
	}
	c.ask = s.plan.timeoutMin + int32(s.rnd.IntN(int(s.plan.timeoutMax-s.plan.timeoutMin)+1)) //nolint:gosec // small
	c.takesReadOnly = s.plan.member.ReadOnlyMillis != 0 && s.chance(0.6)
	c.job.draw(c)
	s.clients = append(s.clients, c)
	s.after(s.upTo(second), c.tick)
}

// clientTick is how often a client looks at its watch.
const clientTick = 40 * millisecond

// tick is what a client does by itself.
func (c *client) tick() {
	s := c.s
	if c.dead || s.stopped {
		return
	}
	if t := s.pausedUntil[c.place]; t > s.now {
		s.at(t, c.tick)
		return
	}
	s.after(int64(float64(clientTick)/c.pace), c.tick)
	limit := int64(c.limit()) * millisecond
	switch c.state {
	case clientIdle:
		if s.now >= c.retryAt {
			c.dial()
		}
	case clientDialing:
	case clientGreeting:
		if float64(s.now-c.since)*c.pace > float64(limit)/2 {
			if c.session != 0 {
				c.strays++
			}
			c.drop("no answer to the connect request")
		}
	case clientConnected:
		c.keepAlive(limit)
	}
	if c.state == clientConnected {
		c.work()
	}
}

// limit is the timeout that counts, in ms.
func (c *client) limit() int32 {
	if c.timeout != 0 {
		return c.timeout
	}
	return c.ask
}

func (c *client) keepAlive(limit int64) {
	s := c.s
	if silent := float64(s.now-c.heard) * c.pace; silent > float64(limit)*2/3 {
		if s.well() && (len(c.pending) == 0 || s.now-c.pending[0].asked > 2*s.plan.latencyRare+20*millisecond) { // what the network may take
			s.fault("%s hears nothing from %d, and all is well; it waits for %s", c, c.server+1, c.waiting())
		}
		c.drop("the server is silent")
		return
	}
	if float64(s.now-c.spoke)*c.pace > float64(limit)/3 || s.chance(0.02) {
		c.ping()
	}
}

// waiting tells what the client waits for.
func (c *client) waiting() string {
	text := fmt.Sprint(len(c.pending), " answers")
	if len(c.pending) > 0 {
		text += ", first to " + c.pending[0].String()
	}
	return text
}

// dial tries the next server.
func (c *client) dial() {
	s := c.s
	c.server = c.next()
	m := s.machines[c.server]
	c.enter(clientDialing)
	s.after(s.latency(c.place, m.place)*2, func() {
		switch {
		case c.dead || c.state != clientDialing:
		case m.proc == nil && !m.off:
			c.retry(s.upTo(100 * millisecond))
		case m.proc == nil || s.blocked[c.place][m.place] || s.blocked[m.place][c.place]:
			s.after(s.plan.connectTimeout, func() {
				if c.state == clientDialing {
					c.retry(s.upTo(100 * millisecond))
				}
			})
		default:
			c.greet(m.proc)
		}
	})
}

func (c *client) next() int {
	n := len(c.s.machines)
	if n == 1 {
		return 0
	}
	next := c.s.rnd.IntN(n)
	if next == c.server {
		next = (next + 1) % n
	}
	return next
}

func (c *client) enter(st clientState) { c.state, c.since = st, c.s.now }

func (c *client) retry(d int64) {
	c.enter(clientIdle)
	c.retryAt = c.s.now + d
}

// greet sends the connect request on a new connection.
func (c *client) greet(p *process) {
	c.conn = p.accept(c)
	c.enter(clientGreeting)
	c.in = nil
	req := wire.ConnectRequest{
		LastZxidSeen: c.seen, TimeOut: c.ask, SessionID: c.session, Passwd: c.passwd, HasReadOnly: true,
		ReadOnly: c.takesReadOnly,
	}
	if c.passwd == nil {
		req.Passwd = make([]byte, wire.PasswdBytes)
	}
	c.s.say("%s connects to %d, session %x, seen %s", c, p.m.id, c.session, short(c.seen))
	body := req.Append(nil)
	c.write(append(wire.AppendInt(nil, int32(len(body))), body...)) //nolint:gosec // short
}

// write sends bytes to the server.
func (c *client) write(b []byte) {
	c.spoke = c.s.now
	for _, piece_ := range c.s.pieces(b) {
		c.conn.up.put(piece{piece_}, 0)
	}
}

// send sends one request and expects its answer in turn.
func (c *client) send(r *request) {
	body := r.body()
	b := wire.AppendInt(nil, int32(wire.RequestHeaderBytes+len(body))) //nolint:gosec // short
	b = wire.RequestHeader{Xid: r.xid, Op: r.op}.Append(b)
	r.need = c.floor
	if c.s.plan.replica.LinearizableReads && !c.readOnly && !r.op.IsWrite() && r.op != wire.OpPing && r.op != wire.OpRemoveWatches {
		r.need = max(r.need, c.s.oracle.last())
	}
	r.last = c.s.oracle.last()
	r.asked = c.s.now
	c.pending = append(c.pending, r)
	if c.s.telling() {
		c.s.say("%s asks %d: %s", c, c.server+1, r)
	}
	c.write(append(b, body...))
}

// request sends a request of the session's sequence.
func (c *client) request(r *request) {
	c.xid++
	r.xid = c.xid
	c.send(r)
}

func (c *client) ping() { c.send(&request{xid: wire.XidPing, op: wire.OpPing}) }

// take takes what arrived on a connection.
func (c *client) take(k *cconn, b []byte) {
	if c.dead || c.conn != k {
		return
	}
	c.heard = c.s.now
	c.in = append(c.in, b...)
	c.in = frames(c.in, func(f []byte) {
		if c.conn == k && !c.s.stopped {
			c.packet(f)
		}
	})
	if c.conn == k && c.state == clientConnected {
		c.work()
	}
}

func (c *client) packet(f []byte) {
	if c.state == clientGreeting {
		c.greeted(f)
		return
	}
	c.answer(f)
}

// greeted takes the answer to the connect request.
func (c *client) greeted(f []byte) {
	s := c.s
	rd := wire.NewReader(f)
	var resp wire.ConnectResponse
	resp.Decode(&rd)
	if rd.Err() != nil {
		s.fault("%s: connect response: %v", c, rd.Err())
		return
	}
	if resp.SessionID == 0 {
		s.say("%s is told that session %x has expired", c, c.session)
		s.toldExpired(c)
		c.disconnect()
		c.forget()
		c.retry(s.upTo(50 * millisecond))
		return
	}
	if c.session != 0 && resp.SessionID != c.session {
		s.fault("%s asked for session %x and got %x", c, c.session, resp.SessionID)
	}
	if resp.ReadOnly && !c.takesReadOnly {
		s.fault("%s was not asked whether it can do with a server that is read-only", c)
	}
	c.readOnly = resp.ReadOnly
	if m := s.oracle.sessions[resp.SessionID]; m == nil && !c.readOnly && !s.plan.replica.LocalSessions {
		s.fault("%s got session %x, which is not open", c, resp.SessionID)
	}
	fresh := c.session == 0
	c.session, c.passwd, c.timeout = resp.SessionID, append([]byte(nil), resp.Passwd...), resp.TimeOut
	s.say("%s has session %x at %d", c, c.session, c.server+1)
	c.enter(clientConnected)
	if c.readOnly {
		s.result.Done["read-only"]++
	}
	if fresh && !c.readOnly {
		c.job.begin(c)
	} else {
		c.watchAgain()
		c.job.resume(c)
	}
}

// forget gives up a session.
func (c *client) forget() {
	c.session, c.passwd, c.timeout, c.strays, c.seen, c.floor, c.xid, c.readOnly = 0, nil, 0, 0, 0, 0, 0, false
	c.watches = watchSet{}
	c.job.lost(c)
}

// disconnect ends the connection. What was not answered may or may not have been done.
func (c *client) disconnect() {
	if c.conn != nil {
		c.conn.down.drop()
		if c.s.chance(0.7) {
			c.conn.up.close()
		} else {
			c.conn.up.drop() // the server is not told
		}
	}
	c.conn = nil
	c.unwatch()
	c.pending = nil
	c.job.interrupted(c)
}

// drop gives up the connection and tries another server. Who was closing the session
// gives it up, too: it was closed, or will expire.
func (c *client) drop(why string) {
	c.s.say("%s drops its connection to %d: %s", c, c.server+1, why)
	c.disconnect()
	if c.job.closing || c.readOnly && c.s.chance(0.7) {
		c.forget()
	}
	c.retry(c.s.upTo(200 * millisecond))
}

// lost is the end of the connection by the server or by the network.
func (c *client) lost(k *cconn, why string) {
	if c.dead || c.conn != k {
		return
	}
	if c.s.well() && !c.movedOn() && !c.takenAway(k) && !c.job.closing && (c.state == clientConnected || !c.s.plan.member.NoLeaderServes) {
		c.s.fault("%s loses its connection to %d, and all is well: %s", c, c.server+1, why)
	}
	c.drop(why)
}

// movedOn reports whether the connection ends because another server has the session. A
// connect request that the client has given up may be carried out after a later one, and
// then the first write on the connection is refused, however late that is.
func (c *client) movedOn() bool {
	m := c.s.oracle.sessions[c.session]
	return m != nil && m.moved && c.since <= c.s.settledAt
}

// takenAway reports whether connection k ends because a stray connect request has taken
// the session from it, and uses that up. The client had given up waiting and gone to
// another server. The one that had the request may have none to tell it of that, and asks
// the leader when it finds one; or it is a leader that stood still and finds both requests,
// of which it cannot tell the later one. That the stray was carried out shows: the session
// has moved once more since the server gave it to the client, or what was asked for there
// was refused.
func (c *client) takenAway(k *cconn) bool {
	m := c.s.oracle.sessions[c.session]
	if c.strays == 0 || m == nil || !m.moved && m.movedAt <= k.server.givenAt {
		return false
	}
	c.strays--
	return true
}

// kill is the end of the client.
func (c *client) kill() {
	s := c.s
	s.say("%s dies", c)
	if c.conn != nil {
		c.disconnect()
	}
	c.dead = true
	s.newClient()
}
