package bench

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// tick is how long a driver sleeps at most before it looks at the clock, the
// stop flag and stalled requests.
const tick = 100 * time.Millisecond

// A driver moves bytes between the lanes and their sockets until every lane is
// idle, and returns the first failure. Lanes keep their sockets open.
type driver func(ctx context.Context, p *phase, lanes []*lane, o DialOptions) error

// drive runs the lanes on the given number of drivers at once. The first error
// stops the others.
func drive(ctx context.Context, d driver, p *phase, lanes []*lane, threads int, o DialOptions) error {
	defer context.AfterFunc(ctx, func() { p.stop.Store(true) })()
	threads = min(max(threads, 1), max(len(lanes), 1))
	errs := make([]error, threads)
	var wg sync.WaitGroup
	for t := range threads {
		var own []*lane
		for i := t; i < len(lanes); i += threads {
			own = append(own, lanes[i])
		}
		wg.Go(func() {
			if errs[t] = d(ctx, p, own, o); errs[t] != nil {
				p.stop.Store(true)
			}
		})
	}
	wg.Wait()
	return firstError(append(errs, context.Cause(ctx)))
}

// perGoroutine is the driver for any system: one goroutine per lane.
func perGoroutine(ctx context.Context, p *phase, lanes []*lane, o DialOptions) error {
	errs := make([]error, len(lanes))
	var wg sync.WaitGroup
	for i, l := range lanes {
		wg.Go(func() {
			if errs[i] = l.run(ctx, p, o.ReplyTimeout); errs[i] != nil {
				p.stop.Store(true)
			}
		})
	}
	wg.Wait()
	return firstError(errs)
}

// run drives one lane with blocking reads and writes.
func (l *lane) run(ctx context.Context, p *phase, limit time.Duration) error {
	buf := make([]byte, bufferBytes(l.frame))
	for {
		now := p.clock.now()
		l.fill(now)
		if err := l.flush(p, limit); err != nil {
			return l.failed(err)
		}
		if l.idle(now) {
			return nil
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := l.await(p, buf); err != nil {
			return err
		}
		if err := l.stalled(p.clock.now(), limit); err != nil {
			return err
		}
	}
}

func (l *lane) flush(p *phase, limit time.Duration) error {
	due := l.take(p.clock.now())
	if len(due) == 0 {
		return nil
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	n, err := l.conn.Write(due)
	l.wrote(n)
	return err
}

// await reads once, for at most a tick, and handles what came.
func (l *lane) await(p *phase, buf []byte) error {
	kept := copy(buf, l.rest)
	if err := l.conn.SetReadDeadline(time.Now().Add(tick)); err != nil {
		return l.failed(err)
	}
	n, err := l.conn.Read(buf[kept:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	if n == 0 && err != nil {
		return l.failed(err)
	}
	return l.received(buf[:kept+n], p.clock.now())
}

// received handles whole frames and keeps the beginning of the last one.
func (l *lane) received(b []byte, now int64) error {
	used, err := l.consume(b, now)
	l.rest = append(l.rest[:0], b[used:]...)
	return err
}

// bufferBytes returns the size of a read buffer that holds any accepted frame.
func bufferBytes(frame int) int { return max(256<<10, 2*frame) }

// errEOF is what a driver that reads from descriptors reports at the end.
var errEOF = io.EOF
