package server

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/zab"
)

// memberStats count what concerns a server's part in its ensemble. They are fed
// by the loop and read by anyone.
type memberStats struct {
	sizes proposalSizes
	// learnerProposals and learnerCommits count what came from a leader.
	learnerProposals, learnerCommits atomic.Int64
	// proposals is how old a leader's proposals were when they came, acks how old when they were on this server's
	// disk, in ms.
	proposals, acks summary
	// looking counts elections, diffs and snaps the learners that were
	// synchronized by transactions and by a snapshot.
	looking, diffs, snaps atomic.Int64
	// elections, leaderless and synced are durations in ms: of elections, of the
	// times without service until this server led or followed, and of
	// synchronization with a leader.
	elections                             summary
	leaderUnavailable, unavailable        summary
	followerSyncs, observerSyncs          summary
	leadingSince                          atomic.Int64 // Unix ms; 0 = does not lead
	committed                             int64        // the loop's: of the last look
	role                                  zab.Role     // the loop's: of the last event
	phase                                 zab.Phase
	lookingAt, servedUntil, synchronizing time.Time
}

// event counts what the core tells.
func (t *memberStats) event(e *zab.Event, now time.Time) {
	switch e.Kind {
	case zab.EventRole:
		t.became(e.Role, e.Phase, now)
	case zab.EventLearnerJoined:
		if strings.HasPrefix(e.Reason, zab.Snap.String()) {
			t.snaps.Add(1)
		} else {
			t.diffs.Add(1)
		}
	case zab.EventLearnerDropped, zab.EventIgnored, zab.EventHandedOver, zab.EventConfigSeen:
	}
}

// became follows a server through election, synchronization and service.
func (t *memberStats) became(role zab.Role, phase zab.Phase, now time.Time) {
	was := t.role
	served := t.phase == zab.Broadcast && was != zab.Looking
	t.role, t.phase = role, phase
	if served && (role != was || phase != zab.Broadcast) {
		t.servedUntil = now
	}
	if role != zab.Leading {
		t.leadingSince.Store(0)
	}
	switch {
	case role == zab.Looking:
		if was != zab.Looking || t.lookingAt.IsZero() {
			t.looking.Add(1)
			t.lookingAt = now
		}
		return
	case was == zab.Looking && !t.lookingAt.IsZero():
		t.elections.since(t.lookingAt, now)
		t.synchronizing = now
		if role == zab.Leading {
			t.leadingSince.Store(now.UnixMilli())
		}
	}
	if phase == zab.Broadcast && !served {
		t.serves(role, now)
	}
}

// serves counts how long it took until requests are served again.
func (t *memberStats) serves(role zab.Role, now time.Time) {
	from := t.servedUntil
	if from.IsZero() {
		from = t.lookingAt // since the start
	}
	if !from.IsZero() {
		t.unavailable.since(from, now)
		if role == zab.Leading {
			t.leaderUnavailable.since(from, now)
		}
	}
	switch role {
	case zab.Following:
		t.followerSyncs.since(t.synchronizing, now)
	case zab.Observing:
		t.observerSyncs.since(t.synchronizing, now)
	case zab.Looking, zab.Leading, zab.Halted:
	}
}

// appended counts transactions on their way to the log: a leader's are its
// proposals. wall is the server's wall clock in ms.
func (t *memberStats) appended(st *zab.Status, entries []zab.Entry, wall int64) {
	switch st.Role {
	case zab.Leading:
		t.sizes.add(entries)
	case zab.Following:
		t.learnerProposals.Add(int64(len(entries)))
		if st.Phase == zab.Broadcast {
			replica.EachAge(entries, wall, t.proposals.AddMany)
		}
	case zab.Looking, zab.Observing, zab.Halted:
	}
}

// delivered counts transactions that a leader has committed; commits is how many
// this server has applied since they were counted anew.
func (t *memberStats) delivered(role zab.Role, commits int64) {
	n := commits - t.committed
	if n < 0 {
		n = commits
	}
	t.committed = commits
	if n > 0 && (role == zab.Following || role == zab.Observing) {
		t.learnerCommits.Add(n)
	}
}

