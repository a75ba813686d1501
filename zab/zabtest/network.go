package zabtest

import (
	"slices"

	"github.com/quorate/quorate/zab"
)

// parcel is a message on its way, with what travels behind it.
type parcel struct {
	zab.Message
	snap []zab.Entry
}

// end is one end of a connection: what it will receive, and whether it still listens.
type end struct {
	sid    int64
	inbox  []parcel
	closed bool // by this end
}

// conn is a connection of the quorum port. end 0 dialled, end 1 accepted.
type conn struct {
	id   zab.ConnID
	ends [2]end
	cut  bool // broken: what is on its way may still arrive, nothing more is taken
}

// network holds what is on its way. Notifications may be lost, repeated and overtake each other; what a connection
// carries comes in order, until it breaks.
type network struct {
	ballots []parcel
	conns   []*conn // ascending by id
	nextID  zab.ConnID
	blocked map[[2]int64]bool
}

func (w *network) init() { w.blocked, w.nextID = map[[2]int64]bool{}, 100 }

// open reports whether a message can pass from a to b.
func (w *network) open(a, b int64) bool { return !w.blocked[[2]int64{a, b}] }

func (w *network) conn(id zab.ConnID) *conn {
	i, ok := slices.BinarySearchFunc(w.conns, id, func(c *conn, id zab.ConnID) int { return int(c.id - id) })
	if !ok {
		return nil
	}
	return w.conns[i]
}

// side returns the index of the end that belongs to sid.
func (c *conn) side(sid int64) int {
	if c.ends[0].sid == sid {
		return 0
	}
	return 1
}

// split returns the end of sid, and the other.
func (c *conn) split(sid int64) (own, other *end) {
	i := c.side(sid)
	return &c.ends[i], &c.ends[1-i]
}

// dial makes a connection from a to b.
func (w *network) dial(a, b int64) *conn {
	w.nextID++
	c := &conn{id: w.nextID, ends: [2]end{{sid: a}, {sid: b}}}
	w.conns = append(w.conns, c)
	return c
}

// closeEnd closes the end of conn id that belongs to sid. What it sent before is still on its way.
func (w *network) closeEnd(id zab.ConnID, sid int64) {
	if c := w.conn(id); c != nil {
		e := &c.ends[c.side(sid)]
		e.closed, e.inbox = true, nil
		w.sweep(c)
	}
}

// sweep removes a connection that both ends have closed.
func (w *network) sweep(c *conn) {
	if c.ends[0].closed && c.ends[1].closed {
		w.conns = slices.DeleteFunc(w.conns, func(d *conn) bool { return d == c })
	}
}

// forget closes every end of a process that died, and loses what was sent to it on the election port.
func (w *network) forget(sid int64) {
	for _, c := range slices.Clone(w.conns) {
		for i := range c.ends {
			if c.ends[i].sid == sid {
				w.closeEnd(c.id, sid)
			}
		}
	}
	w.ballots = slices.DeleteFunc(w.ballots, func(p parcel) bool { return p.To == sid })
}

// cutAfter breaks a connection: of what is on its way only the first keep parcels each way still arrive.
func (c *conn) cutAfter(keep [2]int) {
	c.cut = true
	for i := range c.ends {
		e := &c.ends[i]
		e.inbox = e.inbox[:min(keep[i], len(e.inbox))]
	}
}

// transmit puts a message of n on its way.
func (c *Cluster) transmit(n *node, m zab.Message) {
	if m.Type == zab.Notification {
		c.net.ballots = append(c.net.ballots, parcel{Message: m})
		return
	}
	k := c.net.conn(m.Conn)
	if k == nil || k.cut {
		return
	}
	own, other := k.split(n.id)
	if own.closed || other.closed {
		return
	}
	switch m.Type {
	case zab.LogRange:
		c.sendRange(n, k, other, m)
	case zab.Snap:
		other.inbox = append(other.inbox, parcel{m, n.disk.cached.history(m.Through)})
	default:
		other.inbox = append(other.inbox, parcel{Message: m})
	}
}

