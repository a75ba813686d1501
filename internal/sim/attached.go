package sim

import (
	"net/netip"
	"slices"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
)

// attached is the server's end of a client's connection.
type attached struct {
	p     *process
	c     *replica.Client
	conn  *cconn
	unfed []byte
	// waits says that Feed said Wait, resumed that the sink was told to go on.
	waits, resumed bool
	closed         bool
	// readLater says that read is planned, ended that the end has come.
	readLater, ended bool
	// greeted says that the client has its session, readOnly that it is one of a server
	// that serves reads only.
	greeted, readOnly bool
	// givenAt is the zxid of the tree when the client was given its session; 0 if the
	// connection ended with that.
	givenAt int64
}

// cconn is a connection between a client and a server.
type cconn struct {
	client   *client
	server   *attached
	up, down *pipe // to the server, to the client
}

// piece is bytes on their way.
type piece struct{ bytes []byte }

var clientAddr = netip.MustParseAddr("10.0.0.9")

// accept makes a connection of a client.
func (p *process) accept(c *client) *cconn {
	s := p.s
	k := &cconn{client: c}
	a := &attached{p: p, conn: k}
	k.server = a
	a.c = p.rep.NewClient(clientAddr, a)
	k.up = &pipe{
		s: s, from: c.place, to: p.m.place,
		take:  func(it any) { a.take(it.(piece).bytes) },
		ended: a.lost,
	}
	k.down = &pipe{
		s: s, from: p.m.place, to: c.place,
		take:  func(it any) { c.take(k, it.(piece).bytes) },
		ended: func() { c.lost(k, "the server closed") },
	}
	p.clients = append(p.clients, a)
	return k
}

// take feeds what arrived. What a socket brings may end anywhere.
func (a *attached) take(b []byte) {
	if a.closed || a.p.dead {
		return
	}
	a.unfed = append(a.unfed, b...)
	a.p.hearsClient(a)
	if !a.waits {
		a.read()
	}
}

// read feeds what the socket holds, unless nobody comes to that for now. The end of the
// connection is behind it.
func (a *attached) read() {
	if t := a.p.m.readersUntil; t > a.p.s.now {
		if !a.readLater {
			a.readLater = true
			a.p.s.at(t, func() {
				a.readLater = false
				a.read()
			})
		}
		return
	}
	if a.closed || a.p.dead {
		return
	}
	if !a.waits {
		a.feed()
	}
	if a.ended {
		a.lost()
	}
}

// feed gives the replica what was received, for as long as it takes any of it.
func (a *attached) feed() {
	p := a.p
	for !a.closed {
		before, _ := a.c.Pending()
		n, subs, status, err := a.c.Feed(a.unfed, p.m.time().Mono, nil)
		p.relays(a, n)
		for i := range subs {
			subs[i].Body = slices.Clone(subs[i].Body)
		}
		if len(subs) > 0 {
			p.subs = append(p.subs, subs...)
			p.wake(p.s.upTo(p.s.plan.loopMax))
		}
		a.unfed = a.unfed[n:]
		if after, _ := a.c.Pending(); after > before {
			p.s.fedWhile(p, a)
		}
		a.flush()
		if err != nil {
			p.s.fault("server %d closes a connection of %s: %v", p.m.id, a.conn.client, err)
			a.close()
			return
		}
		if a.c.State() == replica.StateClosed {
			a.close()
			return
		}
		switch status {
		case replica.Blocked:
			if err := a.c.Unblock(); err != nil {
				p.s.fault("server %d unblocks: %v", p.m.id, err)
				return
			}
		case replica.More, replica.Done:
			a.waits = false
			return
		case replica.Wait:
			if a.c.Unpause() {
				continue
			}
			a.waits = true
			p.s.pongOutOfTurn(a)
			return
		}
	}
}

// Flush implements [replica.Sink].
func (a *attached) Flush() { a.flush() }

// Resume implements [replica.Sink].
func (a *attached) Resume() { a.resumed = true }

// flush sends the output.
func (a *attached) flush() {
	out, last := a.c.TakeOut(nil)
	if len(out) > 0 && !a.closed {
		a.p.s.leaving(a, out)
		for _, b := range a.p.s.spoilOutput(a, out) {
			a.conn.down.put(piece{b}, 0)
		}
	}
	if last {
		a.close()
	}
}

// feedResumed goes on with the connections that were told to.
func (p *process) feedResumed() {
	for _, a := range slices.Clone(p.clients) {
		if a.resumed {
			a.resumed = false
			if a.c.State() == replica.StateClosed {
				a.flush()
				continue
			}
			a.waits = false
			a.read()
		}
	}
}

// close ends the connection from the server's side.
func (a *attached) close() {
	if a.closed {
		return
	}
	a.closed = true
	a.conn.up.drop()
	a.conn.down.close()
	a.detach()
}

// lost is the end of the connection as the server sees it.
func (a *attached) lost() {
	if a.closed || a.p.dead {
		return
	}
	if a.ended = true; a.p.m.readersUntil > a.p.s.now {
		a.read()
		return
	}
	a.closed = true
	a.conn.down.close()
	a.detach()
}

// detach tells the loop that the connection is gone.
func (a *attached) detach() {
	p := a.p
	if p.dead {
		return
	}
	p.clients = slices.DeleteFunc(p.clients, func(b *attached) bool { return a == b })
	p.subs = append(p.subs, replica.Submission{Kind: replica.SubmitDetach, Client: a.c})
	p.wake(p.s.upTo(p.s.plan.loopMax))
}

// die is what the connection sees of the death of its server.
func (a *attached) die(silently bool) {
	a.closed = true
	a.conn.up.drop()
	if silently {
		a.conn.down.drop()
		return
	}
	a.conn.down.breakAfter(a.p.s.rnd.IntN(len(a.conn.down.queue) + 1))
}

// reset breaks the connection.
func (k *cconn) reset() {
	k.up.breakAfter(k.client.s.rnd.IntN(len(k.up.queue) + 1))
	k.down.breakAfter(k.client.s.rnd.IntN(len(k.down.queue) + 1))
}

// doomed reports whether the connection has ended, though not everybody knows.
func (k *cconn) doomed() bool { return k.up.cut || k.up.closed || k.down.cut || k.down.closed }

// frames cuts whole frames off the start of b and returns what is left.
func frames(b []byte, fn func(frame []byte)) (rest []byte) {
	for len(b) >= wire.FrameHeaderBytes {
		n := wire.FrameHeaderBytes + int(wire.FrameLength(b))
		if len(b) < n {
			break
		}
		fn(b[wire.FrameHeaderBytes:n:n])
		b = b[n:]
	}
	return b
}
