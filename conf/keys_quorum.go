package conf

import "slices"

func quorumKeys() []Key {
	return slices.Concat(quorumOwnKeys, quorumPropertyKeys, quorumJVMKeys)
}

// unservedQuorumKeys belong to what members cannot do yet.
var unservedQuorumKeys = []string{
	"reconfigEnabled", "observerMasterPort", "observerMaster.sizeLimit", "oraclePath",
	"multiAddress.reachabilityCheckEnabled", "multiAddress.reachabilityCheckTimeoutMs",
	"quorum.auth.enableSasl", "quorum.auth.learnerRequireSasl", "quorum.auth.serverRequireSasl",
	"quorum.auth.kerberos.servicePrincipal", "quorum.auth.learner.saslLoginContext", "quorum.auth.server.saslLoginContext",
	"quorumCnxnTimeoutMs", "tcpKeepAlive", "leader.maxTimeToWaitForEpoch", "forceSnapshotSync",
	"observer.reconnectDelayMs", "observer.election.DelayMs",
}

// quorumService marks what is not served.
func quorumService(k *Key) {
	if slices.Contains(unservedQuorumKeys, k.Name) {
		k.Use = Kept
	}
}

func quorumField(f func(*Quorum) any) func(*Config) any {
	return func(c *Config) any { return f(&c.Quorum) }
}

var quorumOwnKeys = with([]Key{
	{Name: "server.N", Meaning: "Member N: host:quorumPort:electionPort[:participant|observer][;[clientHost:]clientPort], more addresses behind |."},
	{Name: "group.N", Meaning: "Ids of the servers of group N, separated by colons; makes the quorum hierarchical."},
	{Name: "weight.N", Meaning: "Weight of server N in its group, default 1."},
	{
		Name: "dynamicConfigFile", field: quorumField(func(q *Quorum) any { return &q.DynamicConfigFile }),
		Meaning: "File with the server, group and weight lines, which the static file must then not have.",
	},
	{
		Name: "initLimit", Unit: "ticks", Min: 0, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.InitLimitTicks }),
		Meaning: "Time for a member to connect and synchronize; required in an ensemble.",
	},
	{
		Name: "syncLimit", Unit: "ticks", Min: 0, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.SyncLimitTicks }),
		Meaning: "Time without an answer after which a member is given up; required in an ensemble.",
	},
	{
		Name: "connectToLearnerMasterLimit", Default: "0", Unit: "ticks", Min: 0, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.ConnectToLearnerMasterLimitTicks }),
		Meaning: "Time for a learner to reach its leader; 0 means initLimit.",
	},
	{
		Name: "electionAlg", Default: "3", Min: 3, Max: 3, field: quorumField(func(q *Quorum) any { return &q.ElectionAlg }),
		Meaning: "Election algorithm; there is only 3.",
	},
	{
		Name: "peerType", Default: "participant", Choices: []string{"participant", "observer"}, field: quorumField(func(q *Quorum) any { return &q.PeerType }),
		Meaning: "Role of this server; the server list beats it.",
	},
	{
		Name: "standaloneEnabled", Default: "true", field: quorumField(func(q *Quorum) any { return &q.StandaloneEnabled }),
		Meaning: "A list of one voter runs standalone; false runs it as an ensemble of one.",
	},
	{
		Name: "reconfigEnabled", Default: "false", field: quorumField(func(q *Quorum) any { return &q.ReconfigEnabled }),
		Meaning: "Allow the operation reconfig.",
	},
	{
		Name: "quorumListenOnAllIPs", Default: "false", field: quorumField(func(q *Quorum) any { return &q.ListenOnAllIPs }),
		Meaning: "Listen for members on all addresses, not only on the own one of the list.",
	},
	{
		Name: "observerMasterPort", Default: "0", Max: 65535, field: quorumField(func(q *Quorum) any { return &q.ObserverMasterPort }),
		Meaning: "Port on which followers serve observers; 0 off.",
	},
	{
		Name: "syncEnabled", Default: "true", field: quorumField(func(q *Quorum) any { return &q.ObserverSyncEnabled }),
		Meaning: "An observer waits for its disk; observer.syncEnabled beats it. It keeps a log in any case.",
	},
	{
		Name: "multiAddress.enabled", Default: "false", field: quorumField(func(q *Quorum) any { return &q.MultiAddressEnabled }),
		Meaning: "Members may have several addresses.",
	},
	{
		Name: "multiAddress.reachabilityCheckEnabled", Default: "true", field: quorumField(func(q *Quorum) any { return &q.ReachabilityCheckEnabled }),
		Meaning: "Look which of several addresses answers.",
	},
	{
		Name: "multiAddress.reachabilityCheckTimeoutMs", Default: "1000", Unit: "ms", Min: 1, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.ReachabilityCheckTimeout }),
		Meaning: "Time for that.",
	},
	{
		Name: "oraclePath", field: quorumField(func(q *Quorum) any { return &q.OraclePath }),
		Meaning: "File that decides for the survivor of two voters.",
	},
	{
		Name: "quorum.cnxn.threads.size", Default: "20", Unit: "threads", Use: Moot, field: scratch[int],
		Meaning: "Threads for SASL between servers.",
	},
	{
		Name: "quorum.auth.enableSasl", Default: "false", field: quorumField(func(q *Quorum) any { return &q.SASLEnabled }),
		Meaning: "SASL between servers.",
	},
	{
		Name: "quorum.auth.learnerRequireSasl", Default: "false", field: quorumField(func(q *Quorum) any { return &q.LearnerRequireSASL }),
		Meaning: "This server insists on it when it connects; needs enableSasl.",
	},
	{
		Name: "quorum.auth.serverRequireSasl", Default: "false", field: quorumField(func(q *Quorum) any { return &q.ServerRequireSASL }),
		Meaning: "This server insists on it when it is connected to; needs learnerRequireSasl.",
	},
	{
		Name: "quorum.auth.kerberos.servicePrincipal", Default: "zkquorum/localhost", field: scratch[string],
		Meaning: "Kerberos principal of the servers.",
	},
	{
		Name: "quorum.auth.learner.saslLoginContext", Default: "QuorumLearner", field: scratch[string],
		Meaning: "JAAS section of the connecting side.",
	},
	{
		Name: "quorum.auth.server.saslLoginContext", Default: "QuorumServer", field: scratch[string],
		Meaning: "JAAS section of the accepting side.",
	},
}, quorumService)

