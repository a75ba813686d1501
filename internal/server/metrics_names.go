package server

import (
	"strings"

	"github.com/quorate/quorate/internal/replica"
)

// nothingCounted is the view of a summary without values.
var nothingCounted replica.SummaryView

// The names that follow are ZooKeeper's, of parts of the Java server that have no
// counterpart here, or that nobody measures here. They are served all the same,
// at zero, so that rules and dashboards written for ZooKeeper find what they name.
// docs/operations.md tells which they are.
const (
	zeroGauges = `connection_drop_probability outstanding_tls_handshake
		non_mtls_remote_conn_count non_mtls_local_conn_count`

	zeroCounters = `add_dead_watcher_stall_time cnxn_closed_without_zk_server_running connection_drop_count
		dead_watchers_cleared dead_watchers_queued diff_count ensemble_auth_fail ensemble_auth_skip
		ensemble_auth_success insecure_admin_count learner_commit_received_count learner_proposal_received_count
		looking_count outstanding_changes_queued outstanding_changes_removed prep_processor_request_queued
		quit_leading_due_to_disloyal_voter request_commit_queued 
		requests_not_forwarded_to_commit_processor response_bytes response_packet_cache_hits
		response_packet_cache_misses response_packet_get_children_cache_hits
		response_packet_get_children_cache_misses restore_error_count restore_rate_limited_count revalidate_count
		skip_learner_request_to_next_processor_count snap_count snapshot_error_count snapshot_rate_limited_count
		stale_replies sync_processor_request_queued
		tls_handshake_exceeded unrecoverable_error_count unsuccessful_handshake watch_bytes`

	zeroSimple = `commit_commit_proc_req_queued commit_process_time concurrent_request_processing_in_commit_processor
		connection_token_deficit election_time follower_sync_time inflight_diff_count inflight_snap_count
		leader_unavailable_time learner_request_processor_queue_size netty_queued_buffer_capacity observer_sync_time
		pending_session_queue_size prep_process_time prep_processor_queue_size proposal_process_time
		read_commit_proc_issued read_commit_proc_req_queued reads_after_write_in_session_queue
		reads_issued_from_session_queue requests_in_session_queue restore_time session_queues_drained
		socket_closing_time startup_snap_load_time startup_txns_load_time sync_process_time sync_processor_queue_size
		time_waiting_empty_pool_in_commit_processor_read_ms unavailable_time write_batch_time_in_commit_processor
		write_commit_proc_issued write_commit_proc_req_queued`

	zeroDetailed = `close_session_prep_time commit_propagation_latency dead_watchers_cleaner_latency jvm_pause_time_ms
		local_write_committed_time_ms om_commit_process_time_ms om_proposal_process_time_ms
		prep_processor_queue_time_ms propagation_latency proposal_ack_creation_latency proposal_latency
		quorum_ack_latency read_commitproc_time_ms read_final_proc_time_ms 
		server_write_committed_time_ms sync_processor_queue_and_flush_time_ms sync_processor_queue_flush_time_ms
		sync_processor_queue_time_ms write_commitproc_time_ms write_final_proc_time_ms`
)

// fill adds what nobody has counted.
func (m *metricSet) fill() {
	counted := map[string]bool{}
	for i := range m.list {
		counted[m.list[i].name] = true
	}
	for _, z := range []struct {
		names string
		kind  metricKind
	}{{zeroGauges, gauge}, {zeroCounters, counter}, {zeroSimple, simple}, {zeroDetailed, detailed}} {
		for _, name := range strings.Fields(z.names) {
			if !counted[name] {
				m.list = append(m.list, metric{name: name, kind: z.kind})
			}
		}
	}
}
