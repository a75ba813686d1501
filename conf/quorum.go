package conf

import (
	"cmp"
	"slices"
	"time"

	"github.com/quorate/quorate/zab/members"
)

// Quorum is the configuration of the ensemble. Without members the
// server runs alone.
type Quorum struct {
	// MyID is the number in the file myid; only meaningful when HasMyID. In a
	// standalone server it is the one of the file, or 0.
	MyID    int64
	HasMyID bool
	// List is the member list. Its version is the suffix of the dynamic file's
	// name, 0 without one.
	members.List
	// DynamicConfigFile is the file the members were read from; empty means
	// the main file.
	DynamicConfigFile string

	// InitLimitTicks and SyncLimitTicks bound the synchronization and the
	// silence of a member, in ticks; never 0 in an ensemble.
	InitLimitTicks int
	SyncLimitTicks int
	// ConnectToLearnerMasterLimitTicks bounds a learner's attempts to connect;
	// 0 means InitLimitTicks.
	ConnectToLearnerMasterLimitTicks int
	// ElectionAlg is 3.
	ElectionAlg int
	// PeerType is the role the file claims; the server list beats it. Ask
	// Role instead.
	PeerType string
	// StandaloneEnabled runs a list of one voter standalone.
	StandaloneEnabled bool
	// ReconfigEnabled allows the operation reconfig.
	ReconfigEnabled bool
	// ListenOnAllIPs ignores the own addresses of the list when listening.
	ListenOnAllIPs bool
	// ObserverMasterPort is where followers serve observers; 0 off.
	ObserverMasterPort int
	// ObserverSyncEnabled makes observers keep a log on disk.
	ObserverSyncEnabled bool
	// MultiAddressEnabled allows several addresses of one member, of which the
	// reachability check takes one that answers within its timeout.
	MultiAddressEnabled      bool
	ReachabilityCheckEnabled bool
	ReachabilityCheckTimeout time.Duration
	// OraclePath is the file that decides for the survivor of two voters.
	OraclePath string
	// SASLEnabled, LearnerRequireSASL and ServerRequireSASL are SASL between
	// servers; each needs the one before.
	SASLEnabled        bool
	LearnerRequireSASL bool
	ServerRequireSASL  bool

	// LeaderServes lets the leader take clients.
	LeaderServes bool
	// CnxTimeout bounds a connect to an election port, CnxnReadTimeout a read
	// from it; a negative one means syncLimit.
	CnxTimeout      time.Duration
	CnxnReadTimeout time.Duration
	// ElectionPortBindRetry is how often binding the election port is tried;
	// 0 means forever.
	ElectionPortBindRetry int
	// TCPKeepAlive turns probes on for election connections.
	TCPKeepAlive bool
	// MinNotificationInterval and MaxNotificationInterval are the first and
	// the longest wait for votes.
	MinNotificationInterval time.Duration
	MaxNotificationInterval time.Duration
	// MaxTimeToWaitForEpoch is how long a new leader waits for a quorum; < 0
	// means initLimit.
	MaxTimeToWaitForEpoch time.Duration
	// MaxConcurrentSnapSyncs and MaxConcurrentDiffSyncs bound the learners
	// synchronized at one time.
	MaxConcurrentSnapSyncs int
	MaxConcurrentDiffSyncs int
	// SnapshotSizeFactor is up to which share of the tree's size a learner is
	// synchronized from the log on disk; negative never.
	SnapshotSizeFactor float64
	// LeaderConnectDelay is the wait between attempts to reach the leader.
	LeaderConnectDelay time.Duration
	// ForceSnapshotSync synchronizes every learner by snapshot.
	ForceSnapshotSync bool
	// ObserverReconnectDelay and ObserverElectionDelay slow an observer down.
	ObserverReconnectDelay time.Duration
	ObserverElectionDelay  time.Duration
	// ObserverMasterSizeLimitBytes bounds what a follower keeps for observers.
	ObserverMasterSizeLimitBytes int

	// HoldClients is how long clients stay connected while there is no leader;
	// 0 closes them at once, as ZooKeeper does.
	HoldClients time.Duration
	// LinearizableReads has every read wait for the leader's confirmation.
	LinearizableReads bool
	// JavaPeers says that there may be Java servers among the members.
	JavaPeers bool
}

// Self is this server's own entry; nil when it has none.
func (q *Quorum) Self() *members.Member {
	if !q.HasMyID {
		return nil
	}
	return q.Find(q.MyID)
}

// Role is this server's role: that of the member list, else of peerType.
func (q *Quorum) Role() members.Role {
	if self := q.Self(); self != nil {
		return self.Role
	}
	if q.PeerType == members.Observer.String() {
		return members.Observer
	}
	return members.Participant
}

// Distributed reports whether this server is a member of an ensemble: there
// are two voters, or one and standaloneEnabled is off.
func (c *Config) Distributed() bool {
	voters := len(c.Quorum.Voters())
	return voters > 1 || voters == 1 && !c.Quorum.StandaloneEnabled
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
