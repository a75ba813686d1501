package sim

import (
	"slices"

	"github.com/quorate/quorate/zab"
)

// qconn is a connection of the quorum port: end 0 dialled, end 1 accepted.
type qconn struct {
	s     *sim
	id    zab.ConnID
	ends  [2]*process
	pipes [2]*pipe // by sender
	// silent says that an end vanished without a word.
	silent, resetting bool
	// streaming counts the snapshots on their way, from end 1 to end 0.
	streaming int
}

// snapOrder is a SNAP on its way. Its content is taken when it leaves, or, where
// streaming takes its time, when it arrives.
type snapOrder struct {
	msg  zab.Message
	snap *snapshot
}

func (k *qconn) side(p *process) int {
	if k.ends[0] == p {
		return 0
	}
	return 1
}

// dial carries out an order to connect.
func (p *process) dial(sid int64) {
	s, to := p.s, p.s.machine(sid)
	there := s.latency(p.m.place, to.place)
	s.after(there, func() {
		back := s.latency(to.place, p.m.place)
		blocked := s.blocked[p.m.place][to.place] || s.blocked[to.place][p.m.place]
		if to.proc == nil || blocked || s.paused(to.place) {
			if to.proc == nil && !to.off && !blocked {
				s.after(back, func() { p.receive(zab.Message{Type: zab.ConnectFailed, From: sid, To: p.m.id}) })
				return
			}
			s.after(s.plan.connectTimeout/2, func() { p.unanswered(sid) })
			s.after(s.plan.connectTimeout, func() { p.receive(zab.Message{Type: zab.ConnectFailed, From: sid, To: p.m.id}) })
			return
		}
		k := s.connect(p, to.proc)
		s.say("%d connects to %d: %d", p.m.id, sid, k.id)
		s.after(back, func() {
			if k.of(p) {
				p.receive(zab.Message{Type: zab.Connected, From: sid, To: p.m.id, Conn: k.id})
			}
		})
	})
}

// unanswered tells a server, in the middle of an attempt to connect, that nothing it sends comes to another or back,
// if that is so. A server that is only stopped is a machine that answers.
func (p *process) unanswered(sid int64) {
	to := p.s.machine(sid)
	if to.off || p.s.blocked[p.m.place][to.place] || p.s.blocked[to.place][p.m.place] {
		p.s.result.Done["leaders that did not answer"]++
		p.receive(zab.Message{Type: zab.Unanswered, From: sid, To: p.m.id})
	}
}

// connect makes a connection between two processes.
func (s *sim) connect(a, b *process) *qconn {
	s.nextConn++
	k := &qconn{s: s, id: s.nextConn, ends: [2]*process{a, b}}
	for side := range k.ends {
		to := k.ends[1-side]
		k.pipes[side] = &pipe{
			s: s, from: k.ends[side].m.place, to: to.m.place,
			take:  func(it any) { k.deliver(side, it) },
			ended: func() { k.disconnect(to) },
		}
		k.ends[side].conns = append(k.ends[side].conns, k)
	}
	return k
}

// of reports whether p still has its end.
func (k *qconn) of(p *process) bool { return !p.dead && slices.Contains(p.conns, k) }

// disconnect tells an end that the connection is gone.
func (k *qconn) disconnect(p *process) {
	if !k.of(p) {
		return
	}
	p.dropConn(k)
	k.pipes[k.side(p)].close()
	p.receive(zab.Message{Type: zab.Disconnected, From: k.ends[1-k.side(p)].m.id, To: p.m.id, Conn: k.id})
}

func (p *process) dropConn(k *qconn) {
	p.conns = slices.DeleteFunc(p.conns, func(c *qconn) bool { return c == k })
}

func (p *process) conn(id zab.ConnID) *qconn {
	for _, k := range p.conns {
		if k.id == id {
			return k
		}
	}
	return nil
}

// closeConn closes this end. What it sent before still arrives, and then the end.
func (p *process) closeConn(id zab.ConnID) {
	k := p.conn(id)
	if k == nil {
		return
	}
	p.dropConn(k)
	side := k.side(p)
	k.pipes[1-side].drop()
	k.pipes[side].close()
	if p.s.chance(0.1) { // harmless
		p.receive(zab.Message{Type: zab.Disconnected, From: k.ends[1-side].m.id, To: p.m.id, Conn: id})
	}
}

