package server

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/znode"
)

// stats count what concerns the runtime alone; what concerns requests is in
// [replica.Stats].
type stats struct {
	rejected    atomic.Int64 // connections, by a limit
	sessionless atomic.Int64 // connections that asked for no session in time
	slowSyncs   atomic.Int64 // syncs of the log above the threshold of a warning
	traceMask   atomic.Int64
	ckptAt      atomic.Int64 // Unix time in s of the last checkpoint; 0 = none since the start
	// fsyncs and ckpts are durations in ms, batches the transactions of one sync.
	fsyncs, ckpts, batches summary
	member                 memberStats
}

func (t *stats) fsync(d time.Duration)      { t.fsyncs.Add(d.Milliseconds()) }
func (t *stats) checkpoint(d time.Duration) { t.ckpts.Add(d.Milliseconds()) }

func (t *stats) reset() {
	t.rejected.Store(0)
	t.sessionless.Store(0)
	t.slowSyncs.Store(0)
	t.fsyncs.Reset()
	t.ckpts.Reset()
	t.batches.Reset()
	t.member.reset()
}

// summary counts durations and the like.
type summary struct{ replica.Summary }

// since adds the time between two moments in ms.
func (m *summary) since(from, to time.Time) { m.Add(to.Sub(from).Milliseconds()) }

// traceMaskDefault is ZooTrace's.
const traceMaskDefault = 306

// metricKind is what a metric is to Prometheus. ZooKeeper has two kinds of
// summaries, of which the detailed ones tell more quantiles.
type metricKind uint8

const (
	gauge metricKind = iota
	counter
	simple
	detailed
)

// metric is one figure under ZooKeeper's name.
type metric struct {
	name string
	// key tells metrics of one name apart: a learner's sid, a namespace. Empty
	// for most.
	key   string
	kind  metricKind
	whole int64
	// share is the value of a gauge that is no whole number; fraction says so.
	share    float64
	fraction bool
	// sum is the value of a summary; nil when nothing was ever counted.
	sum *replica.SummaryView
}

// view is the value of a summary.
func (m *metric) view() *replica.SummaryView {
	if m.sum == nil {
		return &nothingCounted
	}
	return m.sum
}

// float is the value of a gauge or counter.
func (m *metric) float() float64 {
	if m.fraction {
		return m.share
	}
	return float64(m.whole)
}

// metricSet gathers metrics.
type metricSet struct{ list []metric }

func (m *metricSet) gauge(name string, v int64) {
	m.list = append(m.list, metric{name: name, whole: v})
}
func (m *metricSet) counter(name string, v int64) { m.keyed(name, "", counter, v) }

func (m *metricSet) keyed(name, key string, kind metricKind, v int64) {
	m.list = append(m.list, metric{name: name, key: key, kind: kind, whole: v})
}

func (m *metricSet) fraction(name string, v float64) {
	m.list = append(m.list, metric{name: name, share: v, fraction: true})
}

func (m *metricSet) summary(name string, kind metricKind, s *replica.Summary) {
	v := s.View()
	m.list = append(m.list, metric{name: name, kind: kind, sum: &v})
}

// metrics takes a look at everything. It asks the loop for some of it, and so may
// take a while.
func (s *Server) metrics(r role) []metric {
	var m metricSet
	s.requestMetrics(&m)
	s.namespaceMetrics(&m)
	s.limitMetrics(&m)
	s.ensembleMetrics(&m)
	s.treeMetrics(&m)
	s.runtimeMetrics(&m)
	s.bucket.metrics(&m)
	s.snapshots.metrics(&m)
	if !r.alone {
		s.memberMetrics(&m, r)
	}
	m.fill()
	return m.list
}

func (s *Server) requestMetrics(m *metricSet) {
	st := &s.rep.Stats
	lowest, avg, highest, _ := st.Latency()
	m.fraction("avg_latency", avg)
	m.gauge("max_latency", highest)
	m.gauge("min_latency", lowest)
	m.gauge("packets_received", st.Received.Load())
	m.gauge("packets_sent", st.Sent.Load())
	m.gauge("num_alive_connections", int64(s.connCount()))
	m.gauge("outstanding_requests", int64(s.outstanding()))
	m.gauge("uptime", s.uptime())
	m.gauge("auth_failed_count", st.AuthFailed.Load())
	for _, name := range []string{"last_client_response_size", "max_client_response_size", "min_client_response_size"} {
		m.gauge(name, -1) // as ZooKeeper says it before the first: nobody measures them
	}
	m.counter("bytes_received_count", st.ReceivedBytes.Load())
	m.counter("connection_request_count", st.Connects.Load())
	m.counter("connection_revalidate_count", st.Reconnects.Load())
	m.counter("proposal_count", st.Proposals.Load())
	m.counter("commit_count", st.Commits.Load())
	m.counter("connection_rejected", s.stats.rejected.Load())
	m.counter("sessionless_connections_expired", s.stats.sessionless.Load())
	m.counter("stale_sessions_expired", st.SessionsExpired.Load())
	m.summary("readlatency", detailed, &st.Reads)
	m.summary("updatelatency", detailed, &st.Updates)
	m.summary("propagation_latency", detailed, &st.Propagation)
	m.summary("node_created_watch_count", simple, &st.Created)
	m.summary("node_deleted_watch_count", simple, &st.Deleted)
	m.summary("node_changed_watch_count", simple, &st.Changed)
	m.summary("node_children_watch_count", simple, &st.Children)
}

