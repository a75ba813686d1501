package server

import (
	"slices"
	"strings"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/members"
	"github.com/quorate/quorate/zab/transport"
)

// role is this server's part in its ensemble, as operators are told of it. The
// zero value of status is that of a server without an ensemble.
type role struct {
	alone bool
	// serving says that requests are served, readOnly that only reads are, and
	// only to the clients that can do with that.
	serving, readOnly bool
	status            zab.Status
}

// role returns the present one. Any goroutine may call it.
func (s *Server) role() role {
	r := role{alone: s.member == nil}
	r.serving, r.readOnly = s.rep.Serving()
	if s.member != nil {
		r.status = s.member.lastStatus()
	}
	return r
}

// lastStatus is the core's, as of the loop's last round. Any goroutine may call
// it.
func (w *member) lastStatus() zab.Status {
	w.statusMu.Lock()
	defer w.statusMu.Unlock()
	return w.status
}

// open reports whether requests are served at all.
func (r *role) open() bool { return r.serving || r.readOnly }

// leads reports whether this server is an established leader.
func (r *role) leads() bool { return r.serving && r.status.Role == zab.Leading }

// mode is the word of the Mode line (ServerStats.getServerState in ZooKeeper).
func (r *role) mode() string {
	switch {
	case r.alone:
		return "standalone"
	case r.readOnly:
		return "read-only"
	case r.status.Role == zab.Leading:
		return "leader"
	case r.status.Role == zab.Following:
		return "follower"
	case r.status.Role == zab.Observing:
		return "observer"
	}
	return "looking"
}

// peer is the word for role and phase (QuorumPeer.getDetailedPeerState).
func (r *role) peer() string {
	state := strings.ToLower(r.status.Role.String())
	if r.status.Phase == zab.Election {
		return state
	}
	return state + " - " + strings.ToLower(r.status.Phase.String())
}

// following is what a leader tells about its learners.
type following struct {
	learners []learnerInfo
	// pendingSyncs is how many rounds of sync wait for their confirmation.
	pendingSyncs int
}

// learnerInfo is one learner with its connection.
type learnerInfo struct {
	zab.LearnerStatus
	transport.PeerStat
	// ID is the learner's sid; both of the above have it.
	ID int64
}

// following asks the loop for this leader's learners. It is empty when this
// server does not lead, or has stopped.
func (s *Server) following() (f following) {
	if s.member == nil {
		return f
	}
	var learners []zab.LearnerStatus
	s.onLoop(func() {
		learners, f.pendingSyncs = s.member.m.Core().Learners(), s.member.m.PendingSyncs()
	})
	if len(learners) == 0 {
		return f
	}
	conns := map[zab.ConnID]transport.PeerStat{}
	for _, p := range s.member.net.Peers() {
		conns[p.Conn] = p
	}
	for _, l := range learners {
		f.learners = append(f.learners, learnerInfo{LearnerStatus: l, PeerStat: conns[l.Conn], ID: l.ID})
	}
	slices.SortFunc(f.learners, func(a, b learnerInfo) int { return int(a.ID - b.ID) })
	return f
}

// count counts the learners that take part in broadcast and satisfy ok.
func (f *following) count(ok func(*learnerInfo) bool) (n int) {
	for i := range f.learners {
		if l := &f.learners[i]; l.Live && ok(l) {
			n++
		}
	}
	return n
}

func isFollower(l *learnerInfo) bool  { return !l.LearnerStatus.Observer }
func isNonVoting(l *learnerInfo) bool { return !l.LearnerStatus.Observer && !l.Voter }
func isObserver(l *learnerInfo) bool  { return l.LearnerStatus.Observer }

// membership is the list of members in force.
func (s *Server) membership() members.List {
	if s.cfg.Ensemble == nil {
		return members.List{}
	}
	return s.cfg.Ensemble.List
}

// observes reports whether this server is an observer.
func (e *EnsembleConfig) observes() bool { return e.self().Role == members.Observer }