// sendRange does what a transport does with LogRange: it reads the log on disk.
func (c *Cluster) sendRange(n *node, k *conn, other *end, m zab.Message) {
	d := &n.disk.cached
	if m.Zxid < d.stamp {
		k.cut = true // both ends will find it closed
		return
	}
	for _, e := range d.log {
		if e.Zxid > m.Zxid && e.Zxid <= m.Through {
			p := zab.Message{Type: zab.Proposal, From: m.From, To: m.To, Conn: m.Conn, Zxid: e.Zxid, Data: e.Data}
			q := zab.Message{Type: zab.Commit, From: m.From, To: m.To, Conn: m.Conn, Zxid: e.Zxid}
			other.inbox = append(other.inbox, parcel{Message: p}, parcel{Message: q})
		}
	}
}

// dialNext carries out the oldest order of n to connect.
func (c *Cluster) dialNext(n *node) {
	to := n.dials[0]
	n.dials = n.dials[1:]
	peer := c.node(to)
	up := peer.core != nil || peer.scripted
	if !c.net.open(n.id, to) || !c.net.open(to, n.id) {
		c.unanswered(n, to)
		return
	}
	if !up {
		c.step(n, zab.Message{Type: zab.ConnectFailed, From: to})
		return
	}
	k := c.net.dial(n.id, to)
	c.say(1, "%d connects to %d", n.id, to)
	c.step(n, zab.Message{Type: zab.Connected, From: to, Conn: k.id})
}

// unanswered lets an attempt to connect come to nothing because the network loses it. The transport says so before it
// gives up, if it can tell.
func (c *Cluster) unanswered(n *node, to int64) {
	if c.tells() {
		c.step(n, zab.Message{Type: zab.Unanswered, From: to})
	}
	c.step(n, zab.Message{Type: zab.ConnectFailed, From: to})
}

// deliverBallot delivers the i-th notification on its way, or loses it.
func (c *Cluster) deliverBallot(i int, lose bool) {
	p := c.net.ballots[i]
	c.net.ballots = slices.Delete(c.net.ballots, i, i+1)
	n := c.node(p.To)
	if lose || n.core == nil && !n.scripted || !c.net.open(p.From, p.To) {
		c.say(3, "%d>%d %s is lost", p.From, p.To, message(p.Message))
		if from := c.node(p.From); !lose && from.core != nil && c.net.open(p.From, p.To) && c.net.open(p.To, p.From) {
			c.step(from, zab.Message{Type: zab.Unreachable, From: p.To, To: p.From})
		}
		return
	}
	c.say(3, "%d>%d %s", p.From, p.To, message(p.Message))
	c.step(n, p.Message)
}

// ready reports whether something can happen at end side of k.
func (c *Cluster) ready(k *conn, side int) bool {
	e, o := &k.ends[side], &k.ends[1-side]
	if e.closed || !c.net.open(o.sid, e.sid) {
		return false
	}
	return len(e.inbox) > 0 || o.closed || k.cut
}

// deliverConn lets the i-th parcel, which is the first unless order is lost, or the end of the connection, arrive.
func (c *Cluster) deliverConn(k *conn, side, i int) {
	e, o := &k.ends[side], &k.ends[1-side]
	n := c.node(e.sid)
	if len(e.inbox) == 0 {
		e.closed = true
		c.net.sweep(k)
		c.say(2, "%d finds the connection to %d closed", e.sid, o.sid)
		c.step(n, zab.Message{Type: zab.Disconnected, From: o.sid, To: e.sid, Conn: k.id})
		return
	}
	p := e.inbox[i]
	e.inbox = slices.Delete(slices.Clone(e.inbox), i, i+1)
	if p.Type == zab.Snap && n.core != nil {
		n.staged[k.id] = p.snap
	}
	c.say(2, "%d>%d %s", o.sid, e.sid, message(p.Message))
	c.step(n, p.Message)
	if p.Type == zab.Snap && !o.closed {
		c.step(c.node(o.sid), zab.Message{Type: zab.SnapshotSent, From: e.sid, To: o.sid, Conn: k.id, Zxid: p.Zxid})
	}
}
