package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Role is what a member of an ensemble takes part in.
type Role uint8

// The roles. The numbers are those of the "conf" word's peerType line.
const (
	// Participant members vote.
	Participant Role = 0
	// Observer members follow without a vote.
	Observer Role = 1
)

// String is the word of a server line.
func (r Role) String() string {
	if r == Observer {
		return "observer"
	}
	return "participant"
}

// Quorum is the configuration of the ensemble. Without Servers the server
// runs alone.
type Quorum struct {
	// MyID is the number in the file myid; only meaningful when HasMyID. In a
	// standalone server it is the one of the file, or 0.
	MyID    int64
	HasMyID bool
	// Servers are the members in the order of their ids.
	Servers []ServerSpec
	// Groups maps a group id to its servers; nil for a majority quorum.
	Groups map[int64][]int64
	// Weights maps a server to its weight; 1 where it is missing.
	Weights map[int64]int64
	// Version is the version of the member list: the suffix of the dynamic
	// file's name, 0 without one.
	Version int64
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
}

// QuorumAddress is one address of a member for the traffic between servers.
type QuorumAddress struct {
	// Host is a name or an address, without brackets.
	Host string
	// QuorumPort is where followers find the leader.
	QuorumPort int
	// ElectionPort is where votes go.
	ElectionPort int
}

// ServerSpec is one member of the ensemble.
type ServerSpec struct {
	// ID is the N of server.N.
	ID int64
	// Addresses are at least one, sorted by host.
	Addresses []QuorumAddress
	// Role is what the member takes part in.
	Role Role
	// ClientHost and ClientPort are where it serves clients; port 0 when the
	// line does not say.
	ClientHost string
	ClientPort int
}

