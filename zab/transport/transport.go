package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
)

// ErrStopped is the cause of everything that ends because of Shutdown.
var ErrStopped = errors.New("transport: stopped")

// learnersMax bounds the learners that may be connected, whoever they say they are.
const learnersMax = 1024

// Transport is the server's ends of all connections to other servers. Listen makes one; all methods may be called from
// any goroutine.
type Transport struct {
	o         Options
	log       *zap.Logger
	advertise string
	resolver  *net.Resolver // nil is the system's

	ctx  context.Context // ends with Shutdown
	stop context.CancelCauseFunc

	electionPort, quorumPort port
	election                 election
	self                     loopback
	readers                  readers

	mu      sync.RWMutex
	lastID  zab.ConnID
	conns   map[zab.ConnID]*conn // those that can be sent on
	dialing map[int64]*dialing   // by sid: the Connect under way
	sockets map[net.Conn]struct{}

	wgMu sync.Mutex // orders attach against the final Wait
	wg   sync.WaitGroup
	over bool
}

// Listen checks o and binds both ports. Nothing runs before Start; what connects meanwhile waits. The error names
// everything that is wrong with o (ErrOptions), or the address that cannot be bound; then nothing is held.
func Listen(o Options) (*Transport, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	t := &Transport{
		o: o, log: o.Log, advertise: o.Advertise,
		conns: map[zab.ConnID]*conn{}, dialing: map[int64]*dialing{}, sockets: map[net.Conn]struct{}{},
	}
	t.ctx, t.stop = context.WithCancelCause(context.Background())
	t.readers.t = t
	t.election.init(t)
	t.electionPort.init(t, "election", t.election.greet)
	t.quorumPort.init(t, "quorum", t.greetLearner)
	err := t.electionPort.bind(o.ElectionAddrs)
	if err == nil {
		err = t.quorumPort.bind(o.QuorumAddrs)
	}
	if err != nil {
		t.closePorts()
		return nil, err
	}
	if t.advertise == "" {
		t.advertise = t.ElectionAddr().String()
	}
	return t, nil
}

// Start begins to accept connections.
func (t *Transport) Start() {
	for _, p := range []*port{&t.electionPort, &t.quorumPort} {
		for _, l := range p.listeners {
			t.attach(func() { p.accept(l) })
		}
	}
}

// ElectionAddr returns the first address of the election port, as bound.
func (t *Transport) ElectionAddr() net.Addr { return t.electionPort.listeners[0].Addr() }

// QuorumAddr returns the first address of the quorum port, as bound.
func (t *Transport) QuorumAddr() net.Addr { return t.quorumPort.listeners[0].Addr() }

// Send queues ms to leave, in order for each connection, and returns at once. A Notification goes to the election
// channel of its To, where a newer one takes the place of one that has not left; to oneself it comes back through the
// Handler. Everything else goes to its Conn, and is forgotten if that is gone. Data is read until it has left.
func (t *Transport) Send(ms []zab.Message) {
	var batch sending
	t.mu.RLock()
	for i := range ms {
		if ms[i].Type != zab.Notification {
			batch.add(t, &ms[i])
		}
	}
	t.mu.RUnlock()
	batch.finish()
	for i := range ms {
		if ms[i].Type == zab.Notification {
			t.election.send(&ms[i])
		}
	}
}

// sending is one Send: what it brings for a connection leaves in one write, when everything is queued.
type sending struct {
	touched [16]*conn
	n       int
	full    []*conn
}

func (s *sending) add(t *Transport, m *zab.Message) {
	c := s.find(m.Conn)
	if c == nil {
		if c = t.conns[m.Conn]; c == nil {
			return
		}
		if s.n == len(s.touched) {
			s.wake()
		}
		s.touched[s.n] = c
		s.n++
	}
	if m.Type == zab.UpToDate {
		setUserTimeout(c.nc, t.o.handshakeLimit())
	}
	if !c.out.add(m, c.dialled, t.o.OutBytesMax) {
		s.full = append(s.full, c)
	}
}

func (s *sending) find(id zab.ConnID) *conn {
	for _, c := range s.touched[:s.n] {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (s *sending) wake() {
	for _, c := range s.touched[:s.n] {
		c.send()
	}
	s.n = 0
}

func (s *sending) finish() {
	s.wake()
	for _, c := range s.full {
		c.fail(errTooSlow)
	}
}

// Relieve is to be called at every tick: should the handler have kept the goroutine that reads all connections since the
// last one, another goes on.
func (t *Transport) Relieve() { t.readers.relieve() }

// Waiting returns how many bytes wait to be written on connections that this server made: to its leader.
func (t *Transport) Waiting() (bytes int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, c := range t.conns {
		if c.dialled {
			n, _, _ := c.out.stat()
			bytes += n
		}
	}
	return bytes
}

// Close ends a connection after what was sent on it before; a snapshot or a range of the log that has not left
// altogether is given up. Nothing more comes from it, no Disconnected either.
func (t *Transport) Close(id zab.ConnID) {
	t.mu.Lock()
	c := t.conns[id]
	delete(t.conns, id)
	t.mu.Unlock()
	if c != nil {
		c.close()
	}
}

// Shutdown closes everything at once and waits until no goroutine is left, or ctx ends. The Handler must go on taking
// what it is in the middle of.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.stop(ErrStopped)
	t.closePorts()
	t.mu.Lock()
	for nc := range t.sockets {
		nc.Close()
	}
	for _, c := range t.conns {
		c.out.kill()
	}
	t.mu.Unlock()
	t.readers.stop()
	t.wgMu.Lock()
	t.over = true
	t.wgMu.Unlock()
	done := make(chan struct{})
	go func() { defer close(done); t.wg.Wait() }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("transport: shutdown: %w", context.Cause(ctx))
	}
}

func (t *Transport) closePorts() {
	t.electionPort.close()
	t.quorumPort.close()
}

// attach runs f on a goroutine that Shutdown waits for. It reports false, and does not run f, once that has begun.
func (t *Transport) attach(f func()) bool {
	t.wgMu.Lock()
	defer t.wgMu.Unlock()
	if t.over {
		return false
	}
	t.wg.Go(f)
	return true
}

// own takes a socket into what Shutdown closes. It reports false, and closes it, once that has begun.
func (t *Transport) own(nc net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		nc.Close()
		return false
	}
	t.sockets[nc] = struct{}{}
	setUserTimeout(nc, t.o.handshakeLimit())
	return true
}

// discard closes a socket for good.
func (t *Transport) discard(nc net.Conn) {
	nc.Close()
	t.mu.Lock()
	delete(t.sockets, nc)
	t.mu.Unlock()
}

// step gives ms to the handler, which may see to them at once.
func (t *Transport) step(ms ...zab.Message) {
	if t.ctx.Err() == nil {
		t.o.Handler.Step(ms)
		t.o.Handler.Settle()
	}
}

// settle lets the handler see to what it was given.
func (t *Transport) settle() {
	if t.ctx.Err() == nil {
		t.o.Handler.Settle()
	}
}
