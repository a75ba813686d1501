package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/znode"
)

// writeSrvr writes what srvr and stat have in common; clients, if any, goes
// between the version and the figures.
func (s *Server) writeSrvr(q *wordQuery, clients func(*wordQuery)) {
	fmt.Fprintf(q, "Zookeeper version: %s\n", s.cfg.Version)
	if q.role.readOnly {
		q.WriteString("READ-ONLY mode; serving only read-only clients\n")
	}
	if clients != nil {
		clients(q)
	}
	st := &s.rep.Stats
	lowest, avg, highest, _ := st.Latency()
	fmt.Fprintf(q, "Latency min/avg/max: %d/%s/%d\n", lowest, javaDouble(avg), highest)
	fmt.Fprintf(q, "Received: %d\nSent: %d\n", st.Received.Load(), st.Sent.Load())
	fmt.Fprintf(q, "Connections: %d\nOutstanding: %d\n", s.connCount(), s.outstanding())
	fmt.Fprintf(q, "Zxid: 0x%x\nMode: %s\nNode count: %d\n", s.lastZxid(), q.role.mode(), s.nodeCount())
	if q.role.leads() {
		last, lowest, highest := s.stats.member.sizes.get()
		fmt.Fprintf(q, "Proposal sizes last/min/max: %d/%d/%d\n", last, lowest, highest)
	}
}

// javaDouble prints a number as ZooKeeper does: at most four decimals, at
// least one.
func javaDouble(v float64) string {
	t := strings.TrimRight(strconv.FormatFloat(v, 'f', 4, 64), "0")
	if strings.HasSuffix(t, ".") {
		t += "0"
	}
	return t
}

func (s *Server) connCount() int {
	s.connMu.Lock()
	defer s.connMu.Unlock()
	return len(s.conns)
}

// connList returns the connections in the order they came.
func (s *Server) connList() []*conn {
	s.connMu.Lock()
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	s.connMu.Unlock()
	slices.SortFunc(list, func(a, b *conn) int { return a.since.Compare(b.since) })
	return list
}

// outstanding counts the requests that are received and not answered.
func (s *Server) outstanding() int {
	total := 0
	for _, c := range s.connList() {
		_, n := c.client.Pending()
		total += n
	}
	return total
}

func (s *Server) lastZxid() (zxid int64) {
	s.view(func(tree *znode.Tree) { zxid = tree.LastZxid() })
	return zxid
}

// view calls f with the tree, locked for reading. Any goroutine may call it.
func (s *Server) view(f func(*znode.Tree)) {
	s.rep.View(func(tree *znode.Tree) {
		tree.RLock()
		defer tree.RUnlock()
		f(tree)
	})
}

// nodeCount counts as ZooKeeper does, which stores the root under two names.
func (s *Server) nodeCount() (n int64) {
	s.view(func(tree *znode.Tree) { n = tree.NodeCount() + 1 })
	return n
}

func (s *Server) writeClients(q *wordQuery) {
	q.WriteString("Clients:\n")
	for _, c := range s.connList() {
		v := c.view()
		v.write(q)
		q.WriteString(")\n")
	}
	q.WriteString("\n")
}

func (s *Server) wordCons(q *wordQuery) {
	for _, c := range s.connList() {
		v := c.view()
		v.write(q)
		v.writeSession(q)
		q.WriteString(")\n")
	}
	q.WriteString("\n")
}

// connView is what operators are told of a connection.
type connView struct {
	remote         string // host:port
	interest       int    // 1 = its requests are read
	queued         int    // requests that are not answered
	received, sent int64
	established    int64 // Unix ms

	// What follows is of a session: id is 0 and the rest means nothing while
	// there is none.
	id                        int64
	lastOp                    string
	timeout                   int32 // ms
	lastXid                   int32 // below 0 = none yet
	lastZxid                  int64
	lastResponse, lastLatency int64 // ms, the first of the wall clock
	minLatency, maxLatency    int64
	avgLatency                float64
	hasSession                bool
}

func (c *conn) view() connView {
	st := &c.client.Stats
	_, queued := c.client.Pending()
	v := connView{
		remote: c.remote.String(), interest: 1, queued: queued,
		received: st.Received.Load(), sent: st.Sent.Load(), established: c.since.UnixMilli(),
	}
	if c.client.State() < replica.StateConnecting {
		v.interest = 0
	}
	if sess := c.client.Session(); sess != nil {
		v.hasSession, v.id, v.timeout = true, sess.ID, sess.TimeoutMillis()
		v.lastOp, v.lastXid, v.lastZxid = st.Op().Short(), st.LastXid.Load(), st.LastZxid.Load()
		v.lastResponse, v.lastLatency = st.LastMillis.Load(), st.LastLatency.Load()
		v.minLatency, v.avgLatency, v.maxLatency, _ = st.Latency()
	}
	return v
}

// write writes the part of a connection's line that every one has, without the
// closing parenthesis.
func (v *connView) write(q *wordQuery) {
	fmt.Fprintf(q, " /%s[%x](queued=%d,recved=%d,sent=%d", v.remote, v.interest, v.queued, v.received, v.sent)
}

func (v *connView) writeSession(q *wordQuery) {
	if !v.hasSession {
		return
	}
	fmt.Fprintf(q, ",sid=0x%x,lop=%s,est=%d,to=%d", v.id, v.lastOp, v.established, v.timeout)
	if v.lastXid >= 0 {
		fmt.Fprintf(q, ",lcxid=0x%x", v.lastXid)
	}
	fmt.Fprintf(q, ",lzxid=0x%x,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d",
		uint64(v.lastZxid), v.lastResponse, v.lastLatency, v.minLatency, int64(v.avgLatency), v.maxLatency)
}