var quorumPropertyKeys = with([]Key{
	{
		Name: "observer.syncEnabled", field: scratch[bool],
		Meaning: "The same as syncEnabled, and beats it.",
	},
	{
		Name: "leaderServes", Default: "yes", YesNo: true, field: quorumField(func(q *Quorum) any { return &q.LeaderServes }),
		Meaning: "no: the leader takes no clients.",
	},
	{
		Name: "cnxTimeout", Default: "5000", Unit: "ms", Min: 1, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.CnxTimeout }),
		Meaning: "Time to connect to another server's election port.",
	},
	{
		Name: "quorumCnxnTimeoutMs", Default: "-1", Unit: "ms", field: quorumField(func(q *Quorum) any { return &q.CnxnReadTimeout }),
		Meaning: "Time to wait for a read there; -1 means syncLimit ticks.",
	},
	{
		Name: "electionPortBindRetry", Default: "3", Min: 0, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.ElectionPortBindRetry }),
		Meaning: "Attempts to bind the election port; 0 means forever.",
	},
	{
		Name: "tcpKeepAlive", Default: "false", field: quorumField(func(q *Quorum) any { return &q.TCPKeepAlive }),
		Meaning: "TCP keep-alive probes on election connections.",
	},
	{
		Name: "fastleader.minNotificationInterval", Default: "200", Unit: "ms", Min: 1, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.MinNotificationInterval }),
		Meaning: "First wait for votes in an election; it doubles.",
	},
	{
		Name: "fastleader.maxNotificationInterval", Default: "2000", Unit: "ms", Min: 1, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.MaxNotificationInterval }),
		Meaning: "Longest such wait: so long a server that was cut off may go on waiting afterwards. ZooKeeper's default is 60000.",
	},
	{
		Name: "leader.maxTimeToWaitForEpoch", Default: "-1", Unit: "ms", field: quorumField(func(q *Quorum) any { return &q.MaxTimeToWaitForEpoch }),
		Meaning: "How long a new leader waits for a quorum; -1 means initLimit ticks.",
	},
	{
		Name: "leader.maxConcurrentSnapSyncs", Default: "10", Min: 1, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.MaxConcurrentSnapSyncs }),
		Meaning: "Members synchronized by snapshot at one time.",
	},
	{
		Name: "leader.maxConcurrentDiffSyncs", Default: "100", Min: 1, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.MaxConcurrentDiffSyncs }),
		Meaning: "Members synchronized by transactions at one time.",
	},
	{
		Name: "snapshotSizeFactor", Default: "0.33", field: quorumField(func(q *Quorum) any { return &q.SnapshotSizeFactor }),
		Meaning: "Negative: a lagging member gets no transactions from the log on disk. Otherwise it gets up to 100,000 of them, and a snapshot instead of more, whatever the number.",
	},
	{
		Name: "commitLogCount", Default: "500", Unit: "transactions", Min: 1, Max: maxInt32, field: func(c *Config) any { return &c.CommitLogCount },
		Meaning: "Committed transactions kept in memory for members that lag a little.",
	},
	{
		Name: "leader.ackLoggingFrequency", Default: "1000", Use: Moot, field: scratch[int],
		Meaning: "Acknowledgements between two log lines about them.",
	},
	{Name: "leader.closeSocketAsync", Default: "false", Use: Moot, field: scratch[bool], Meaning: "Close learner sockets in the background."},
	{Name: "learner.closeSocketAsync", Default: "false", Use: Moot, field: scratch[bool], Meaning: "Close the leader's socket in the background."},
	{Name: "learner.asyncSending", Default: "false", Use: Moot, field: scratch[bool], Meaning: "Send to the leader from a thread of its own."},
	{
		Name: "leaderConnectDelayDuringRetryMs", Default: "100", Unit: "ms", Min: 0, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.LeaderConnectDelay }),
		Meaning: "Wait between two attempts to reach the leader.",
	},
	{
		Name: "forceSnapshotSync", Default: "false", field: quorumField(func(q *Quorum) any { return &q.ForceSnapshotSync }),
		Meaning: "Synchronize every member by snapshot; for tests.",
	},
	{Name: "follower.skipLearnerRequestToNextProcessor", Default: "false", Use: Moot, field: scratch[bool], Meaning: "Where learners' requests go inside a follower."},
	{Name: "forward_learner_requests_to_commit_processor_disabled", Default: "false", Use: Moot, field: scratch[bool], Meaning: "Where learners' requests go inside a leader."},
	{
		Name: "observer.reconnectDelayMs", Default: "0", Unit: "ms", Min: 0, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.ObserverReconnectDelay }),
		Meaning: "Wait of an observer before it connects again.",
	},
	{
		Name: "observer.election.DelayMs", Default: "200", Unit: "ms", Min: 0, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.ObserverElectionDelay }),
		Meaning: "Wait of an observer before it looks for a leader.",
	},
	{
		Name: "observerMaster.sizeLimit", Default: "33554432", Unit: "bytes", Min: 0, Max: maxInt32, field: quorumField(func(q *Quorum) any { return &q.ObserverMasterSizeLimitBytes }),
		Meaning: "Transactions a follower keeps for its observers.",
	},
}, func(k *Key) { k.Source = Property; quorumService(k) })

var quorumJVMKeys = with([]Key{
	{Name: "follower.nodelay", Default: "true", Meaning: "TCP_NODELAY of a follower's connection.", field: scratch[bool]},
	{Name: "leader.nodelay", Default: "true", Meaning: "TCP_NODELAY of a leader's connections.", field: scratch[bool]},
}, func(k *Key) { k.Source, k.Use = JVM, Moot })
