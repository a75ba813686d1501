//go:build linux

package ensemble

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

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

// Compare waits until all running members are at one zxid and compares their
// whole trees, and the digests that they remember, with the first one's. It
// returns how many nodes they have. Nobody may write meanwhile.
func (e *Ensemble) Compare() (nodes int, err error) {
	var trees []integration.Tree
	var digests []map[int64]string
	var members []*Member
	for _, m := range e.Members {
		if !m.Responsive() {
			continue
		}
		t, err := integration.ReadTree(m.Addr())
		if err != nil {
			return 0, fmt.Errorf("read the tree of member %v: %w", m, err)
		}
		// Every server writes this node for itself when it starts.
		if n, ok := t["/zookeeper/config"]; ok {
			n.Stat.Mtime = 0
			t["/zookeeper/config"] = n
		}
		d, err := m.Digests()
		if err != nil {
			return 0, err
		}
		members, trees, digests = append(members, m), append(trees, t), append(digests, d)
	}
	var errs []error
	for i := range members[1:] {
		for _, d := range trees[i+1].Differences(trees[0]) {
			errs = append(errs, fmt.Errorf("on member %v (against %v): %s", members[i+1], members[0], d))
		}
		for zxid, digest := range digests[i+1] {
			if want, ok := digests[0][zxid]; ok && digest != want {
				errs = append(errs, fmt.Errorf("at zxid %#x member %v has digest %s, %v has %s", zxid, members[i+1], digest, members[0], want))
			}
		}
	}
	return len(trees[0]), errors.Join(errs...)
}