// reset breaks the connection: of what is on its way only a part still arrives.
func (k *qconn) reset() {
	for _, p := range k.pipes {
		p.breakAfter(k.s.rnd.IntN(len(p.queue) + 1))
	}
}

// transmit sends a message of the core.
func (p *process) transmit(m *zab.Message) {
	s := p.s
	if m.Type == zab.Notification {
		s.vote(p.m, m)
		return
	}
	k := p.conn(m.Conn)
	if k == nil {
		return
	}
	side := k.side(p)
	if k.silent {
		k.bounce(p)
		return
	}
	switch m.Type {
	case zab.LogRange:
		k.sendRange(p, m)
	case zab.Snap:
		k.sendSnap(p, m)
	default:
		for range s.breakCopies(p, m) {
			k.pipes[side].put(*m, 0)
		}
	}
}

// bounce has a message to a machine that started again answered with a reset.
func (k *qconn) bounce(p *process) {
	other := k.ends[1-k.side(p)].m
	if other.proc == nil || k.resetting {
		return
	}
	k.resetting = true
	k.s.after(k.s.latency(p.m.place, other.place)*2, func() { k.disconnect(p) })
}

// sendRange does what a transport does with LogRange: it reads the log on disk.
func (k *qconn) sendRange(p *process, m *zab.Message) {
	d := &p.m.disk.cached
	entries := cut(d.log, m.Through)
	entries = entries[len(cut(entries, m.Zxid)):]
	if d.base > m.Zxid || len(entries) == 0 || entries[len(entries)-1].Zxid != m.Through {
		k.reset()
		return
	}
	for i := range entries {
		e := &entries[i]
		k.pipes[k.side(p)].put(zab.Message{Type: zab.Proposal, From: m.From, To: m.To, Conn: m.Conn, Zxid: e.Zxid, Data: e.Data}, 0)
		k.pipes[k.side(p)].put(zab.Message{Type: zab.Commit, From: m.From, To: m.To, Conn: m.Conn, Zxid: e.Zxid}, 0)
	}
}

func (k *qconn) sendSnap(p *process, m *zab.Message) {
	o := &snapOrder{msg: *m}
	if !p.s.plan.lateSnapshots {
		o.snap = p.snapshot(m)
		if o.snap == nil {
			return
		}
	}
	k.streaming++
	k.pipes[k.side(p)].put(o, p.s.upTo(p.s.plan.snapshotMax))
}

// snapshot takes what m orders; nil: it cannot be had, and the seed has failed.
func (p *process) snapshot(m *zab.Message) *snapshot {
	d := &p.m.disk.cached
	snap, err := p.s.takeSnapshot(d, d.rest, m.Through, m.Zxid)
	if err != nil {
		p.s.fault("snapshot of %d: %v", p.m.id, err)
		return nil
	}
	return snap
}

// deliver hands over what arrives from the end side.
func (k *qconn) deliver(side int, it any) {
	from, to := k.ends[side], k.ends[1-side]
	if !k.of(to) {
		return
	}
	o, ok := it.(*snapOrder)
	if !ok {
		to.receive(it.(zab.Message))
		return
	}
	k.streaming--
	if o.snap == nil {
		if !k.of(from) {
			return // it died halfway; the end follows
		}
		if o.snap = from.snapshot(&o.msg); o.snap == nil {
			return
		}
	}
	to.staged[k.id] = o.snap
	to.receive(o.msg)
	if k.of(from) {
		from.receive(zab.Message{Type: zab.SnapshotSent, From: to.m.id, To: from.m.id, Conn: k.id, Zxid: o.msg.Zxid})
	}
}

// pulse tells the core that bytes of snapshots flow.
func (p *process) pulse() {
	for _, k := range p.conns {
		if k.streaming > 0 && !k.pipes[1].cut && !p.s.blocked[k.ends[1].m.place][k.ends[0].m.place] {
			p.receive(zab.Message{Type: zab.Alive, From: k.ends[1-k.side(p)].m.id, To: p.m.id, Conn: k.id})
		}
	}
}
