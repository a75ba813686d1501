package server

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Bounds of an HTTP endpoint. They are not settings: what is served is small, and
// asked for by few.
const (
	httpConnsMax    = 64               // connections; more are closed at once
	httpBusyMax     = 8                // requests being answered; more get 503
	httpHeaderBytes = 16 << 10         // of a request
	httpReadTime    = 10 * time.Second // for a request to come
	httpWriteTime   = time.Minute      // for an answer to be made and taken
)

// endpoint is an HTTP server for operators, beside the server itself: it is
// bounded, and it never outlives what its handlers look at.
type endpoint struct {
	name string
	log  *zap.Logger
	l    net.Listener
	srv  http.Server

	mu    sync.Mutex // orders requests against the end
	ended bool
	wg    sync.WaitGroup
	busy  atomic.Int32
	done  chan struct{} // closed when serve has ended; nil before it began
}

// listenHTTP binds an endpoint. Nothing is served before serve.
func listenHTTP(name, addr string, idle time.Duration, h http.Handler, log *zap.Logger) (*endpoint, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	e := &endpoint{name: name, log: log, l: &boundedListener{Listener: l}}
	e.srv = http.Server{
		Handler: e.guard(h), ReadTimeout: httpReadTime, WriteTimeout: httpWriteTime, IdleTimeout: idle,
		MaxHeaderBytes: httpHeaderBytes, ErrorLog: zap.NewStdLog(log.Named(name)),
	}
	return e, nil
}

// addr is where it listens.
func (e *endpoint) addr() string { return e.l.Addr().String() }

// serve begins to serve.
func (e *endpoint) serve() {
	e.done = make(chan struct{})
	go func() {
		defer close(e.done)
		if err := e.srv.Serve(e.l); !errors.Is(err, http.ErrServerClosed) {
			e.log.Error("an HTTP endpoint has ended", zap.String("endpoint", e.name), zap.Error(err))
		}
	}()
}

// close ends it and waits for the handlers. It may be called more than once, and
// of nil.
func (e *endpoint) close() {
	if e == nil {
		return
	}
	e.mu.Lock()
	e.ended = true
	e.mu.Unlock()
	_ = e.srv.Close()
	_ = e.l.Close() // when it was never served
	if e.done != nil {
		<-e.done
	}
	e.wg.Wait()
}

// guard bounds how many requests are answered at one time, and refuses those that
// come too late.
func (e *endpoint) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.busy.Add(1) > httpBusyMax || !e.begin() {
			e.busy.Add(-1)
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		defer func() { e.busy.Add(-1); e.wg.Done() }()
		h.ServeHTTP(w, r)
	})
}

func (e *endpoint) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ended {
		e.wg.Add(1)
	}
	return !e.ended
}

// boundedListener closes connections beyond a number as they come.
type boundedListener struct {
	net.Listener
	open atomic.Int32
}

// Accept implements [net.Listener].
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= httpConnsMax {
			return &countedConn{Conn: nc, l: l}, nil
		}
		l.open.Add(-1)
		_ = nc.Close()
	}
}

type countedConn struct {
	net.Conn
	l    *boundedListener
	once sync.Once
}

// Close implements [net.Conn].
func (c *countedConn) Close() error {
	c.once.Do(func() { c.l.open.Add(-1) })
	return c.Conn.Close()
}

// serveHTTP begins to serve the endpoints that there are.
func (s *Server) serveHTTP() {
	for _, e := range []*endpoint{s.admin, s.prometheus} {
		if e != nil {
			e.serve()
		}
	}
}

// closeHTTP ends them. Who waits for the loop in a handler is let go before.
func (s *Server) closeHTTP() {
	s.admin.close()
	s.prometheus.close()
}
