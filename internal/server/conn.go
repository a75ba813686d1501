package server

import (
	"errors"
	"fmt"
	"net/netip"
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
	if (perIP > 0 && s.perIP[ip] >= perIP) || (all > 0 && len(s.conns) >= all) {
		s.stats.rejected.Add(1)
		return false
	}
	c.s, c.remote, c.since, c.end = s, remote, time.Now(), end
	c.client = s.rep.NewClient(ip, sink)
	s.conns[c] = struct{}{}
	s.perIP[ip]++
	return true
}

// release forgets a connection that is closed.
func (s *Server) release(c *conn) {
	ip := c.remote.Addr()
	s.connMu.Lock()
	delete(s.conns, c)
	if s.perIP[ip]--; s.perIP[ip] == 0 {
		delete(s.perIP, ip)
	}
	s.connMu.Unlock()
	s.loop.submit([]replica.Submission{{Kind: replica.SubmitDetach, Client: c.client}})
}

// closeConns closes every connection.
func (s *Server) closeConns() {
	for _, c := range s.connList() {
		c.end()
	}
}
