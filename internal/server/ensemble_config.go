package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/zab/members"
)

// EnsembleConfig makes a server a member of an ensemble. As in [Config], the
// zero value of a field means what its comment says.
type EnsembleConfig struct {
	// List is the configured ensemble: everybody's addresses, roles, groups and
	// weights. This server must be in it.
	List members.List
	// MyID is this server's sid, which is also the top byte of session ids.
	MyID int64

	// InitLimit and SyncLimit bound in ticks how long a member may take to
	// synchronize, and how long it may be silent. Both are needed.
	InitLimit, SyncLimit int
	// ConnectToLeaderLimit bounds in ticks a learner's attempts to reach its
	// leader (connectToLearnerMasterLimit); 0 = InitLimit.
	ConnectToLeaderLimit int
	// LeaderConnectDelay lies between two such attempts; 0 = 100 ms.
	LeaderConnectDelay time.Duration
	// CnxTimeout bounds one attempt to connect to an election port; 0 = 5 s.
	CnxTimeout time.Duration
	// NotifyMin and NotifyMax are the first and the longest wait before votes
	// are sent again; 0 = 200 ms and 2 s.
	NotifyMin, NotifyMax time.Duration
	// finalizeWait is how long a decided election waits for a better vote;
	// 0 = 200 ms, as in ZooKeeper. Tests change it.
	finalizeWait time.Duration
	// ListenOnAllIPs listens for members on every address of the machine, on
	// the ports of the own line (quorumListenOnAllIPs).
	ListenOnAllIPs bool

	// LeaderRefusesClients is leaderServes=no: while this server leads, it
	// takes no clients.
	LeaderRefusesClients bool
	// LocalSessions begins sessions local to their server, and
	// LocalSessionsUpgrading turns one into a global session when it creates
	// its first ephemeral; without it that is refused.
	LocalSessions, LocalSessionsUpgrading bool
	// EagerACL refuses a write that this server's tree does not permit before it is
	// forwarded (enableEagerACLCheck).
	EagerACL bool
	// ReadOnly serves reads without a quorum to the clients that agreed to it
	// (readonlymode.enabled).
	ReadOnly bool
	// HoldClients is how long clients stay connected while there is no leader;
	// if one is found by then they notice a pause only. 0 closes them at once,
	// as ZooKeeper does.
	HoldClients time.Duration
	// LinearizableReads has every read wait until the leader has confirmed that
	// it leads.
	LinearizableReads bool

	// CommitLogCount is how many committed transactions stay in memory for
	// members that lag; 0 = 500.
	CommitLogCount int
	// SnapSyncsMax and DiffSyncsMax bound the members that are synchronized by
	// snapshot and by transactions at one time (leader.maxConcurrentSnapSyncs,
	// leader.maxConcurrentDiffSyncs); 0 = 10 and 100.
	SnapSyncsMax, DiffSyncsMax int
	// SnapshotSizeFactor says, if it is negative, that no member is synchronized
	// from the log on disk; 0 = 0.33. How large it is does not matter: up to
	// 100,000 transactions are sent from there, and a snapshot instead of more.
	SnapshotSizeFactor float64
	// ObserverNoSync has an observer not wait for its disk (syncEnabled=false).
	ObserverNoSync bool
	// NoJavaPeers promises that no member is a Java server, so that nothing
	// needs to be done for their sake: a member whose log ends in transactions
	// that were never committed is told to cut them, where a Java follower gets
	// a snapshot because it could bring them back (ZOOKEEPER-1549).
	NoJavaPeers bool
}

// errEnsemble is in every error about the configuration of an ensemble.
var errEnsemble = errors.New("ensemble")

// self is this server's own entry in the list.
func (e *EnsembleConfig) self() *members.Member { return e.List.Find(e.MyID) }

