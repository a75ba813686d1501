package bench

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/wire"
)

// fanout is what the watchers of one znode and the session that changes it
// share: the next change waits until every watcher has its watch again.
type fanout struct {
	path    []byte
	missing atomic.Int64  // watchers whose watch is not set yet
	changed atomic.Int64  // when the last change was handed to the kernel
	armed   chan struct{} // capacity 1: every watch is set
}

func newFanout(path string, watchers int) *fanout {
	f := &fanout{path: []byte(path), armed: make(chan struct{}, 1)}
	f.missing.Store(int64(watchers))
	return f
}

// watcher sets a watch on the znode: by reading it, again after each event, or
// once and for all with addWatch.
type watcher struct {
	f          *fanout
	persistent bool
	unset      bool // the watch must be set
	value      int  // bytes of data expected
}

func (w *watcher) next(dst []byte, xid int32) ([]byte, wire.Op, bool) {
	if !w.unset {
		return dst, 0, false
	}
	w.unset = false
	if w.persistent {
		dst, mark := request(dst, xid, wire.OpAddWatch)
		dst = wire.PathType{Path: w.f.path, Type: wire.AddWatchPersistent}.Append(dst)
		return wire.EndFrame(dst, mark), wire.OpAddWatch, true
	}
	dst, mark := request(dst, xid, wire.OpGetData)
	dst = wire.PathWatch{Path: w.f.path, Watch: true}.Append(dst)
	return wire.EndFrame(dst, mark), wire.OpGetData, true
}

func (w *watcher) reply(op wire.Op, body []byte) error {
	w.f.set()
	if op == wire.OpAddWatch {
		return wantLen(body, 4)
	}
	return wantLen(body, wire.FrameHeaderBytes+w.value+wire.StatBytes)
}

func (w *watcher) event(l *lane, now int64) error {
	if w.unset || l.pending() > 0 {
		return fmt.Errorf("%s: %w: a notification although the watch has fired already", l.addr, ErrUnexpected)
	}
	if l.phase.record {
		l.tally.add(now, now-w.f.changed.Load())
	}
	if w.persistent {
		w.f.set()
	} else {
		w.unset = true
	}
	return nil
}

// set notes that one more watcher is ready for the next change.
func (f *fanout) set() {
	if f.missing.Add(-1) == 0 {
		f.armed <- struct{}{}
	}
}

// forever is a time that no run reaches.
const forever = math.MaxInt64

// changes says how long a phase of changes lasts.
type changes struct {
	until int64 // no change is begun from here on
	most  int64 // changes in all; 0: no limit
}

// drive changes the znode, one change at a time, until c is used up and every
// watcher has its watch again; then it stops the phase.
func (f *fanout) drive(ctx context.Context, s *Session, p *phase, watchers int, value []byte, c changes) error {
	defer p.stop.Store(true)
	req := wire.SetDataRequest{Path: f.path, Data: value, Version: -1}
	body := req.Append(nil)
	for n := int64(0); ; n++ {
		if err := f.wait(ctx, s); err != nil {
			return err
		}
		if p.clock.now() >= c.until || c.most > 0 && n >= c.most {
			f.armed <- struct{}{} // still true when the next phase begins
			return nil
		}
		f.missing.Store(int64(watchers))
		f.changed.Store(p.clock.now())
		code, _, err := s.Call(wire.OpSetData, body)
		if err == nil && code != wire.OK {
			err = fmt.Errorf("%s: setData %s: %w", s.addr, f.path, code)
		}
		if err != nil {
			return err
		}
	}
}

// wait returns when every watch is set.
func (f *fanout) wait(ctx context.Context, s *Session) error {
	timer := time.NewTimer(s.timeout)
	defer timer.Stop()
	select {
	case <-f.armed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return fmt.Errorf("%s: %w: %d watchers are not notified, or have not set their watch again, after %v",
			s.addr, ErrStalled, f.missing.Load(), s.timeout)
	}
}
