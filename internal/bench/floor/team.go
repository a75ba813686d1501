//go:build linux

package floor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/wire"
)

// team makes servers an ensemble. What a client asks is passed on to the leader, the member with the lowest number, and
// by it to its followers; they write it to a file and sync that; when all have, everybody is told, and who was asked
// answers. Those are the ways that a write takes in ZooKeeper, and the one sync that it cannot do without. Nothing else
// is done: no elections, nothing is kept, the leader writes nothing, and a connection that breaks is the end. It is a
// yardstick and no bound: a leader that logs as well needs only the faster of two followers.
//
// On the way frames are bundled: each round of the loop makes at most one write to each connection, one sync, and one
// acknowledgement.
type team struct {
	self    int
	leading bool
	peers   []*peer // a leader's followers, a follower's leader
	last    int64   // what was proposed last
	waiting []proposal
	clients map[int64]*conn
	joined  int64

	log   *os.File // a follower's
	end   int64    // of what has been written to it
	batch []byte   // what is to be written
}

// peer is another member.
type peer struct {
	id    int
	conn  *conn
	file  *os.File
	acked int64 // of a follower: durable up to here
}

// proposal is a request on its way.
type proposal struct {
	zxid   int64
	member int32 // who was asked
	client int64 // by this one
	body   []byte
}

// What members tell each other: a frame of one of these and its fields.
const (
	tellRequest = 1 + iota
	tellProposal
	tellDurable
	tellCommitted
)

const (
	// logBytes is the size of a follower's file, which is begun anew at its end.
	logBytes = 64 << 20
	// gatherWithin is how long members have to find each other.
	gatherWithin = 30 * time.Second
)

// gather connects a member with the leader, or the leader with all others.
func gather(ctx context.Context, c config) (*team, error) {
	ctx, cancel := context.WithTimeout(ctx, gatherWithin)
	defer cancel()
	ids := slices.Sorted(maps.Keys(c.members))
	t := &team{self: c.self, leading: c.self == ids[0], clients: map[int64]*conn{}}
	var err error
	if t.leading {
		err = t.awaitFollowers(ctx, c.members[c.self], len(ids)-1)
	} else {
		err = errors.Join(t.join(ctx, ids[0], c.members[ids[0]]), t.openLog(c.dir))
	}
	if err != nil {
		t.close()
		return nil, fmt.Errorf("member %d: %w", c.self, err)
	}
	return t, nil
}

func (t *team) awaitFollowers(ctx context.Context, addr string, n int) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for range n {
		nc, err := ln.Accept()
		if err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		if limit, ok := ctx.Deadline(); ok {
			err = nc.SetDeadline(limit) // somebody may connect and say nothing
		}
		if err != nil {
			return errors.Join(err, nc.Close())
		}
		var hello [1]byte
		if _, err := io.ReadFull(nc, hello[:]); err != nil {
			return errors.Join(err, nc.Close())
		}
		if err := t.add(int(hello[0]), nc); err != nil {
			return err
		}
	}
	return nil
}

func (t *team) join(ctx context.Context, id int, addr string) error {
	for {
		nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			if _, err = nc.Write([]byte{byte(t.self)}); err != nil { //nolint:gosec // a number of a few
				return errors.Join(err, nc.Close())
			}
			return t.add(id, nc)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// add takes a connection over: as a file, of which package net knows nothing.
func (t *team) add(id int, nc net.Conn) error {
	file, err := nc.(*net.TCPConn).File()
	if err != nil {
		return errors.Join(err, nc.Close())
	}
	p := &peer{id: id, file: file}
	p.conn = &conn{fd: int(file.Fd()), peer: p}
	t.peers = append(t.peers, p)
	return nc.Close()
}

// openLog makes the file of zeros that a follower writes to, as a log that was there before.
func (t *team) openLog(dir string) error {
	f, err := os.Create(filepath.Join(dir, "floor.log")) //nolint:gosec // the operator's
	if err != nil {
		return err
	}
	t.log = f
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < logBytes; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros, at); err != nil {
			return err
		}
	}
	return f.Sync()
}

