//go:build linux

package quorum

import (
	"context"
	"time"

	"github.com/quorate/quorate/integration/witness"
)

// crowdRow: many stock clients use the ensemble as applications do while its
// members are killed and stopped, and their histories are judged. The package
// witness does the same to a Java ensemble.
var crowdRow = row{name: "quorum / linearizable writes", only: []string{"quorate", "mixed"}, play: crowd, want: `
	leader killed, restarted, follower stopped, leader stopped: no fault is found
	sessions expired: 0`}

func crowd(s *scene) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	plan := witness.Everyone(s.e.Addrs())
	plan.Seed, plan.SessionTimeout = 1, 30*time.Second
	plan.SyncedReads = s.cast.name == "quorate" // a Java leader answers a sync without asking whether it leads
	c, err := witness.Gather(ctx, plan)
	s.must(err)
	const writes = 200
	s.must(c.AwaitProgress(ctx, writes))
	killed := s.leader()
	killed.Kill()
	s.must(c.AwaitProgress(ctx, writes))
	s.must(s.e.Start())
	follower := s.followers()[0]
	s.must(follower.Pause())
	s.must(c.AwaitProgress(ctx, writes))
	s.must(follower.Resume())
	s.serves(follower)
	leader := s.leader()
	s.must(leader.Pause())
	s.must(c.AwaitProgress(ctx, writes))
	s.must(leader.Resume())
	s.must(s.e.AwaitSynced())
	findings, err := c.Judge(ctx)
	s.Log(findings)
	s.must(err)
	s.see("leader killed, restarted, follower stopped, leader stopped: no fault is found")
	s.see("sessions expired: %d", findings.Expired)
	_, err = s.e.AwaitEqual()
	s.must(err)
	_, err = s.e.Compare()
	s.must(err)
}
