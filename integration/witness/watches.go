package witness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration/history"
)

// watcher is a client that leaves a watch on a znode again and again and writes
// down what comes.
type watcher struct {
	path   string
	client *Client
	mu     sync.Mutex
	steps  []history.WatchStep
	event  <-chan zk.Event // of the watch that waits; nil: none does
	// void tells that the session was lost, and the watch with it.
	void bool
}

func (w *watcher) add(s history.WatchStep) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = append(w.steps, s)
}

// fired looks whether the event has come.
func (w *watcher) fired() bool {
	select {
	case e := <-w.event:
		w.event = nil
		if e.Err != nil || e.Type == zk.EventNotWatching {
			w.void = true
			return true
		}
		w.add(history.WatchStep{Fired: true})
		return true
	default:
		return false
	}
}

// watch watches and changes the watched znodes until ctx ends.
func (c *Crowd) watch(ctx context.Context, w *watcher, random *rand.Rand) {
	for w.client.AwaitSession(ctx) {
		if w.void {
			w.mu.Lock()
			w.steps, w.void = nil, false // another session: another history
			w.mu.Unlock()
		}
		if w.event == nil {
			w.arm()
		} else {
			w.read()
		}
		other := c.watchers[random.IntN(len(c.watchers))]
		_, _ = w.client.Set(other.path, fmt.Append(nil, random.Uint64()), -1)
		if !pause(ctx, time.Duration(random.Int64N(int64(2*c.plan.Think)+1))) {
			return
		}
		if w.event != nil {
			w.fired()
		}
	}
}

// arm reads and leaves a watch.
func (w *watcher) arm() {
	connection := w.client.Connections.Load()
	_, st, event, err := w.client.GetW(w.path)
	if err != nil {
		return // no watch is left, as far as this client is concerned
	}
	if w.client.Connections.Load() != connection {
		connection = -1 // either
	}
	w.add(history.WatchStep{Armed: true, Version: st.Version, Connection: int(connection)})
	w.event = event
}

// read reads without leaving a watch: what the event announces cannot be there
// before the event.
func (w *watcher) read() {
	connection := w.client.Connections.Load()
	_, st, err := w.client.Get(w.path)
	if err != nil || w.fired() || w.client.Connections.Load() != connection {
		return
	}
	w.add(history.WatchStep{Version: st.Version, Connection: int(connection)})
}

// judge lets the client see the end of the znode and checks its history.
func (w *watcher) judge(ctx context.Context) error {
	var final int32
	err := w.client.insist(ctx, func() error {
		if _, err := w.client.Sync(w.path); err != nil {
			return err
		}
		_, st, err := w.client.Get(w.path)
		if err == nil {
			final = st.Version
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("client %d: %s: %w", w.client.ID, w.path, err)
	}
	w.await(final)
	if w.void {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := history.Watched(w.steps, final); err != nil {
		return fmt.Errorf("client %d watching %s: %w", w.client.ID, w.path, err)
	}
	return nil
}

// eventPatience is how long an event may come behind the read that shows its
// change: after a reconnect the client leaves its watches again beside other
// requests.
const eventPatience = 10 * time.Second

// await waits for the event of the watch that waits, if it must come.
func (w *watcher) await(final int32) {
	limit := time.Now().Add(eventPatience)
	for w.event != nil && !w.fired() && w.owed(final) && time.Now().Before(limit) {
		time.Sleep(time.Millisecond)
	}
}

// owed reports whether the znode has changed since the watch was left.
func (w *watcher) owed(final int32) bool {
	for i := len(w.steps) - 1; i >= 0; i-- {
		if w.steps[i].Armed {
			return w.steps[i].Version < final
		}
	}
	return false
}
