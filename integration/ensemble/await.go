//go:build linux

package ensemble

import (
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/wire"
)

// Await repeats try until it succeeds, and returns its last error when it does
// not within the patience of this package.
func Await(what string, try func() error) error {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %v for %s: %w", patience, what, err)
		}
	}
}

// errEnded is what waiting for a member whose process has ended gives.
var errEnded = errors.New("the process has ended")

// AwaitServing waits until the member serves clients and returns its state.
// It fails at once when the process ends.
func (m *Member) AwaitServing() (State, error) {
	var st State
	var fatal error
	err := Await(fmt.Sprintf("member %v to serve", m), func() error {
		if !m.Running() {
			fatal = fmt.Errorf("member %v: %w\n%s", m, errEnded, m.LastLines(30))
			return nil
		}
		var err error
		st, err = m.State()
		return err
	})
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, m.LastLines(30))
	}
	return st, errors.Join(fatal, err)
}

// Sync makes a session on the member, lets it catch up with the leader and
// returns the zxid it has reached then.
func (m *Member) Sync() (int64, error) {
	s, err := integration.Connect(m.Addr(), integration.ConnectOptions{TimeoutMs: 10000})
	if err != nil {
		return 0, fmt.Errorf("member %v: %w", m, err)
	}
	defer s.Drop()
	s.Patience = 10 * time.Second
	rep, _, err := s.Call(wire.OpSync, wire.AppendString(nil, "/"))
	if err == nil && rep.Err != wire.OK {
		err = rep.Err
	}
	if err != nil {
		return 0, fmt.Errorf("member %v: sync: %w", m, err)
	}
	return rep.Zxid, s.Close()
}

// AwaitSynced waits until the member answers a sync, so that it follows a
// leader now and not only believes that it does. It fails at once when the
// process ends.
func (m *Member) AwaitSynced() error {
	if _, err := m.AwaitServing(); err != nil {
		return err
	}
	var fatal error
	err := Await(fmt.Sprintf("a sync of member %v", m), func() error {
		if !m.Running() {
			fatal = fmt.Errorf("member %v: %w\n%s", m, errEnded, m.LastLines(30))
			return nil
		}
		_, err := m.Sync()
		return err
	})
	return errors.Join(fatal, err)
}

// AwaitSynced waits until all members that run answer a sync, under one leader.
func (e *Ensemble) AwaitSynced() error {
	for _, m := range e.Members {
		if !m.Responsive() {
			continue
		}
		if err := m.AwaitSynced(); err != nil {
			return err
		}
	}
	_, err := e.AwaitLeader()
	return err
}

// AwaitLeader waits until exactly one member says that it leads, and returns
// it.
func (e *Ensemble) AwaitLeader() (leader *Member, err error) {
	err = Await("one leader", func() error {
		leader, err = e.Leader()
		return err
	})
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, e.LastLines(12))
	}
	return leader, err
}

// Leader asks every running member and returns the one that leads. None and
// several are errors; both can be for a moment. The only voter of an ensemble
// stands alone and leads itself.
func (e *Ensemble) Leader() (*Member, error) {
	var leader *Member
	var errs []error
	for _, m := range e.Members {
		if !m.Responsive() {
			continue
		}
		st, err := m.State()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if st.Mode != "leader" && st.Mode != "standalone" {
			continue
		}
		if leader != nil {
			return nil, fmt.Errorf("%v and %v both lead", leader, m)
		}
		leader = m
	}
	if leader == nil {
		return nil, errors.Join(append(errs, errors.New("nobody leads"))...)
	}
	return leader, nil
}

// Follower returns a running voter that does not lead, for tests that need any.
func (e *Ensemble) Follower() (*Member, error) {
	for _, m := range e.Members {
		if m.Observer || !m.Responsive() {
			continue
		}
		if st, err := m.State(); err == nil && st.Mode == "follower" {
			return m, nil
		}
	}
	return nil, errors.New("nobody follows")
}

// AwaitEqual waits until all running members have applied the same last
// transaction, and returns its zxid. Nobody may write meanwhile, other than
// the sessions this makes.
func (e *Ensemble) AwaitEqual() (int64, error) {
	var zxid int64
	err := Await("equal zxids", func() error {
		leader, err := e.Leader()
		if err != nil {
			return err
		}
		want, err := leader.State()
		if err != nil {
			return err
		}
		for _, m := range e.Members {
			if !m.Responsive() {
				continue
			}
			st, err := m.State()
			if err != nil {
				return err
			}
			if st.Zxid != want.Zxid {
				return fmt.Errorf("member %v is at %#x, the leader %v at %#x", m, st.Zxid, leader, want.Zxid)
			}
		}
		zxid = want.Zxid
		return nil
	})
	return zxid, err
}
