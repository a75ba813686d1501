package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// ErrStopped is what Run returns after Shutdown.
var ErrStopped = errors.New("server: stopped")

// Server is one Quorate server. Open it, Run it, Shut it down.
type Server struct {
	cfg Config
	log *zap.Logger

	rules znode.Rules
	// history is the database; store, tree and txns are its parts as they were
	// at the start. A snapshot from a leader replaces the first two.
	history *history
	store   *znode.Store
	tree    *znode.Tree
	txns    *txnlog.Log
	rep     *replica.Replica
	loop    *loop
	// ensemble is the scheme by which clients name one; nil when there is none.
	ensemble *znode.Ensemble
	// member is the stage of a member of an ensemble; nil for a server that is
	// alone.
	member *member

	listeners []net.Listener
	bucket    *connBucket // nil = sessions may come at any rate
	audit     *auditor    // nil = no audit log
	// admin and prometheus are the HTTP endpoints; nil when there are none.
	admin, prometheus *endpoint
	snapshots         snapshots

	start     time.Time // with a monotonic reading: the origin of mono
	stats     stats
	recovered Recovery

	stopping chan struct{} // closed: finish what is under way
	stopped  chan struct{} // closed: the loop has ended
	stopOnce sync.Once

	wgMu sync.Mutex // orders goAttach against the final Wait
	wg   sync.WaitGroup
	over bool

	ioState

	connsRoom int          // see roomForConns
	farewells atomic.Int32 // sockets of connections that are over, to which the last answer is being written
	refusals  rarely
	unsent    atomic.Int64 // sum of conn.owed

	connMu sync.Mutex
	conns  map[*conn]struct{}
	perIP  map[netip.Addr]int
}

// Open prepares a server: it takes hold of the directories, recovers the
// database and binds the client addresses. After an error nothing is held.
func Open(cfg Config) (*Server, error) {
	cfg.fillDefaults()
	if e := cfg.Ensemble; e != nil {
		if err := e.validate(); err != nil {
			return nil, err
		}
	}
	s := newServer(cfg)
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.closeStorage())
	}
	return s, nil
}

// newServer returns a server that has touched nothing yet.
func newServer(cfg Config) *Server {
	s := &Server{
		cfg: cfg, log: cfg.Log, start: time.Now(),
		stopping: make(chan struct{}), stopped: make(chan struct{}),
		conns: make(map[*conn]struct{}), perIP: make(map[netip.Addr]int), connsRoom: roomForConns(),
	}
	s.stats.traceMask.Store(traceMaskDefault)
	s.stats.member.sizes.reset()
	s.loop = newLoop(s)
	return s
}

func (s *Server) open() (err error) {
	if s.audit, err = openAudit(s.cfg.Audit, s.log); err != nil {
		return err
	}
	if err := s.openStage(); err != nil {
		return err
	}
	if err := s.listenForClients(); err != nil {
		s.closeListeners()
		return fmt.Errorf("client address: %w", err)
	}
	if err := s.openPrometheus(); err != nil {
		s.closeListeners()
		return fmt.Errorf("metrics endpoint: %w", err)
	}
	s.openAdmin()
	return nil
}

func (s *Server) listenForClients() error {
	// Probes of idle connections are off, as in ZooKeeper: sessions do that, and
	// four options to set would be a fifth of what a connection costs.
	lc := net.ListenConfig{KeepAlive: -1, KeepAliveConfig: net.KeepAliveConfig{Enable: s.cfg.TCPKeepAlive}}
	for _, addr := range s.cfg.ClientAddrs {
		l, err := lc.Listen(context.Background(), "tcp", addr)
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, l)
		if n := s.cfg.listenBacklog(); n > 0 {
			if err := setBacklog(l, n); err != nil {
				return fmt.Errorf("%s: length of the accept queue: %w", addr, err)
			}
		}
	}
	return nil
}

// listenBacklog is -1 where the operating system decides.
func (c *Config) listenBacklog() int {
	if c.ListenBacklog <= 0 {
		return -1
	}
	return c.ListenBacklog
}

// openStage recovers the database and makes what commits to it.
func (s *Server) openStage() (err error) {
	if s.cfg.Ensemble == nil {
		if err := s.recover(); err != nil {
			return err
		}
		s.rep = replica.New(s.replicaOptions(), s.now())
		s.loop.stage = newAlone(s)
		return nil
	}
	if err := s.openHistory(); err != nil {
		return err
	}
	s.rep = replica.New(s.replicaOptions(), s.now())
	if s.member, err = newMember(s, s.history); err != nil {
		return err
	}
	s.loop.stage = s.member
	return nil
}

