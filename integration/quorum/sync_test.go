//go:build linux

package quorum

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

// stoppedRow: ZooKeeper's leader answers a sync from memory, so that one that
// was stopped may show the past; Quorate's asks a quorum first.
var stoppedRow = row{name: "read / sync (9), a leader that was stopped", only: []string{"quorate", "mixed"}, play: stoppedLeader, want: `
	sync and read sent to a leader while it was stopped: not the past
	and through a follower that was stopped: not the past`}

// stoppedLeader: while the leader does not run, another is elected and a write
// acknowledged. What a client has asked the first one meanwhile waits in its
// socket, and is the first thing that it finds when it goes on.
func stoppedLeader(s *scene) {
	leader := s.letLead(quorate)
	s.see("sync and read sent to a leader while it was stopped: %s", s.askStopped(leader, true))
	follower := s.followers()[0]
	s.see("and through a follower that was stopped: %s", s.askStopped(follower, true))
}

// askStopped stops a member, writes through the others and returns what a sync
// and a read, or the read alone, show that the member finds when it goes on.
func (s *scene) askStopped(m *ensemble.Member, sync bool) string {
	s.Helper()
	path := fmt.Sprintf("%s/x%d", s.root, m.ID)
	c := s.connect(m)
	_, err := c.Create(path, []byte("past"), 0)
	s.must(err)
	s.must(m.Pause())
	others := s.e.Except(m)
	s.serves(others...)
	w := s.connect(others[0])
	_, err = w.Set(path, []byte("present"), -1)
	s.must(err)
	if sync {
		_, err = c.Send(wire.OpSync, wire.AppendString(nil, path))
		s.must(err)
	}
	_, err = c.Send(wire.OpGetData, readRequest(path, false))
	s.must(err)
	s.must(m.Resume())
	for {
		rep, err := c.Next()
		switch {
		case closed(err):
			return "not the past"
		case err != nil:
			s.Fatal(err)
		case strings.Contains(string(rep.Body), "past"):
			return "the past"
		case strings.Contains(string(rep.Body), "present"):
			return "not the past"
		}
	}
}

// TestLinearizableReads: with quorate.ensemble.linearizableReads no read shows
// the past, also without a sync.
func TestLinearizableReads(t *testing.T) {
	spec := ensemble.Spec{
		Voters:  []ensemble.Kind{quorate, quorate, quorate},
		Options: integration.Options{"quorate.ensemble.linearizableReads": "true"},
	}
	play(t, []cast{{"quorate", spec}}, []row{
		{name: "reads of another server", play: freshReads, want: `
			100 reads through a follower, right after a write through the leader: 0 show the past
			100 reads through the leader, right after a write through a follower: 0 show the past`},
		{name: "a read of a leader that was stopped", play: stoppedReads, want: `read sent to a leader while it was stopped: not the past`},
	})
}

func freshReads(s *scene) {
	leader, follower := s.connect(s.leader()), s.connect(s.followers()[0])
	_, err := leader.Create(s.root+"/x", nil, 0)
	s.must(err)
	for _, way := range []struct {
		reader, writer     *client
		through, writtenBy string
	}{{follower, leader, "a follower", "the leader"}, {leader, follower, "the leader", "a follower"}} {
		const n = 100
		stale := 0
		for range n {
			want, err := way.writer.Set(s.root+"/x", nil, -1)
			s.must(err)
			if s.stat(way.reader, s.root+"/x") != want {
				stale++
			}
		}
		s.see("%d reads through %s, right after a write through %s: %d show the past", n, way.through, way.writtenBy, stale)
	}
}

func stoppedReads(s *scene) {
	s.see("read sent to a leader while it was stopped: %s", s.askStopped(s.leader(), false))
}