// String is the value of the server line as ZooKeeper prints it.
func (s *ServerSpec) String() string {
	var b strings.Builder
	for i, a := range s.Addresses {
		if i > 0 {
			b.WriteByte('|')
		}
		fmt.Fprintf(&b, "%s:%d:%d", bracketed(a.Host), a.QuorumPort, a.ElectionPort)
	}
	b.WriteString(":" + s.Role.String())
	if s.ClientPort != 0 {
		fmt.Fprintf(&b, ";%s:%d", bracketed(s.ClientHost), s.ClientPort)
	}
	return b.String()
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// ParseServerSpec reads the value of a server.N line:
// host:quorumPort:electionPort[:role][|...][;[clientHost:]clientPort].
func ParseServerSpec(id int64, text string) (ServerSpec, error) {
	spec := ServerSpec{ID: id}
	servers, client, hasClient := strings.Cut(text, ";")
	if hasClient {
		if err := spec.parseClient(client); err != nil {
			return spec, err
		}
	}
	roles := map[Role]bool{} // the ones written out; any address may carry it
	for _, part := range strings.Split(servers, "|") {
		address, role, err := parseQuorumAddress(strings.TrimSpace(part))
		if err != nil {
			return spec, err
		}
		if role != "" {
			if spec.Role, err = parseRole(role); err != nil {
				return spec, err
			}
			roles[spec.Role] = true
		}
		spec.Addresses = append(spec.Addresses, address)
	}
	if len(roles) > 1 {
		return spec, fmt.Errorf("its addresses have different roles")
	}
	slices.SortStableFunc(spec.Addresses, func(a, b QuorumAddress) int { return strings.Compare(a.Host, b.Host) })
	return spec, nil
}

func (s *ServerSpec) parseClient(text string) error {
	parts, err := splitAddress(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	s.ClientHost = "0.0.0.0"
	switch len(parts) {
	case 1:
	case 2:
		s.ClientHost = parts[0]
	default:
		return fmt.Errorf("the client part %q is not [host:]port", text)
	}
	if s.ClientHost == "" {
		return fmt.Errorf("the client part %q has no host before the colon", text)
	}
	s.ClientPort, err = parsePort("client", parts[len(parts)-1])
	return err
}

// parseQuorumAddress reads one address and the text of its role, which is
// empty when there is none.
func parseQuorumAddress(text string) (a QuorumAddress, role string, err error) {
	parts, err := splitAddress(text)
	if err != nil {
		return a, "", err
	}
	switch len(parts) {
	case 3:
	case 4:
		if role = parts[3]; role == "" {
			return a, "", fmt.Errorf("%q has no role behind its last colon", text)
		}
	default:
		return a, "", fmt.Errorf("%q is not host:quorumPort:electionPort[:role]", text)
	}
	if a.Host = parts[0]; a.Host == "" {
		return a, "", fmt.Errorf("%q has no host", text)
	}
	if a.QuorumPort, err = parsePort("quorum", parts[1]); err != nil {
		return a, "", err
	}
	if a.ElectionPort, err = parsePort("election", parts[2]); err != nil {
		return a, "", err
	}
	if a.QuorumPort == a.ElectionPort {
		return a, "", fmt.Errorf("quorum and election port are both %d", a.QuorumPort)
	}
	return a, role, nil
}

func parseRole(text string) (Role, error) {
	switch {
	case strings.EqualFold(text, "participant"):
		return Participant, nil
	case strings.EqualFold(text, "observer"):
		return Observer, nil
	}
	return 0, fmt.Errorf("%q is neither participant nor observer", text)
}

// splitAddress cuts at colons, except inside the brackets of an IPv6 host.
func splitAddress(text string) ([]string, error) {
	if !strings.HasPrefix(text, "[") {
		return strings.Split(text, ":"), nil
	}
	host, rest, ok := strings.Cut(text[1:], "]")
	if !ok {
		return nil, fmt.Errorf("%q has no closing bracket", text)
	}
	if rest == "" {
		return []string{host}, nil
	}
	if rest[0] != ':' {
		return nil, fmt.Errorf("%q has something other than a colon behind the bracket", text)
	}
	return append([]string{host}, strings.Split(rest[1:], ":")...), nil
}

func parsePort(which, text string) (int, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("the %s port %q is not a number from 1 to 65535", which, text)
	}
	return int(port), nil
}

// Voters are the members with a vote.
func (q *Quorum) Voters() []ServerSpec { return q.withRole(Participant) }

// Observers are the members without one.
func (q *Quorum) Observers() []ServerSpec { return q.withRole(Observer) }

func (q *Quorum) withRole(r Role) []ServerSpec {
	var out []ServerSpec
	for _, s := range q.Servers {
		if s.Role == r {
			out = append(out, s)
		}
	}
	return out
}

// Server finds a member by id; nil when there is none.
func (q *Quorum) Server(id int64) *ServerSpec {
	for i := range q.Servers {
		if q.Servers[i].ID == id {
			return &q.Servers[i]
		}
	}
	return nil
}

// Self is this server's own entry; nil when it has none.
func (q *Quorum) Self() *ServerSpec {
	if !q.HasMyID {
		return nil
	}
	return q.Server(q.MyID)
}

// Role is this server's role: that of the member list, else of peerType.
func (q *Quorum) Role() Role {
	if self := q.Self(); self != nil {
		return self.Role
	}
	if q.PeerType == Observer.String() {
		return Observer
	}
	return Participant
}

// Distributed reports whether this server is a member of an ensemble: there
// are two voters, or one and standaloneEnabled is off.
func (c *Config) Distributed() bool {
	voters := len(c.Quorum.Voters())
	return voters > 1 || voters == 1 && !c.Quorum.StandaloneEnabled
}

// Hierarchical reports whether groups and weights decide over a quorum.
func (q *Quorum) Hierarchical() bool { return q.Groups != nil || q.Weights != nil }

// MembershipText is the member list as ZooKeeper stores and prints it: one
// line per server, group and weight, then the version without a newline.
func (q *Quorum) MembershipText() string {
	var b strings.Builder
	for i := range q.Servers {
		fmt.Fprintf(&b, "server.%d=%s\n", q.Servers[i].ID, q.Servers[i].String())
	}
	for _, id := range sortedKeys(q.Groups) {
		members := make([]string, len(q.Groups[id]))
		for i, sid := range q.Groups[id] {
			members[i] = strconv.FormatInt(sid, 10)
		}
		fmt.Fprintf(&b, "group.%d=%s\n", id, strings.Join(members, ":"))
	}
	for _, id := range sortedKeys(q.Weights) {
		fmt.Fprintf(&b, "weight.%d=%d\n", id, q.Weights[id])
	}
	fmt.Fprintf(&b, "version=%x", q.Version)
	return b.String()
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
