package server

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/internal/replica"
)

// keepBytes is the largest buffer that an idle connection keeps.
const keepBytes = 64 << 10

// conn is what every client's connection has, however it is read and written.
type conn struct {
	s      *Server
	client *replica.Client
	remote netip.AddrPort
	since  time.Time
	// end closes the connection, soon. Any goroutine may call it.
	end func()
	// owed is how many bytes of output the socket has not taken, from unsentShare on;
	// the writer's.
	owed int64
}

// unsentShare is what may wait for any client, however much waits for others.
const unsentShare = 1 << 20

// owe notes how many bytes of output the socket has not taken. It reports false when that
// has become more, and is too much for the memory that all connections have together. Only
// the writer calls it.
func (c *conn) owe(n int) (fine bool) {
	now := int64(n)
	if now <= unsentShare {
		now = 0
	}
	more := now - c.owed
	if more == 0 {
		return true
	}
	c.owed = now
	all, most := c.s.unsent.Add(more), c.s.cfg.UnsentBytesMax
	if more < 0 || most <= 0 || all <= most {
		return true
	}
	if c.s.refusals.pass(c.s.mono()) {
		c.s.log.Warn("a connection ends whose client does not take its answers: too much waits for all clients",
			zap.Stringer("remote", c), zap.Int64("bytes", now), zap.Int64("of all", all))
	}
	return false
}

// String names the connection as ZooKeeper's words do.
func (c *conn) String() string { return fmt.Sprintf("/%s", c.remote) }

// failed tells what the replica ends the connection for: because the client breaks the
// protocol, which happens every day, or because its answer could not be read from disk.
func (c *conn) failed(err error) {
	if errors.Is(err, replica.ErrProtocol) {
		c.s.log.Debug("connection ends", zap.Stringer("remote", c), zap.Error(err))
		return
	}
	c.s.log.Error("reading for a client", zap.Stringer("remote", c), zap.Error(err))
}

// admit registers a new connection, unless a limit is reached or the server is
// stopping: then it is to be closed at once, as ZooKeeper does.
func (s *Server) admit(c *conn, remote netip.AddrPort, sink replica.Sink, end func()) bool {
	ip := remote.Addr()
	s.connMu.Lock()
	defer s.connMu.Unlock()
	select {
	case <-s.stopping: // closeConns may have been here already
		return false
	default:
	}
	perIP, all := s.cfg.ConnsPerIP, s.cfg.ConnsMax
	here := len(s.conns) + int(s.farewells.Load())
	full := s.connsRoom > 0 && here >= s.connsRoom
	if (perIP > 0 && s.perIP[ip] >= perIP) || (all > 0 && len(s.conns) >= all) || full {
		s.stats.rejected.Add(1)
		if full && s.refusals.pass(s.mono()) {
			s.log.Warn("a connection is refused: the limit of open files leaves no room for more",
				zap.Int("connections", here), zap.Stringer("from", ip))
		}
		return false
	}
	c.s, c.remote, c.since, c.end = s, remote, time.Now(), end
	c.client = s.rep.NewClient(ip, sink)
	s.conns[c] = struct{}{}
	s.perIP[ip]++
	return true
}

// descriptorReserve is how many file descriptors are kept from clients, if there are
// so many: for the tree's tables (500), for HTTP, peers, log files and snapshots.
const descriptorReserve = 700

// roomForConns returns how many client connections leave enough file descriptors for
// everything else, 0 when there is no limit: a log that cannot begin a new file ends the
// server, and idle sockets must not bring that about. At most half is kept.
func roomForConns() int {
	// The limit is the hard one: the os package raises the soft one to it.
	_, limit := fileDescriptors()
	if limit <= 0 {
		return 0
	}
	return int(min(limit-min(limit/2, descriptorReserve), math.MaxInt32))
}

// rarely lets something pass once a second, such as a line about what a client can
// repeat as often as it likes.
type rarely struct{ last atomic.Int64 }

// pass reports whether now, in ms, is a second after the last time that it was true.
func (r *rarely) pass(now int64) bool {
	last := r.last.Load()
	return now-last >= 1000 && r.last.CompareAndSwap(last, now)
}

// release forgets a connection that is closed. The loop is to be told, as after submit,
// of what waits.
func (s *Server) release(c *conn) (waiting int) {
	ip := c.remote.Addr()
	s.connMu.Lock()
	delete(s.conns, c)
	if s.perIP[ip]--; s.perIP[ip] == 0 {
		delete(s.perIP, ip)
	}
	s.connMu.Unlock()
	return s.loop.submit(replica.Submission{Kind: replica.SubmitDetach, Client: c.client})
}

// closeConns closes every connection.
func (s *Server) closeConns() {
	for _, c := range s.connList() {
		c.end()
	}
}