func (t *team) close() {
	for _, p := range t.peers {
		_ = p.file.Close()
	}
	if t.log != nil {
		_ = t.log.Close()
	}
}

// submit passes a client's request on.
func (s *server) submit(c *conn, body []byte) {
	t := s.team
	if c.number == 0 {
		t.joined++
		c.number = t.joined
		t.clients[c.number] = c
	}
	p := proposal{member: int32(t.self), client: c.number, body: body} //nolint:gosec // a number of a few
	if t.leading {
		t.propose(p)
		return
	}
	t.tell(t.peers[0], tellRequest, p)
}

func (t *team) propose(p proposal) {
	t.last++
	p.zxid = t.last
	p.body = slices.Clone(p.body)
	t.waiting = append(t.waiting, p)
	for _, f := range t.peers {
		t.tell(f, tellProposal, p)
	}
}

func (t *team) tell(to *peer, what int32, p proposal) {
	out, mark := wire.BeginFrame(to.conn.out)
	out = wire.AppendLong(wire.AppendInt(out, what), p.zxid)
	out = wire.AppendLong(wire.AppendInt(out, p.member), p.client)
	to.conn.out = wire.EndFrame(append(out, p.body...), mark)
}

// tellHeaderBytes is the length of what tell puts before the body.
const tellHeaderBytes = 4 + 8 + 4 + 8

// hear takes what another member tells; it is false if that cannot be read.
func (s *server) hear(from *peer, frame []byte) bool {
	if len(frame) < tellHeaderBytes {
		return false
	}
	r := wire.NewReader(frame)
	what := r.Int()
	p := proposal{zxid: r.Long(), member: r.Int(), client: r.Long(), body: frame[tellHeaderBytes:]}
	t := s.team
	switch what {
	case tellRequest:
		t.propose(p)
	case tellProposal:
		p.body = slices.Clone(p.body)
		t.waiting = append(t.waiting, p)
		t.batch = append(t.batch, frame...)
		t.last = p.zxid
	case tellDurable:
		from.acked = p.zxid
		for _, f := range t.peers {
			p.zxid = min(p.zxid, f.acked)
		}
		if s.commit(p.zxid) {
			for _, f := range t.peers {
				t.tell(f, tellCommitted, proposal{zxid: p.zxid})
			}
		}
	case tellCommitted:
		s.commit(p.zxid)
	default:
		return false
	}
	return true
}

// commit answers what is committed now and was asked here. It reports whether there was any.
func (s *server) commit(zxid int64) (some bool) {
	t := s.team
	for len(t.waiting) > 0 && t.waiting[0].zxid <= zxid {
		p := t.waiting[0]
		t.waiting = t.waiting[1:]
		some = true
		if int(p.member) != t.self {
			continue
		}
		if c := t.clients[p.client]; c != nil && !s.answer(c, p.body) {
			s.drop(c)
		}
	}
	return some
}

// settle writes what a round has brought about.
func (s *server) settle() {
	t := s.team
	for _, p := range t.peers {
		s.send(p)
	}
	for _, c := range s.conns {
		if c.peer == nil && (!c.flush() || c.closing) {
			s.drop(c)
		}
	}
	if len(t.batch) == 0 {
		return
	}
	if t.end+int64(len(t.batch)) > logBytes {
		t.end = 0
	}
	_, err := t.log.WriteAt(t.batch, t.end)
	if err == nil {
		err = syscall.Fdatasync(int(t.log.Fd()))
	}
	if err != nil {
		s.failed = err
		return
	}
	t.end += int64(len(t.batch))
	t.batch = t.batch[:0]
	t.tell(t.peers[0], tellDurable, proposal{zxid: t.last})
	s.send(t.peers[0])
}

// send writes all that is to be told to a member.
func (s *server) send(p *peer) {
	for b := p.conn.out; len(b) > 0; {
		n, err := syscall.Write(p.conn.fd, b)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.conn.fd), Events: unix.POLLOUT}}, idle) //nolint:gosec // a descriptor
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			s.failed = fmt.Errorf("member %d: %w", p.id, err)
			return
		default:
			b = b[n:]
		}
	}
	p.conn.out = p.conn.out[:0]
}