// validate reports everything that keeps a member from running, at once.
func (e *EnsembleConfig) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{errEnsemble}, args...)...))
	}
	if _, err := e.List.Verifier(); err != nil {
		bad("%w", err)
	}
	if e.self() == nil {
		bad("server %d is not in the list of members", e.MyID)
	}
	if e.InitLimit <= 0 || e.SyncLimit <= 0 {
		bad("initLimit is %d and syncLimit %d; both must be above 0", e.InitLimit, e.SyncLimit)
	}
	for _, n := range []struct {
		name string
		v    int64
	}{
		{"connectToLearnerMasterLimit", int64(e.ConnectToLeaderLimit)},
		{"leaderConnectDelayDuringRetryMs", int64(e.LeaderConnectDelay)},
		{"cnxTimeout", int64(e.CnxTimeout)},
		{"fastleader.minNotificationInterval", int64(e.NotifyMin)},
		{"fastleader.maxNotificationInterval", int64(e.NotifyMax)},
		{"quorate.ensemble.holdClientsMs", int64(e.HoldClients)},
		{"commitLogCount", int64(e.CommitLogCount)},
		{"leader.maxConcurrentSnapSyncs", int64(e.SnapSyncsMax)},
		{"leader.maxConcurrentDiffSyncs", int64(e.DiffSyncsMax)},
	} {
		if n.v < 0 {
			bad("%s is below 0", n.name)
		}
	}
	return errors.Join(errs...)
}

func (e *EnsembleConfig) fillDefaults() {
	setDefault(&e.ConnectToLeaderLimit, e.InitLimit)
	setDefault(&e.LeaderConnectDelay, 100*time.Millisecond)
	setDefault(&e.CnxTimeout, 5*time.Second)
	setDefault(&e.finalizeWait, 200*time.Millisecond)
	setDefault(&e.NotifyMin, 200*time.Millisecond)
	setDefault(&e.NotifyMax, 2*time.Second)
	setDefault(&e.CommitLogCount, 500)
	setDefault(&e.SnapSyncsMax, 10)
	setDefault(&e.DiffSyncsMax, 100)
	if e.SnapshotSizeFactor == 0 {
		e.SnapshotSizeFactor = 0.33
	}
}

// connectTriesMax is how often a learner tries to reach its leader at most, as in
// ZooKeeper.
const connectTriesMax = 5

// connectTries is how many tries fit into ConnectToLeaderLimit.
func (e *EnsembleConfig) connectTries(tick time.Duration) int {
	fit := int(time.Duration(e.ConnectToLeaderLimit) * tick / max(e.LeaderConnectDelay, time.Millisecond))
	return min(max(fit, 1), connectTriesMax)
}

// diffTxnsMax is how many transactions a lagging member is sent from the log on disk;
// beyond that a snapshot is cheaper. 0 is the core's default, negative is none.
func (e *EnsembleConfig) diffTxnsMax() int {
	if e.SnapshotSizeFactor < 0 {
		return -1
	}
	return 0
}

// listenAddrs are the host:port pairs to listen on for members: the own ones,
// or the own ports on every address.
func (e *EnsembleConfig) listenAddrs() (election, quorum []string) {
	m := *e.self()
	if e.ListenOnAllIPs {
		everywhere := make([]members.Address, 0, len(m.Addresses))
		for _, a := range m.Addresses {
			everywhere = append(everywhere, members.Address{QuorumPort: a.QuorumPort, ElectionPort: a.ElectionPort})
		}
		m.Addresses = everywhere
	}
	return distinct(m.ElectionAddrs()), distinct(m.QuorumAddrs())
}

// distinct drops repetitions: several addresses of one port are one, once the
// host is left out.
func distinct(addrs []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, a := range addrs {
		if !seen[a] {
			out = append(out, a)
		}
		seen[a] = true
	}
	return out
}

// zabEnsemble is a list of members as the protocol's core takes it.
func zabEnsemble(l *members.List) (zab.Ensemble, error) {
	v, err := l.Verifier()
	if err != nil {
		return zab.Ensemble{}, err
	}
	e := zab.Ensemble{Version: l.Version, Quorum: v, Text: []byte(l.Text())}
	for _, m := range l.Observers() {
		e.Observers = append(e.Observers, m.ID)
	}
	return e, nil
}

// observesUnsynced reports whether this server is an observer that need not sync its
// log: nobody counts on what an observer has.
func (c *Config) observesUnsynced() bool {
	e := c.Ensemble
	return e != nil && e.ObserverNoSync && e.self().Role == members.Observer
}
