package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
)

var errNoAddress = errors.New("no address is known")

// dial connects to the first of addrs that answers; several are tried at once. The socket is owned. ctx is the
// transport's or of it.
func (t *Transport) dial(ctx context.Context, addrs []string, h *handshake) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.o.CnxTimeout)
	defer cancel()
	addrs = addrs[:min(len(addrs), addressesMax)]
	var nc net.Conn
	var err error
	switch len(addrs) {
	case 0:
		return nil, errNoAddress
	case 1:
		nc, err = t.dialOne(ctx, addrs[0], h)
	default:
		nc, err = t.dialAny(ctx, addrs, h)
	}
	if err != nil {
		return nil, err
	}
	if !t.own(nc) {
		return nil, ErrStopped
	}
	return nc, nil
}

// dialOne resolves a name every time: a server that comes back elsewhere keeps its name, and nothing here remembers where
// it was.
func (t *Transport) dialOne(ctx context.Context, addr string, h *handshake) (net.Conn, error) {
	return (&net.Dialer{ControlContext: h.begins, Resolver: t.resolver}).DialContext(ctx, "tcp", addr)
}

// dialAny tries all addresses at once and keeps the first connection.
func (t *Transport) dialAny(ctx context.Context, addrs []string, h *handshake) (net.Conn, error) {
	type result struct {
		nc  net.Conn
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(addrs))
	for _, a := range addrs {
		if !t.attach(func() {
			nc, err := t.dialOne(ctx, a, h)
			results <- result{nc, err}
		}) {
			results <- result{nil, ErrStopped}
		}
	}
	var won net.Conn
	var errs []error
	for range addrs {
		r := <-results
		switch {
		case r.err != nil:
			errs = append(errs, r.err)
		case won != nil:
			r.nc.Close()
		default:
			won = r.nc
			cancel()
		}
	}
	if won == nil {
		return nil, fmt.Errorf("none of %d addresses answers: %w", len(addrs), errors.Join(errs...))
	}
	return won, nil
}
