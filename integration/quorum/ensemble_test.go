//go:build linux

package quorum

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

// casts are ensembles of three voters and an observer. In the mixed one a Java
// server leads first, with the highest id of equals, and Quorate later.
func casts() []cast {
	// Few transactions are kept for members that lag, so that a wiped one is sent a snapshot.
	options := integration.Options{"commitLogCount": "200", "snapshotSizeFactor": "-1"}
	return []cast{
		{"java", ensemble.Spec{Options: options, Voters: []ensemble.Kind{debian, debian, debian}, Observers: []ensemble.Kind{debian}}},
		{"quorate", ensemble.Spec{Options: options, Voters: []ensemble.Kind{quorate, quorate, quorate}, Observers: []ensemble.Kind{quorate}}},
		{"mixed", ensemble.Spec{Options: options, Voters: []ensemble.Kind{quorate, quorate, debian}, Observers: []ensemble.Kind{quorate}}},
	}
}

// TestEnsemble plays what needs no settings of its own.
func TestEnsemble(t *testing.T) {
	play(t, casts(), slices.Concat(calmRows, sessionRows, wordRows, configRows, watchRows, stormyRows, []row{stoppedRow, crowdRow}))
}

// calmRows disturb nobody.
var calmRows = []row{
	{name: "handshake / session id layout", calm: true, play: sessionIDs, want: `
		top bytes 1 1, 2 2, 3 3, 4 4
		increasing: true`},
	{name: "quorum / follower forwards writes", calm: true, play: forwardedWrites, want: `
		create through a follower: ok
		the leader shows "1", version 0
		set through the observer: ok
		the leader shows "2", version 1
		set of version 0: -103
		create again: -110
		delete: ok
		the leader shows -101
		create without a parent: -101`},
	{name: "quorum / observers", calm: true, play: observers, want: `
		mode: observer
		an observer's write is read through it: "1"
		a voter's write is read through it behind a sync: "2"`},
	{name: "read / sync (9)", calm: true, play: syncs, want: `
		behind a sync through a follower: 0 of 60 reads are stale
		behind a sync through the observer: 0 of 60 reads are stale`},
	{name: "quorum / reads never go backwards", calm: true, play: hops, want: `
		60 hops, 0 went backwards`},
}

func sessionIDs(s *scene) {
	text, increasing := "", true
	for _, m := range s.e.Members {
		a, b := s.connect(m), s.connect(m)
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%d %d", uint64(a.ID)>>56, uint64(b.ID)>>56)
		increasing = increasing && a.ID < b.ID
	}
	s.see("top bytes %s", text)
	s.see("increasing: %v", increasing)
}

// shown prints a znode as a client sees it.
func (c *client) shown(path string) string {
	data, st, err := c.Get(path, false)
	if err != nil {
		return said(err)
	}
	return fmt.Sprintf("%q, version %d", data, st.Version)
}

func forwardedWrites(s *scene) {
	a, o, b := s.connect(s.followers()[0]), s.connect(s.observer()), s.connect(s.leader())
	path := s.root + "/x"
	_, err := a.Create(path, []byte("1"), 0)
	s.see("create through a follower: %s", said(err))
	s.see("the leader shows %s", b.shown(path))
	_, err = o.Set(path, []byte("2"), 0)
	s.see("set through the observer: %s", said(err))
	s.see("the leader shows %s", b.shown(path))
	_, err = a.Set(path, []byte("3"), 0)
	s.see("set of version 0: %s", said(err))
	_, err = o.Create(path, nil, 0)
	s.see("create again: %s", said(err))
	s.see("delete: %s", said(a.Delete(path, 1)))
	s.see("the leader shows %s", b.shown(path))
	_, err = a.Create(s.root+"/none/x", nil, 0)
	s.see("create without a parent: %s", said(err))
}

func observers(s *scene) {
	st, err := s.observer().State()
	s.must(err)
	s.see("mode: %s", st.Mode)
	o, v := s.connect(s.observer()), s.connect(s.followers()[0])
	_, err = o.Create(s.root+"/x", []byte("1"), 0)
	s.must(err)
	data, _, err := o.Get(s.root+"/x", false)
	s.must(err)
	s.see("an observer's write is read through it: %q", data)
	_, err = v.Set(s.root+"/x", []byte("2"), -1)
	s.must(errors.Join(err, o.sync()))
	data, _, err = o.Get(s.root+"/x", false)
	s.must(err)
	s.see("a voter's write is read through it behind a sync: %q", data)
}

// syncs: whoever syncs sees what others had acknowledged.
func syncs(s *scene) {
	w := s.connect(s.leader())
	_, err := w.Create(s.root+"/x", nil, 0)
	s.must(err)
	for _, r := range []struct {
		name string
		m    *ensemble.Member
	}{{"a follower", s.followers()[1]}, {"the observer", s.observer()}} {
		c, stale := s.connect(r.m), 0
		const n = 60
		for range n {
			want, err := w.Set(s.root+"/x", nil, -1)
			s.must(errors.Join(err, c.sync()))
			_, got, err := c.Get(s.root+"/x", false)
			s.must(err)
			if got != want {
				stale++
			}
		}
		s.see("behind a sync through %s: %d of %d reads are stale", r.name, stale, n)
	}
}

// hops: a client that goes from server to server while another counts tells the
// last zxid it saw, and never sees the counter fall.
func hops(s *scene) {
	w := s.connect(s.leader())
	_, err := w.Create(s.root+"/x", nil, 0)
	s.must(err)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if _, err := w.Set(s.root+"/x", nil, -1); err != nil {
				stopped <- err
				return
			}
		}
	}()
	const n = 60
	var version int32
	var zxid int64
	backwards := 0
	for i := range n {
		m := s.e.Members[i%len(s.e.Members)]
		var c *integration.Session
		s.must(ensemble.Await("a server that is not behind", func() (err error) {
			c, err = integration.Connect(m.Addr(), integration.ConnectOptions{LastZxidSeen: zxid})
			return err
		}))
		rep, _, err := c.Call(wire.OpExists, readRequest(s.root+"/x", false))
		s.must(err)
		r := wire.NewReader(rep.Body)
		var st wire.Stat
		st.Decode(&r)
		if st.Version < version {
			backwards++
		}
		version, zxid = st.Version, max(zxid, rep.Zxid)
		s.must(c.Close())
	}
	close(stop)
	s.must(<-stopped)
	s.see("%d hops, %d went backwards", n, backwards)
}
