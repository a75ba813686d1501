package server

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/znode"
)

func (s *Server) wordHash(q *wordQuery) {
	for _, d := range s.rep.Digests() {
		fmt.Fprintf(q, "%x: %d\n", d.Zxid, d.Digest)
	}
}

// javaDate is how java.util.Date prints itself.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

func (s *Server) wordDump(q *wordQuery) {
	v, ok := s.sessionView(q.role)
	if !ok {
		return
	}
	q.WriteString("SessionTracker dump:\n")
	if v.hasLocal {
		q.WriteString("Local ")
		s.writeSets(q, v.local)
	}
	if v.decides {
		if v.hasLocal {
			q.WriteString("Global ")
		}
		s.writeSets(q, v.global)
	} else {
		fmt.Fprintf(q, "Global Sessions(%d):\n", len(v.timeouts))
		for _, id := range sortedKeys(v.timeouts) {
			fmt.Fprintf(q, "0x%x\t%dms\n", id, v.timeouts[id])
		}
	}
	s.view(func(tree *znode.Tree) { dumpEphemerals(q, tree) })
	s.dumpConns(q)
}

// sessionView is what operators are told of sessions.
type sessionView struct {
	// decides says that this server decides about their expiry: it is alone, or
	// leads. Then global has them by deadline; timeouts has them in any case, in
	// ms.
	decides  bool
	global   []replica.SessionSet
	timeouts map[int64]int32
	// hasLocal says that there may be local sessions, which are in local.
	hasLocal bool
	local    []replica.SessionSet
}

// sessionView asks the loop. It is false when the server has stopped.
func (s *Server) sessionView(r role) (v sessionView, ok bool) {
	v.decides = r.alone || r.leads()
	v.hasLocal = r.readOnly || s.cfg.Ensemble != nil && s.cfg.Ensemble.LocalSessions
	ok = s.onLoop(func() { v.global, v.local = s.rep.SessionSets(), s.rep.LocalSessionSets() })
	s.view(func(tree *znode.Tree) { v.timeouts = tree.Sessions() })
	return v, ok
}

// writeSets writes sessions that expire together.
func (s *Server) writeSets(q *wordQuery, sets []replica.SessionSet) {
	total := 0
	for _, b := range sets {
		total += len(b.IDs)
	}
	fmt.Fprintf(q, "Session Sets (%d)/(%d):\n", len(sets), total)
	for _, b := range sets {
		fmt.Fprintf(q, "%d expire at %s:\n", len(b.IDs), s.wallOf(b.Deadline).Format(javaDate))
		for _, id := range b.IDs {
			fmt.Fprintf(q, "\t0x%x\n", id)
		}
	}
}

// wallOf turns the server's monotonic clock into time of day.
func (s *Server) wallOf(mono int64) time.Time {
	return time.Now().Add(time.Duration(mono-s.mono()) * time.Millisecond)
}

func dumpEphemerals(q *wordQuery, tree *znode.Tree) {
	ids := tree.EphemeralSessions()
	fmt.Fprintf(q, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(ids))
	for _, id := range ids {
		fmt.Fprintf(q, "0x%x:\n", id)
		for _, p := range tree.Ephemerals(id) {
			fmt.Fprintf(q, "\t%s\n", p)
		}
	}
}

// dumpConns groups the connections by when they would be closed for silence,
// in steps of ten seconds.
func (s *Server) dumpConns(q *wordQuery) {
	const step = 10_000
	sets := map[int64][]*conn{}
	list := s.connList()
	for _, c := range list {
		timeout := s.cfg.HandshakeTimeout.Milliseconds()
		if sess := c.client.Session(); sess != nil {
			timeout = int64(sess.TimeoutMillis())
		}
		at := ((s.mono()+timeout)/step + 1) * step
		sets[at] = append(sets[at], c)
	}
	fmt.Fprintf(q, "Connections dump:\nConnections Sets (%d)/(%d):\n", len(sets), len(list))
	for _, at := range sortedKeys(sets) {
		fmt.Fprintf(q, "%d expire at %s:\n", len(sets[at]), s.wallOf(at).Format(javaDate))
		for _, c := range sets[at] {
			id := int64(0)
			if sess := c.client.Session(); sess != nil {
				id = sess.ID
			}
			fmt.Fprintf(q, "\tip: %s sessionId: 0x%x\n", c, id)
		}
	}
}

func sortedKeys[V any](m map[int64]V) []int64 {
	keys := make([]int64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (s *Server) wordWchs(q *wordQuery) {
	sum := s.rep.WatchSummary()
	fmt.Fprintf(q, "%d connections watching %d paths\nTotal watches:%d\n", sum.Connections, sum.Paths, sum.Watches)
}

func (s *Server) wordWchc(q *wordQuery) {
	s.rep.WatchesBySession(func(session int64, paths []string) {
		fmt.Fprintf(q, "0x%x\n", session)
		for _, p := range paths {
			fmt.Fprintf(q, "\t%s\n", p)
		}
	})
	q.WriteString("\n")
}

func (s *Server) wordWchp(q *wordQuery) {
	s.rep.WatchesByPath(func(path string, sessions []int64) {
		fmt.Fprintf(q, "%s\n", path)
		for _, id := range sessions {
			fmt.Fprintf(q, "\t0x%x\n", id)
		}
	})
	q.WriteString("\n")
}