// memberMetrics are those of a member, and of a leader.
func (s *Server) memberMetrics(m *metricSet, r role) {
	t := &s.stats.member
	list := s.membership()
	if !r.readOnly {
		m.gauge("quorum_size", int64(len(list.Voters())))
	}
	m.counter("looking_count", t.looking.Load())
	m.counter("diff_count", t.diffs.Load())
	m.counter("snap_count", t.snaps.Load())
	m.counter("learner_proposal_received_count", t.learnerProposals.Load())
	m.counter("learner_commit_received_count", t.learnerCommits.Load())
	m.summary("proposal_latency", detailed, &t.proposals.Summary)
	m.summary("proposal_ack_creation_latency", detailed, &t.acks.Summary)
	m.summary("quorum_ack_latency", detailed, &s.rep.Stats.QuorumAcks)
	m.summary("commit_propagation_latency", detailed, &s.rep.Stats.CommitNews)
	m.summary("election_time", simple, &t.elections.Summary)
	m.summary("unavailable_time", simple, &t.unavailable.Summary)
	m.summary("leader_unavailable_time", simple, &t.leaderUnavailable.Summary)
	m.summary("follower_sync_time", simple, &t.followerSyncs.Summary)
	m.summary("observer_sync_time", simple, &t.observerSyncs.Summary)
	switch {
	case r.leads():
		s.leaderMetrics(m)
	case r.serving && r.status.Role == zab.Following:
		m.gauge("synced_observers", 0) // followers serve none here
	}
}

func (s *Server) leaderMetrics(m *metricSet) {
	f := s.following()
	m.gauge("learners", int64(len(f.learners)))
	m.gauge("synced_followers", int64(f.count(isFollower)))
	m.gauge("synced_non_voting_followers", int64(f.count(isNonVoting)))
	m.gauge("synced_observers", int64(f.count(isObserver)))
	m.gauge("pending_syncs", int64(f.pendingSyncs))
	m.gauge("leader_uptime", s.stats.member.leaderUptime(time.Now()))
	last, lowest, highest := s.stats.member.sizes.get()
	m.gauge("last_proposal_size", last)
	m.gauge("max_proposal_size", highest)
	m.gauge("min_proposal_size", lowest)
	for i := range f.learners {
		l := &f.learners[i]
		var queued replica.Summary
		queued.Add(int64(l.QueuedPackets))
		v := queued.View()
		m.list = append(m.list, metric{name: "learner_handler_qp_size", key: strconv.FormatInt(l.ID, 10), kind: simple, sum: &v})
	}
}

// leaderUptime is how long this server has led, in ms.
func (t *memberStats) leaderUptime(now time.Time) int64 {
	since := t.leadingSince.Load()
	if since == 0 {
		return 0
	}
	return now.UnixMilli() - since
}

func (t *memberStats) reset() {
	t.sizes.reset()
	for _, c := range []*atomic.Int64{&t.learnerProposals, &t.learnerCommits, &t.looking, &t.diffs, &t.snaps} {
		c.Store(0)
	}
	for _, m := range []*summary{&t.proposals, &t.acks, &t.elections, &t.leaderUnavailable, &t.unavailable, &t.followerSyncs, &t.observerSyncs} {
		m.Reset()
	}
}

// proposalSizes are the lengths in bytes of a leader's proposals (BufferStats in
// ZooKeeper); -1 is none yet.
type proposalSizes struct {
	mu                    sync.Mutex
	last, lowest, highest int64
}

func (p *proposalSizes) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.lowest, p.highest = -1, -1, -1
}

func (p *proposalSizes) add(entries []zab.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range entries {
		n := int64(len(entries[i].Data))
		p.last = n
		if p.lowest < 0 || n < p.lowest {
			p.lowest = n
		}
		p.highest = max(p.highest, n)
	}
}

func (p *proposalSizes) get() (last, lowest, highest int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.lowest, p.highest
}
