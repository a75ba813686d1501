package server

import (
	"net"
	"slices"
	"strconv"

	"github.com/quorate/quorate/zab/members"
	"github.com/quorate/quorate/znode"
)

// adminCommands are the commands by name (server.admin.Commands in ZooKeeper).
func adminCommands() []adminCommand {
	return []adminCommand{
		{name: "configuration", aliases: []string{"conf", "config"}, run: (*Server).adminConf},
		{name: "connection_stat_reset", aliases: []string{"crst"}, run: func(s *Server, _ *adminQuery) { s.resetConns() }},
		{name: "connections", aliases: []string{"cons"}, run: func(s *Server, q *adminQuery) { s.adminConns(q, false) }},
		{name: "dirs", run: (*Server).adminDirs},
		{name: "dump", run: (*Server).adminDump},
		{name: "environment", aliases: []string{"env", "envi"}, always: true, run: (*Server).adminEnv},
		{name: "get_trace_mask", aliases: []string{"gtmk"}, always: true, run: (*Server).adminTraceMask},
		{name: "hash", run: (*Server).adminHash},
		{name: "initial_configuration", aliases: []string{"icfg"}, run: (*Server).adminInitial},
		{name: "is_read_only", aliases: []string{"isro"}, run: (*Server).adminReadOnly},
		{name: "last_snapshot", aliases: []string{"lsnp"}, run: (*Server).adminLastSnapshot},
		{name: "leader", aliases: []string{"lead"}, run: (*Server).adminLeader},
		{name: "monitor", aliases: []string{"mntr"}, always: true, run: (*Server).adminMonitor},
		{name: "observer_connection_stat_reset", aliases: []string{"orst"}, run: func(*Server, *adminQuery) {}},
		{name: "observers", aliases: []string{"obsr"}, run: (*Server).adminObservers},
		{name: "ruok", run: func(*Server, *adminQuery) {}},
		{name: "server_stats", aliases: []string{"srvr"}, run: (*Server).adminStats},
		{name: "set_trace_mask", aliases: []string{"stmk"}, always: true, run: (*Server).adminSetTraceMask},
		{name: "stat_reset", aliases: []string{"srst"}, run: func(s *Server, _ *adminQuery) { s.resetStats() }},
		{name: "stats", aliases: []string{"stat"}, run: func(s *Server, q *adminQuery) { s.adminStats(q); s.adminConns(q, true) }},
		{name: "system_properties", aliases: []string{"sysp"}, always: true, run: (*Server).adminProperties},
		{name: "voting_view", run: (*Server).adminVotingView},
		{name: "watch_summary", aliases: []string{"wchs"}, run: (*Server).adminWatchSummary},
		{name: "watches", aliases: []string{"wchc"}, run: (*Server).adminWatches},
		{name: "watches_by_path", aliases: []string{"wchp"}, run: (*Server).adminWatchesByPath},
		{name: "zabstate", always: true, run: (*Server).adminZabState},
	}
}

func (s *Server) adminConf(q *adminQuery) {
	v := s.confView()
	q.put("client_port", v.clientPort)
	q.put("data_dir", v.dataDir)
	q.put("data_log_dir", v.logDir)
	q.put("tick_time", v.tickTime)
	q.put("max_client_cnxns", v.connsPerIP)
	q.put("min_session_timeout", v.timeoutMin)
	q.put("max_session_timeout", v.timeoutMax)
	q.put("server_id", v.id)
	q.put("client_port_listen_backlog", -1)
}

// adminConns lists the connections; briefly says only what each has.
func (s *Server) adminConns(q *adminQuery, briefly bool) {
	list := []any{}
	for _, c := range s.connList() {
		v := c.view()
		o := jsonObject{
			{"remote_socket_address", v.remote},
			{"interest_ops", v.interest},
			{"outstanding_requests", v.queued},
			{"packets_received", v.received},
			{"packets_sent", v.sent},
		}
		if !briefly {
			o = append(o, v.session()...)
		}
		list = append(list, o)
	}
	q.put("connections", list)
	q.put("secure_connections", []any{})
}

// session is what a connection has of its session.
func (v *connView) session() jsonObject {
	if !v.hasSession {
		v.lastOp, v.lastXid, v.lastZxid = "NA", -1, -1
	}
	return jsonObject{
		{"session_id", v.id},
		{"last_operation", v.lastOp},
		{"established", v.established},
		{"session_timeout", v.timeout},
		{"last_cxid", v.lastXid},
		{"last_zxid", v.lastZxid},
		{"last_response_time", v.lastResponse},
		{"last_latency", v.lastLatency},
		{"min_latency", v.minLatency},
		{"avg_latency", int64(v.avgLatency)},
		{"max_latency", v.maxLatency},
	}
}

func (s *Server) adminDirs(q *adminQuery) {
	q.put("datadir_size", s.dataBytes())
	q.put("logdir_size", s.logBytes())
}

func (s *Server) adminDump(q *adminQuery) {
	v, _ := s.sessionView(q.role)
	expiry, ephemerals := jsonObject{}, jsonObject{}
	for _, b := range v.global {
		expiry.put(strconv.FormatInt(b.Deadline, 10), listOf(b.IDs))
	}
	s.view(func(tree *znode.Tree) {
		for _, id := range tree.EphemeralSessions() {
			ephemerals.put(strconv.FormatInt(id, 10), listOf(tree.Ephemerals(id)))
		}
	})
	q.put("expiry_time_to_session_ids", expiry)
	q.put("session_id_to_ephemeral_paths", ephemerals)
}

