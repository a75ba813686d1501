package history

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Counted checks a counter that every increment must have reached exactly once:
// acknowledged ones happened, unanswered ones may have.
func Counted(final, acknowledged, unanswered int) error {
	switch {
	case final < acknowledged:
		return fmt.Errorf("the counter is %d, but %d increments were acknowledged: %d lost", final, acknowledged, acknowledged-final)
	case final > acknowledged+unanswered:
		return fmt.Errorf("the counter is %d, but only %d increments were tried: some happened twice", final, acknowledged+unanswered)
	}
	return nil
}

// Ephemerals checks the ephemerals that a server shows, paths with the sessions
// that own them: exactly those of the sessions that live, which were
// acknowledged to them, and perhaps some that live sessions have no answer for.
func Ephemerals(shown, acknowledged, unanswered map[string]int64) error {
	var errs []error
	for _, p := range slices.Sorted(maps.Keys(shown)) {
		switch owner := shown[p]; owner {
		case acknowledged[p], unanswered[p]:
		default:
			errs = append(errs, fmt.Errorf("%s of the session %#x is there, though no live session made it", p, owner))
		}
	}
	for _, p := range slices.Sorted(maps.Keys(acknowledged)) {
		if _, ok := shown[p]; !ok {
			errs = append(errs, fmt.Errorf("%s of the live session %#x is gone", p, acknowledged[p]))
		}
	}
	return errors.Join(errs...)
}

// WatchStep is one thing that happened to a client that watches the data of
// one znode, in the order in which it happened.
type WatchStep struct {
	// Armed says that a read at Version left a watch, Fired that its event
	// came; neither, that a read without a watch showed Version.
	Armed, Fired bool
	Version      int32
	// Connection counts the client's connections. The order of events and
	// replies is the server's within one.
	Connection int
}

// Watched checks what one client saw: every change after a watch was left gives
// exactly one event, before any read shows the change. final is the znode's
// version at the end, which the client has been shown by a synced read: an
// event that has not come by then will never come.
func Watched(steps []WatchStep, final int32) error {
	var armed *WatchStep // the watch that waits
	for i := range steps {
		s := &steps[i]
		switch {
		case s.Fired && armed == nil:
			return fmt.Errorf("step %d: an event without a watch", i)
		case s.Fired:
			armed = nil
		case s.Version > final:
			return fmt.Errorf("step %d: version %d was read, but the znode ends with %d", i, s.Version, final)
		case armed != nil && s.Version > armed.Version && s.Connection == armed.Connection:
			return fmt.Errorf("step %d: version %d was read before the event of the watch left at version %d", i, s.Version, armed.Version)
		case armed != nil && s.Armed:
			return fmt.Errorf("step %d: a watch is left while another waits, this history cannot be judged", i)
		case s.Armed:
			armed = s
		}
	}
	if armed != nil && armed.Version < final {
		return fmt.Errorf("the event of the watch left at version %d never came, the znode ends with %d", armed.Version, final)
	}
	return nil
}

// StreamStep is one thing that came to a client with a watch that stays, in the
// order in which it came: an event, or the answer to a read.
type StreamStep struct {
	// Event is what happened, as its maker calls it; empty for a read.
	Event string
	// Shown is how many had been made as a read shows it.
	Shown int
}

// Streamed checks what one connection brought from the moment that the watch
// was there: what one client made, one after another, from anywhere on, without
// a gap, nothing twice, and each before any read that shows it. It returns
// how many had been made when the watch came, and behind the last read; both are -1
// if there was no read, and then nothing is known about the first event.
func Streamed(steps []StreamStep, made []string) (from, to int, err error) {
	from, to = -1, -1
	var events []string
	for i, s := range steps {
		switch {
		case s.Event != "":
			events = append(events, s.Event)
		case s.Shown > len(made):
			return from, to, fmt.Errorf("step %d: a read shows %d, but only %d were made", i, s.Shown, len(made))
		case from < 0:
			from, to = s.Shown-len(events), s.Shown
		case s.Shown != from+len(events):
			return from, to, fmt.Errorf("step %d: a read shows %d, but behind the first %d only %d events had come", i, s.Shown, from, len(events))
		default:
			to = s.Shown
		}
	}
	if len(events) == 0 {
		return from, to, nil
	}
	first := from
	if first < 0 {
		first = slices.Index(made, events[0])
	}
	for i, name := range events {
		if first < 0 || first+i >= len(made) {
			return from, to, fmt.Errorf("an event of %s, which nobody made", name)
		}
		if want := made[first+i]; name != want {
			return from, to, fmt.Errorf("event %d is of %s and not of %s", i, name, want)
		}
	}
	return from, to, nil
}

// Resumed checks the connections of one client one after another: each as
// [Streamed] does, and that none was taken back before what the one before it had
// shown. What is made between two connections brings no event: a watch that
// stays is only left again (setWatches2). With complete, the last read shows all.
func Resumed(connections [][]StreamStep, made []string, complete bool) error {
	shown := -1
	for i, steps := range connections {
		from, to, err := Streamed(steps, made)
		switch {
		case err != nil:
			return fmt.Errorf("connection %d: %w", i, err)
		case from < 0:
			continue
		case from < shown:
			return fmt.Errorf("connection %d begins behind %d of the stream, but %d had been shown", i, from, shown)
		}
		shown = to
	}
	if complete && shown != len(made) {
		return fmt.Errorf("the client has been shown %d of the %d that were made", shown, len(made))
	}
	return nil
}
