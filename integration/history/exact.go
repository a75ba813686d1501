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

// Streamed checks what one connection got from a watch that stays: names made
// one after another by one client, from anywhere on without a gap. With
// complete, the last must have come.
func Streamed(got, made []string, complete bool) error {
	if len(got) == 0 {
		if complete && len(made) > 0 {
			return fmt.Errorf("no event of %d came", len(made))
		}
		return nil
	}
	from := slices.Index(made, got[0])
	if from < 0 {
		return fmt.Errorf("an event of %s, which nobody made", got[0])
	}
	for i, name := range got {
		if from+i >= len(made) || made[from+i] != name {
			return fmt.Errorf("event %d is of %s, behind %s", i, name, got[max(0, i-1)])
		}
	}
	if complete && from+len(got) < len(made) {
		return fmt.Errorf("the events end with %s, %d are missing", got[len(got)-1], len(made)-from-len(got))
	}
	return nil
}