func (s *Server) adminEnv(q *adminQuery) {
	for _, l := range s.environment() {
		q.put(l[0], l[1])
	}
}

func (s *Server) adminTraceMask(q *adminQuery) { q.put("tracemask", s.stats.traceMask.Load()) }

func (s *Server) adminSetTraceMask(q *adminQuery) {
	const want = "setTraceMask requires long traceMask argument"
	arg := q.args.Get("traceMask")
	mask, err := strconv.ParseInt(arg, 10, 64)
	switch {
	case arg == "":
		q.fail(want)
	case err != nil:
		q.fail(want + ", got " + arg)
	default:
		s.stats.traceMask.Store(mask)
		s.adminTraceMask(q)
	}
}

func (s *Server) adminHash(q *adminQuery) {
	list := []any{}
	for _, d := range s.rep.Digests() {
		list = append(list, jsonObject{{"zxid", d.Zxid}, {"digest", d.Digest}, {"digest_version", 2}})
	}
	q.put("digests", list)
}

func (s *Server) adminInitial(q *adminQuery) {
	if s.cfg.Admin.InitialConfig == "" {
		q.put("initial_configuration", nil)
		return
	}
	q.put("initial_configuration", s.cfg.Admin.InitialConfig)
}

func (s *Server) adminReadOnly(q *adminQuery) { q.put("read_only", q.role.readOnly) }

// adminLastSnapshot tells of the last checkpoint: the tree at rest.
func (s *Server) adminLastSnapshot(q *adminQuery) {
	var zxid int64
	s.view(func(tree *znode.Tree) { zxid = tree.CheckpointZxid() })
	q.put("zxid", strconv.FormatInt(zxid, 16))
	q.put("timestamp", s.stats.ckptAt.Load())
}

func (s *Server) adminMonitor(q *adminQuery) {
	s.identity(q.role, q.put)
	for _, m := range s.metrics(q.role) {
		s.render(&m, q.put)
	}
}

// statsOf are the sizes of buffers.
func statsOf(last, lowest, highest int64) jsonObject {
	return jsonObject{{"last_buffer_size", last}, {"min_buffer_size", lowest}, {"max_buffer_size", highest}}
}

func (s *Server) adminStats(q *adminQuery) {
	st := &s.rep.Stats
	lowest, avg, highest, _ := st.Latency()
	responses := statsOf(-1, -1, -1) // nobody measures them
	q.put("version", s.cfg.Version)
	q.put("read_only", q.role.readOnly)
	q.put("server_stats", jsonObject{
		{"packets_sent", st.Sent.Load()},
		{"packets_received", st.Received.Load()},
		{"fsync_threshold_exceed_count", s.stats.slowSyncs.Load()},
		{"client_response_stats", responses},
		{"provider_null", false},
		{"server_state", q.role.mode()},
		{"outstanding_requests", s.outstanding()},
		{"min_latency", lowest},
		{"avg_latency", javaNumber(avg)},
		{"max_latency", highest},
		{"data_dir_size", s.dataBytes()},
		{"log_dir_size", s.logBytes()},
		{"last_processed_zxid", s.lastZxid()},
		{"num_alive_client_connections", s.connCount()},
		{"uptime", s.uptime()},
		{"auth_failed_count", st.AuthFailed.Load()},
		{"non_mtlsremote_conn_count", 0},
		{"non_mtlslocal_conn_count", 0},
	})
	q.put("client_response", responses)
	if q.role.leads() {
		q.put("proposal_stats", statsOf(s.stats.member.sizes.get()))
	}
	q.put("node_count", s.nodeCount())
}

// adminProperties tells what the configuration sets, and of Java's own properties
// those that have a counterpart.
func (s *Server) adminProperties(q *adminQuery) {
	all := map[string]string{}
	for _, l := range s.environment() {
		if l[0] != "zookeeper.version" && l[0] != "host.name" {
			all[l[0]] = l[1]
		}
	}
	for k, v := range s.cfg.Admin.Properties {
		all[k] = v
	}
	keys := make([]string, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		q.put(k, all[k])
	}
}

func (s *Server) adminWatchSummary(q *adminQuery) {
	sum := s.rep.WatchSummary()
	q.put("num_connections", sum.Connections)
	q.put("num_paths", sum.Paths)
	q.put("num_total_watches", sum.Watches)
}

func (s *Server) adminWatches(q *adminQuery) {
	o := jsonObject{}
	s.rep.WatchesBySession(func(session int64, paths []string) {
		o.put(strconv.FormatInt(session, 10), listOf(paths))
	})
	q.put("session_id_to_watched_paths", o)
}

func (s *Server) adminWatchesByPath(q *adminQuery) {
	o := jsonObject{}
	s.rep.WatchesByPath(func(path string, sessions []int64) { o.put(path, listOf(sessions)) })
	q.put("path_to_session_ids", o)
}

// addresses are host:port of each address of a member.
func addresses(m *members.Member, port func(members.Address) int) (hosts []string, ports []int) {
	for _, a := range m.Addresses {
		hosts, ports = append(hosts, a.Host), append(ports, port(a))
	}
	return hosts, ports
}

func hostPorts(hosts []string, ports []int) []any {
	out := make([]any, len(hosts))
	for i, h := range hosts {
		out[i] = net.JoinHostPort(h, strconv.Itoa(ports[i]))
	}
	return out
}
