package server

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/znode"
)

// stats count what concerns the runtime alone; what concerns requests is in
// [replica.Stats].
type stats struct {
	rejected  atomic.Int64
	traceMask atomic.Int64
	fsyncs    summary
	ckpts     summary
}

func (t *stats) fsync(d time.Duration)      { t.fsyncs.add(d.Milliseconds()) }
func (t *stats) checkpoint(d time.Duration) { t.ckpts.add(d.Milliseconds()) }

func (t *stats) reset() {
	t.fsyncs.reset()
	t.ckpts.reset()
}

// summary is ZooKeeper's simple summary: minimum, maximum, count and sum.
type summary struct{ min, max, count, sum atomic.Int64 }

func (m *summary) add(v int64) {
	if m.count.Load() == 0 || v < m.min.Load() {
		m.min.Store(v)
	}
	if v > m.max.Load() {
		m.max.Store(v)
	}
	m.sum.Add(v)
	m.count.Add(1)
}

func (m *summary) reset() {
	m.min.Store(0)
	m.max.Store(0)
	m.count.Store(0)
	m.sum.Store(0)
}

// traceMaskDefault is ZooTrace's.
const traceMaskDefault = 306

// wordMntr writes the metrics, one a line, under ZooKeeper's names.
func (s *Server) wordMntr(_ []byte, w *bytes.Buffer) {
	put := func(key string, v any) { fmt.Fprintf(w, "zk_%s\t%v\n", key, v) }
	put("version", s.cfg.Version)
	put("server_state", "standalone")
	s.mntrRequests(put)
	s.mntrTree(put)
	s.mntrRuntime(put)
}

func (s *Server) mntrRequests(put func(string, any)) {
	st := &s.rep.Stats
	lowest, avg, highest, _ := st.Latency()
	put("avg_latency", javaDouble(avg))
	put("max_latency", highest)
	put("min_latency", lowest)
	put("packets_received", st.Received.Load())
	put("packets_sent", st.Sent.Load())
	put("num_alive_connections", s.connCount())
	put("outstanding_requests", s.outstanding())
	put("uptime", time.Since(s.start).Milliseconds())
	put("proposal_count", st.Proposals.Load())
	put("commit_count", st.Commits.Load())
	put("auth_failed_count", st.AuthFailed.Load())
	put("connection_rejected", s.stats.rejected.Load())
	put("large_requests_rejected", st.Oversized.Load())
	put("stale_sessions_expired", st.SessionsExpired.Load())
	put("node_created_watch_count", st.Created.Load())
	put("node_deleted_watch_count", st.Deleted.Load())
	put("node_changed_watch_count", st.Changed.Load())
	put("node_children_watch_count", st.Children.Load())
}

func (s *Server) mntrTree(put func(string, any)) {
	put("znode_count", s.nodeCount())
	put("watch_count", s.rep.WatchCount())
	s.view(func(tree *znode.Tree) {
		put("ephemerals_count", tree.EphemeralCount())
		put("approximate_data_size", tree.DataBytes())
		put("global_sessions", tree.SessionCount())
		put("local_sessions", 0)
		put("digest_mismatches_count", tree.DigestMismatches())
		put("quorate_tree_memory_bytes", tree.MemoryBytes())
		put("quorate_tree_dirty_bytes", tree.DirtyBytes())
		mntrQuotas(put, tree)
	})
}

func mntrQuotas(put func(string, any), tree *znode.Tree) {
	for _, q := range tree.Quotas() {
		name := q.Namespace() + "_quota_"
		put(name+"count_limit_per_namespace", q.Limits.Count)
		put(name+"bytes_limit_per_namespace", q.Limits.Bytes)
		put(name+"count_usage_per_namespace", q.Usage.Count)
		put(name+"bytes_usage_per_namespace", q.Usage.Bytes)
	}
}

func (s *Server) mntrRuntime(put func(string, any)) {
	open, limit := fileDescriptors()
	put("open_file_descriptor_count", open)
	put("max_file_descriptor_count", limit)
	putSummary(put, "fsynctime", &s.stats.fsyncs)
	putSummary(put, "snapshottime", &s.stats.ckpts)
	put("quorate_goroutines", runtime.NumGoroutine())
}

func putSummary(put func(string, any), name string, m *summary) {
	n, sum := m.count.Load(), m.sum.Load()
	avg := 0.0
	if n > 0 {
		avg = float64(sum) / float64(n)
	}
	put("avg_"+name, javaDouble(avg))
	put("min_"+name, m.min.Load())
	put("max_"+name, m.max.Load())
	put("cnt_"+name, n)
	put("sum_"+name, sum)
}
