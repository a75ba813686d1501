//go:build linux

package ensemble

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/integration"
)

// Ensemble is a set of servers with one configuration.
type Ensemble struct {
	Members []*Member // in the order of ids, from 1
	Dir     string    // holds a directory for each member

	spec  Spec
	place Place
}

// New lays out an ensemble in dir, which may hold the data of an earlier one,
// and starts nothing. Close it in any case.
func New(dir string, s Spec) (*Ensemble, error) {
	if err := s.Available(); err != nil {
		return nil, err
	}
	e := &Ensemble{Dir: dir, spec: s, place: s.Place}
	if e.place == nil {
		e.place = Loopback()
	}
	for i, k := range s.kinds() {
		m := &Member{
			ID: i + 1, Observer: i >= len(s.Voters), Dir: filepath.Join(dir, fmt.Sprint(i+1)), ensemble: e, kind: k,
		}
		var err error
		if m.Address, err = e.place.Address(m.ID); err != nil {
			e.place.Close()
			return nil, err
		}
		e.Members = append(e.Members, m)
	}
	return e, nil
}

// Start starts all members that do not run and waits until all
// serve under one leader.
func (e *Ensemble) Start() error {
	for _, m := range e.Members {
		if !m.Running() {
			if err := m.Start(); err != nil {
				return err
			}
		}
	}
	return e.AwaitSynced()
}

// Close kills what runs and gives the addresses back. The directories stay.
func (e *Ensemble) Close() {
	for _, m := range e.Members {
		m.Kill()
	}
	e.place.Close()
}

// Member returns the member with an id.
func (e *Ensemble) Member(id int) *Member { return e.Members[id-1] }

// Addrs returns the addresses for clients of all members.
func (e *Ensemble) Addrs() []string {
	var all []string
	for _, m := range e.Members {
		all = append(all, m.Addr())
	}
	return all
}

// Except returns the members other than those given.
func (e *Ensemble) Except(not ...*Member) []*Member {
	return slices.DeleteFunc(slices.Clone(e.Members), func(m *Member) bool { return slices.Contains(not, m) })
}

// Check returns what must never happen: see [Member.Check].
func (e *Ensemble) Check() error {
	var errs []error
	for _, m := range e.Members {
		errs = append(errs, m.Check())
	}
	return errors.Join(errs...)
}

// LastLines returns the end of every member's log.
func (e *Ensemble) LastLines(n int) string {
	var b strings.Builder
	for _, m := range e.Members {
		fmt.Fprintf(&b, "--- member %v, running %v\n%s", m, m.Running(), m.LastLines(n))
	}
	return b.String()
}

// comparePatience is how long trees may differ before that is a fault: the
// ephemerals of sessions that still expire vanish from one after another.
const comparePatience = 30 * time.Second

// Compare compares the whole trees of all running members, and the digests that
// they remember, with the first one's, until they are equal or have had time
// enough. It returns how many nodes they have. Nobody may write meanwhile.
func (e *Ensemble) Compare() (nodes int, err error) {
	for limit := time.Now().Add(comparePatience); ; time.Sleep(200 * time.Millisecond) {
		if _, err = e.AwaitEqual(); err != nil {
			return 0, err
		}
		if nodes, err = e.compare(); err == nil || time.Now().After(limit) {
			return nodes, err
		}
	}
}

// CompareDigests compares the digests that the running members remember, each
// with the first one's. Others may write meanwhile. It returns how many were
// compared at least, which may be none: members remember few.
func (e *Ensemble) CompareDigests() (compared int, err error) {
	var first *seen
	var errs []error
	for _, m := range e.Members {
		if !m.Responsive() {
			continue
		}
		d, err := m.Digests()
		if err != nil {
			return 0, err
		}
		s := seen{member: m, digests: d}
		if first == nil {
			first = &s
			continue
		}
		n, err := s.otherDigests(*first)
		errs = append(errs, err)
		if compared == 0 || n < compared {
			compared = n
		}
	}
	return compared, errors.Join(errs...)
}

// seen is what one member showed.
type seen struct {
	member  *Member
	tree    integration.Tree
	digests map[int64]string
}

func (m *Member) look() (seen, error) {
	t, err := integration.ReadTree(m.Addr())
	if err != nil {
		return seen{}, fmt.Errorf("read the tree of member %v: %w", m, err)
	}
	// Every server writes this node for itself when it starts.
	if n, ok := t["/zookeeper/config"]; ok {
		n.Stat.Mtime = 0
		t["/zookeeper/config"] = n
	}
	d, err := m.Digests()
	return seen{m, t, d}, err
}

func (e *Ensemble) compare() (nodes int, err error) {
	var all []seen
	for _, m := range e.Members {
		if m.Responsive() {
			s, err := m.look()
			if err != nil {
				return 0, err
			}
			all = append(all, s)
		}
	}
	var errs []error
	for _, s := range all[1:] {
		errs = append(errs, s.differences(all[0]))
	}
	return len(all[0].tree), errors.Join(errs...)
}

func (s seen) differences(first seen) error {
	var errs []error
	for _, d := range s.tree.Differences(first.tree) {
		errs = append(errs, fmt.Errorf("on member %v (against %v): %s", s.member, first.member, d))
	}
	_, err := s.otherDigests(first)
	return errors.Join(append(errs, err)...)
}

// otherDigests compares the digests at those zxids that both remember, and
// counts them.
func (s seen) otherDigests(first seen) (compared int, err error) {
	var errs []error
	for zxid, digest := range s.digests {
		want, ok := first.digests[zxid]
		if !ok {
			continue
		}
		compared++
		if digest != want {
			errs = append(errs, fmt.Errorf("at zxid %#x member %v has digest %s, %v has %s", zxid, s.member, digest, first.member, want))
		}
	}
	return compared, errors.Join(errs...)
}