// namespaceMetrics tell how many bytes clients read and wrote below each znode of the
// root.
func (s *Server) namespaceMetrics(m *metricSet) {
	st := &s.rep.Stats
	s.rep.CountReads()
	for _, set := range []struct {
		name string
		n    *replica.Namespaces
	}{{"read_per_namespace", &st.ReadBytes}, {"write_per_namespace", &st.WriteBytes}} {
		for _, ns := range set.n.All() {
			v := ns.View()
			m.list = append(m.list, metric{name: set.name, key: ns.Name, kind: simple, sum: &v})
		}
	}
}

// limitMetrics tell of the limits of all clients together.
func (s *Server) limitMetrics(m *metricSet) {
	st := &s.rep.Stats
	m.counter("large_requests_rejected", st.LargeRejected.Load())
	m.counter("quorate_oversized_requests", st.Oversized.Load())
	m.counter("request_throttle_wait_count", st.ThrottleWaits.Load())
	m.counter("throttled_ops", st.ThrottledOps.Load())
	m.counter("stale_requests", st.Stale.Load())
	m.counter("stale_requests_dropped", st.StaleDropped.Load())
	m.summary("request_throttle_queue_time_ms", detailed, &st.ThrottleTimes)
}

// ensembleMetrics count the clients that named an ensemble.
func (s *Server) ensembleMetrics(m *metricSet) {
	if e := s.ensemble; e != nil {
		m.counter("ensemble_auth_skip", e.Skipped.Load())
		m.counter("ensemble_auth_success", e.Accepted.Load())
		m.counter("ensemble_auth_fail", e.Refused.Load())
	}
}

// uptime is how long the server has been open, in ms.
func (s *Server) uptime() int64 { return time.Since(s.start).Milliseconds() }

func (s *Server) treeMetrics(m *metricSet) {
	m.gauge("znode_count", s.nodeCount())
	m.gauge("watch_count", int64(s.rep.WatchCount()))
	local := 0
	s.onLoop(func() { local = s.rep.LocalSessions() })
	m.gauge("local_sessions", int64(local))
	s.view(func(tree *znode.Tree) {
		m.gauge("ephemerals_count", int64(tree.EphemeralCount()))
		m.gauge("approximate_data_size", tree.DataBytes())
		m.gauge("global_sessions", int64(tree.SessionCount()))
		m.counter("digest_mismatches_count", tree.DigestMismatches())
		m.gauge("quorate_tree_memory_bytes", tree.MemoryBytes())
		m.gauge("quorate_tree_dirty_bytes", tree.DirtyBytes())
		for _, q := range tree.Quotas() {
			name := q.Namespace()
			m.keyed("quota_count_limit_per_namespace", name, gauge, q.Limits.Count)
			m.keyed("quota_bytes_limit_per_namespace", name, gauge, q.Limits.Bytes)
			m.keyed("quota_count_usage_per_namespace", name, gauge, q.Usage.Count)
			m.keyed("quota_bytes_usage_per_namespace", name, gauge, q.Usage.Bytes)
		}
	})
}

func (s *Server) runtimeMetrics(m *metricSet) {
	open, limit := fileDescriptors()
	m.gauge("open_file_descriptor_count", open)
	m.gauge("max_file_descriptor_count", limit)
	m.gauge("quorate_goroutines", int64(runtime.NumGoroutine()))
	m.summary("fsynctime", simple, &s.stats.fsyncs.Summary)
	m.summary("snapshottime", simple, &s.stats.ckpts.Summary)
	m.summary("sync_processor_batch_size", simple, &s.stats.batches.Summary)
	var took, replayed replica.Summary
	took.Add(s.recovered.Took.Milliseconds())
	replayed.Add(s.recovered.Replayed)
	m.summary("dbinittime", simple, &took)
	m.summary("startup_txns_loaded", simple, &replayed)
}