func (s *Server) replicaOptions() replica.Options {
	c := &s.cfg
	o := replica.Options{
		Tree: s.tree, Rules: s.rules, ServerID: c.ServerID,
		TickMillis:        c.TickTime.Milliseconds(),
		StepMillis:        max(1, tickInterval(c.TickTime).Milliseconds()),
		SessionMillisMin:  int32(c.SessionTimeoutMin.Milliseconds()),
		SessionMillisMax:  int32(c.SessionTimeoutMax.Milliseconds()),
		RequestBytesMax:   c.RequestBytesMax,
		OversizedBytesMax: c.OversizedBytesMax,
		MultiReadBytesMax: c.MultiReadBytesMax,
		WatchBytesMax:     c.WatchBytesMax,
		EnforceAuth:       c.Access.Enforce,
		WatchesOptimized:  c.WatchesOptimized,
		ReapMillis:        c.ReapInterval.Milliseconds(),
		ReapPerCheck:      reapPerCheck(c),
		NeverUsedMillis:   c.NeverUsed.Milliseconds(),
		Settle:            s.settle,
		Limits:            c.Requests.limits(),
		Crowded:           s.loop.signal,
	}
	s.bucket = newConnBucket(c.ConnThrottle, c.Ensemble != nil && c.Ensemble.LocalSessions, s.mono())
	if s.bucket != nil {
		o.Admit = s.admitSession
	}
	if s.audit != nil {
		o.Audit = s.audit.record
	}
	if e := c.Ensemble; e != nil {
		o.Member = true
		o.StepMillis = coreTick(c.TickTime).Milliseconds()
		o.LocalSessions, o.LocalUpgrade = e.LocalSessions, e.LocalSessionsUpgrading
		o.LinearizableReads, o.EagerACL = e.LinearizableReads, e.EagerACL
	}
	return o
}

// reapPerCheck spreads the allowance per minute over the checks of a minute.
func reapPerCheck(c *Config) int {
	return max(1, int(float64(c.ReapPerMinute)*c.ReapInterval.Minutes()))
}

// makeRules turns the settings into what the database goes by.
func (s *Server) makeRules() error {
	c := &s.cfg
	var schemes []znode.Scheme
	if c.Access.EnsembleNamed {
		s.ensemble = &znode.Ensemble{Names: c.Access.EnsembleNames}
		schemes = append(schemes, s.ensemble)
	}
	auth, err := znode.NewAuth(znode.AuthConfig{
		DigestDisabled: c.Access.DigestDisabled, DigestAlg: c.Access.DigestAlg,
		SuperDigest: c.Access.SuperDigest, SkipACL: c.Access.SkipACL, Schemes: schemes,
	})
	if err != nil {
		return err
	}
	s.rules = znode.Rules{
		Kinds:        znode.OwnerKinds{Extended: c.ExtendedTypes, Emulate353: c.Emulate353TTL},
		EnforceQuota: c.EnforceQuota, Digest: !c.NoDigest,
		BareCloseSession: c.BareCloseSession,
		ReconfigEnabled:  c.ReconfigEnabled, Auth: auth,
	}
	return nil
}

// mono is the monotonic clock in ms since the server was opened, plus one
// day so that no deadline starts near zero.
func (s *Server) mono() int64 { return time.Since(s.start).Milliseconds() + 86_400_000 }

func (s *Server) now() replica.Time {
	return replica.Time{Mono: s.mono(), Wall: time.Now().UnixMilli()}
}

// Addrs returns the addresses the server listens on for clients.
func (s *Server) Addrs() []net.Addr {
	out := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		out[i] = l.Addr()
	}
	return out
}

// Run serves until the context is cancelled or the server fails. A stop by the
// context is graceful and returns ErrStopped: no more connections, what was
// proposed is committed and answered, a checkpoint is written.
func (s *Server) Run(ctx context.Context) error {
	if err := s.startIO(); err != nil {
		s.closeIO()
		s.closeHTTP()
		s.closeListeners()
		return errors.Join(err, s.closeStorage())
	}
	s.loop.stage.start()
	s.serveHTTP()
	s.audit.server("serverStart", "success")
	unhook := context.AfterFunc(ctx, s.stop)
	defer unhook()

	err := s.loop.run(s.loop.stage.tick())
	s.stop()
	close(s.stopped)
	s.closeHTTP()
	s.stopIO()
	s.closeConns()
	s.wait()
	s.closeIO()
	if late := s.loop.stage.end(); err == nil {
		err = late
	}
	return s.finish(err)
}

// stop begins the end: no new connections, and the loop finishes.
func (s *Server) stop() {
	s.stopOnce.Do(func() {
		close(s.stopping)
		s.loop.signal()
		s.audit.server("serverStop", "invoked")
		s.stopAccepting()
		s.closeListeners()
	})
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			s.log.Warn("closing a listener", zap.Error(err))
		}
	}
}

// finish writes the last checkpoint, unless the server has failed, and closes
// the storage.
func (s *Server) finish(cause error) error {
	if cause != nil {
		s.log.Error("the server stops", zap.Error(cause))
		return errors.Join(cause, s.closeStorage())
	}
	s.loop.ckpt.abandon()
	err := checkpointNow(s.rep.Tree())
	if err = errors.Join(err, s.closeStorage()); err != nil {
		return err
	}
	return ErrStopped
}

// checkpointNow writes a checkpoint while nothing else runs.
func checkpointNow(tree *znode.Tree) error {
	tree.Lock()
	c := tree.BeginCheckpoint()
	tree.Unlock()
	err := c.Write()
	tree.Lock()
	tree.EndCheckpoint(c, err)
	tree.Unlock()
	return err
}

func (s *Server) closeStorage() error {
	err := s.audit.close()
	if s.history != nil {
		err = errors.Join(err, s.history.close())
	}
	return err
}

// goAttach runs f on a goroutine that the server waits for; after the end it
// runs nothing.
func (s *Server) goAttach(f func()) {
	s.wgMu.Lock()
	defer s.wgMu.Unlock()
	if s.over {
		return
	}
	s.wg.Go(f)
}

func (s *Server) wait() {
	s.wgMu.Lock()
	s.over = true
	s.wgMu.Unlock()
	s.wg.Wait()
}
