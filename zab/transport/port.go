package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// handshakesMax bounds, for each port, the connections that have not said who they are. One more ends the oldest, so
	// that strangers who say nothing cannot keep members out.
	handshakesMax = 64
	// acceptPause follows an accept that failed, which is a lack of file descriptors, mostly.
	acceptPause = 50 * time.Millisecond
)

// port is one of the two ports: its listeners, and what has connected and not yet said who it is.
type port struct {
	t         *Transport
	name      string
	listeners []net.Listener
	// greet takes over a connection, on a goroutine of its own. It calls introduced once the other side has said who it
	// is.
	greet func(nc net.Conn, introduced func())

	mu      sync.Mutex
	waiting []net.Conn // oldest first
}

func (p *port) init(t *Transport, name string, greet func(net.Conn, func())) {
	p.t, p.name, p.greet = t, name, greet
}

func (p *port) bind(addrs []string) error {
	for _, a := range addrs {
		l, err := (&net.ListenConfig{}).Listen(p.t.ctx, "tcp", a)
		if err != nil {
			return fmt.Errorf("%s port: %w", p.name, err)
		}
		p.listeners = append(p.listeners, l)
	}
	return nil
}

func (p *port) close() {
	for _, l := range p.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			p.t.log.Warn("closing a listener", zap.String("port", p.name), zap.Error(err))
		}
	}
}

// accept takes connections until l is closed.
func (p *port) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			p.admit(nc)
		case p.t.ctx.Err() != nil:
			return
		default:
			p.t.log.Warn("accepting a connection", zap.String("port", p.name), zap.Error(err))
			if !pause(p.t.ctx, acceptPause) {
				return
			}
		}
	}
}

// pause waits for d; it reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// admit gives nc a bounded time to say who it is.
func (p *port) admit(nc net.Conn) {
	if !p.t.own(nc) {
		return
	}
	p.mu.Lock()
	var oldest net.Conn
	if len(p.waiting) == handshakesMax {
		oldest = p.waiting[0]
		p.waiting = slices.Delete(p.waiting, 0, 1)
	}
	p.waiting = append(p.waiting, nc)
	p.mu.Unlock()
	if oldest != nil {
		oldest.Close() // its greet finds out
	}
	_ = nc.SetDeadline(time.Now().Add(p.t.o.handshakeLimit())) // a socket that fails here fails at once when read
	introduced := func() {
		p.leave(nc)
		_ = nc.SetDeadline(time.Time{})
	}
	if !p.t.attach(func() { defer p.leave(nc); p.greet(nc, introduced) }) {
		p.t.discard(nc)
	}
}

// leave frees the slot of nc.
func (p *port) leave(nc net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, nc); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
}
