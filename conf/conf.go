// Package conf turns a zoo.cfg, the environment and command-line settings
// into one checked Config.
//
// The file is read as ZooKeeper reads it: java-properties syntax, the same
// key names, the same meaning of unknown keys. On top come environment
// variables and "key=value" pairs, in this order of precedence: pair,
// environment, file, default. Every value remembers where it came from, so
// that an error names file and line. Keys lists all there are; the
// generated docs/configuration.md is the same list for people.
package conf

import (
	"path/filepath"
	"time"
)

// Config is the whole configuration of one server. Load and Default fill
// every field: what the reader finds here is the value in force, never a
// "use the default" mark, except where a field says so. Fields are named
// after the keys of zoo.cfg; the key and its environment variable are in
// docs/configuration.md.
type Config struct {
	// Path is the file the configuration came from; empty when there was none.
	Path string
	// InitialText is the text of that file as it was read.
	InitialText string

	// ClientPort is the plain client port; 0 means no plain port.
	ClientPort int
	// ClientPortAddress is the address or host name to listen on; empty means all.
	ClientPortAddress string
	// SecureClientPort is the TLS client port; 0 means no TLS port.
	SecureClientPort int
	// SecureClientPortAddress is the address of the TLS port; empty means all.
	SecureClientPortAddress string
	// ClientPortListenBacklog is the length of the accept queue; -1 and 0 leave
	// it to the operating system.
	ClientPortListenBacklog int
	// ClientTCPKeepAlive turns TCP keep-alive probes on for client sockets.
	ClientTCPKeepAlive bool
	// MaxClientCnxns is how many connections one source IP may hold; 0 means
	// without limit.
	MaxClientCnxns int
	// MaxCnxns is how many client connections the server holds in all; 0
	// means without limit.
	MaxCnxns int
	// SessionlessCnxnTimeout is how long a socket may stay without asking for
	// a session before it is closed.
	SessionlessCnxnTimeout time.Duration
	// FourLetterWords is the whitelist of four-letter words; "*" allows all.
	// Ask FourLetterWordAllowed instead of reading it.
	FourLetterWords []string

	// TickTime is the unit of all protocol times; never 0.
	TickTime time.Duration
	// MinSessionTimeout is the least timeout a client gets; default two ticks.
	MinSessionTimeout time.Duration
	// MaxSessionTimeout is the greatest timeout a client gets; default twenty
	// ticks. Dead clients keep their ephemerals and locks that long.
	MaxSessionTimeout time.Duration
	// LocalSessionsEnabled makes new sessions local to their server until they
	// need more: no write for connecting, no ephemerals. Ensembles only.
	LocalSessionsEnabled bool
	// LocalSessionsUpgradingEnabled turns a local session into a global one
	// when it creates its first ephemeral.
	LocalSessionsUpgradingEnabled bool
	// ReadOnlyMode lets a server without a quorum serve reads to the clients
	// that agreed to it. Ensembles only.
	ReadOnlyMode bool

	// MaxBufferBytes is jute.maxbuffer, the longest request packet in bytes.
	// Raising it costs that much memory for every connection that uses it.
	MaxBufferBytes int
	// MaxBufferExtraBytes is what the servers' own records may exceed
	// MaxBufferBytes by.
	MaxBufferExtraBytes int
	// OversizedRequestBytesMax is up to which length a request longer than
	// MaxBufferBytes is skipped and answered with an error while the
	// connection lives on; longer ones cost the connection, as in ZooKeeper.
	// 0 closes the connection at once. Skipping costs the bytes' transfer,
	// no memory.
	OversizedRequestBytesMax int64
	// MultiReadBytesMax bounds the answer to one multiRead, which costs that much
	// memory until its client has taken it. A longer one is refused.
	MultiReadBytesMax int64
	// WatchBytesMax bounds the memory of one connection's watches, about 150 bytes
	// and the path for each. At the bound requests that would register more fail.
	WatchBytesMax int64
	// UnsentBytesMax bounds the answers that wait for clients which do not take
	// them, of all clients. The default is an eighth of the machine's memory or of
	// the control group's limit, and at least 128 MiB. 0 means without limit.
	UnsentBytesMax int64

	// DataDir holds the tree, and the file myid.
	DataDir string
	// DataLogDir holds the transaction log; DataDir unless set. Every write
	// waits for this disk.
	DataLogDir string
	// DataDirAutocreate creates missing data directories.
	DataDirAutocreate bool
	// DBAutocreate lets a server with an empty database start; when false, one
	// needs the file "initialize" in its data directory.
	DBAutocreate bool
	// PreAllocBytes is by how much a log file is padded ahead of its end.
	PreAllocBytes int64
	// SnapCount is after how many transactions a checkpoint is due at the
	// latest and a new log file begins.
	SnapCount int
	// SnapSizeLimitBytes is the same by size of the log; <= 0 means no limit.
	SnapSizeLimitBytes int64
	// TxnLogSizeLimitBytes is when a log file is full; < 0 means no limit.
	TxnLogSizeLimitBytes int64
	// ForceSync makes a write durable before it is acknowledged. Without it a
	// power failure loses acknowledged writes.
	ForceSync bool
	// FsyncWarningThreshold is how long one sync of the log may take before a
	// warning is logged; 0 warns every time.
	FsyncWarningThreshold time.Duration
	// FlushDelay and MaxBatchSize bound what one sync of the Java server's log
	// covers, by time and number. The log here goes by neither.
	FlushDelay   time.Duration
	MaxBatchSize int
	// CommitLogCount is how many committed transactions stay in memory for
	// peers that lag a little.
	CommitLogCount int
	// SnapshotCompression is "", "gz" or "snappy": how exported snapshots are
	// written.
	SnapshotCompression string
	// SnapshotTrustEmpty accepts a data directory with logs and no snapshot.
	SnapshotTrustEmpty bool
	// SerializeLastProcessedZxid writes the last zxid behind a snapshot.
	SerializeLastProcessedZxid bool
	// DigestEnabled keeps a digest of the tree that replicas compare.
	DigestEnabled bool
	// CloseSessionTxn lists the ephemerals inside the transaction that closes
	// their session.
	CloseSessionTxn bool
	// AutopurgeSnapRetainCount is how many old snapshots are kept, at least 3.
	AutopurgeSnapRetainCount int
	// AutopurgeInterval is how often old files are looked for; 0 never.
	AutopurgeInterval time.Duration

	// Container governs the removal of empty containers and expired znodes.
	Container Container
	// ExtendedTypesEnabled allows TTL znodes. It takes the top byte of
	// ephemeralOwner, and so limits server ids to 254.
	ExtendedTypesEnabled bool
	// Emulate353TTLNodes reads the TTL encoding of ZooKeeper 3.5.3.
	Emulate353TTLNodes bool
	// EnforceQuota refuses what exceeds a hard quota.
	EnforceQuota bool

	// Auth is who may do what, and how they prove it.
	Auth Auth
	// Throttle bounds the requests in the server.
	Throttle Throttle
	// ConnectionThrottle bounds the rate of new connections.
	ConnectionThrottle ConnectionThrottle
	// MaxResponseCacheSize is how many encoded getData replies ZooKeeper keeps;
	// <= 0 none.
	MaxResponseCacheSize int
	// MaxGetChildrenResponseCacheSize is the same for getChildren.
	MaxGetChildrenResponseCacheSize int
	// WatchManagerName is the Java class of the watch table; the one ending in
	// WatchManagerOptimized takes no addWatch.
	WatchManagerName string

	// Quorum is the ensemble: members, limits, elections.
	Quorum Quorum
	// Admin is the HTTP administration server.
	Admin Admin
	// Metrics is the metrics endpoint.
	Metrics Metrics
	// AuditEnabled writes an audit line for each change and session.
	AuditEnabled bool
	// AuditFile is where it goes; empty means into the server's log.
	AuditFile string

	// Tree bounds the tree in memory.
	Tree Tree
	// Checkpoint is when changes go from the log into the tree on disk.
	Checkpoint Checkpoint
	// Log is what is kept of the transaction log.
	Log Log
	// LogLevel is the least severe level logged: debug, info, warn or error.
	LogLevel string

	// Properties holds every system property the configuration sets, by its
	// full Java name ("zookeeper.snapCount", "jute.maxbuffer"), the unknown
	// ones included.
	Properties map[string]string

	origins map[string]Origin // by key, only of what was set
}

// Container governs the reaper of containers and TTL znodes.
type Container struct {
	// CheckInterval is the time between two rounds; never 0.
	CheckInterval time.Duration
	// MaxPerMinute is how many znodes may be removed in a minute; never 0.
	MaxPerMinute int
	// MaxNeverUsedInterval is after how long a container that never had a
	// child is removed; 0 means never.
	MaxNeverUsedInterval time.Duration
}

// Auth is the configuration of authentication and access control.
type Auth struct {
	// SkipACL turns every permission check off.
	SkipACL bool
	// EagerACLCheck checks permissions before a write is forwarded.
	EagerACLCheck bool
	// DigestEnabled registers the digest scheme.
	DigestEnabled bool
	// SuperDigest is the digest id, "super:<base64>", that may do everything;
	// empty means nobody.
	SuperDigest string
	// DigestAlg is the hash of the digest scheme in Java's naming, in upper
	// case: SHA1, SHA-256, ... Changing it invalidates existing digest ACLs.
	DigestAlg string
	// EnforceEnabled refuses requests of connections that hold no id of one of
	// EnforceSchemes.
	EnforceEnabled bool
	// EnforceSchemes are the schemes that satisfy EnforceEnabled.
	EnforceSchemes []string
	// RequireClientSASL is EnforceEnabled with the scheme sasl.
	RequireClientSASL bool
	// AllowSASLFailedClients keeps a connection whose SASL exchange failed.
	AllowSASLFailedClients bool
	// SuperUsers are the ids (x509 and SASL) that may do everything.
	SuperUsers []string
	// X509SuperUser is the subject that may do everything.
	X509SuperUser string
	// ForwardedFor has the administration server take a client's address from
	// the header X-Forwarded-For, which anybody can write who reaches it.
	ForwardedFor bool
	// EnsembleNames is the list of names the ensemble scheme accepts.
	EnsembleNames []string
	// Providers maps the suffix of authProvider.<suffix> to a Java class name.
	Providers map[string]string
}

// Throttle bounds the requests that are in the server at one time.
type Throttle struct {
	// GlobalOutstandingLimit is how many requests may be under way before
	// busy connections are no longer read; 0 any number. An ensemble of n > 2
	// divides it by n-1; OutstandingLimit does.
	GlobalOutstandingLimit int
	// MaxRequests is how many requests may be in the pipeline; 0 no limit.
	MaxRequests int
	// StallTime is how long a request waits for room before it looks again.
	StallTime time.Duration
	// DropStale ends the connections of requests that became stale while they
	// waited.
	DropStale bool
	// StaleConnectionCheck takes a request as stale when its connection is gone.
	StaleConnectionCheck bool
	// StaleLatencyCheck takes a request as stale when it waited longer than
	// its session's timeout.
	StaleLatencyCheck bool
	// ThrottledOpWait is the wait after which a request is refused as
	// throttled; 0 never.
	ThrottledOpWait time.Duration
	// LargeRequestMaxBytes bounds the sum of all large requests in flight.
	LargeRequestMaxBytes int
	// LargeRequestThresholdBytes is above which size a request is large; -1
	// means none is.
	LargeRequestThresholdBytes int
}

// ConnectionThrottle is a token bucket that new connections draw from.
type ConnectionThrottle struct {
	// Tokens is the size of the bucket; 0 turns the throttle off.
	Tokens int
	// FillTime is the time between two fills, FillCount the tokens each adds.
	FillTime  time.Duration
	FillCount int
	// FreezeTime is how often the drop probability is adapted; < 0 never.
	FreezeTime time.Duration
	// DropIncrease and DropDecrease are the steps of the drop probability,
	// DecreaseRatio the share of free tokens below which it falls.
	DropIncrease  float64
	DropDecrease  float64
	DecreaseRatio float64
	// WeightEnabled makes sessions cost different numbers of tokens:
	// GlobalWeight, RenewWeight, LocalWeight.
	WeightEnabled bool
	GlobalWeight  int
	RenewWeight   int
	LocalWeight   int
}

// Admin is the HTTP administration server.
type Admin struct {
	// Enabled starts it.
	Enabled bool
	// Address and Port are where it listens.
	Address string
	Port    int
	// IdleTimeout closes idle connections.
	IdleTimeout time.Duration
	// CommandURL is the path under which the commands lie.
	CommandURL string
	// PortUnification serves HTTP and HTTPS on Port; ForceHTTPS only HTTPS;
	// NeedClientAuth asks for a client certificate.
	PortUnification bool
	ForceHTTPS      bool
	NeedClientAuth  bool
	// SnapshotEnabled and RestoreEnabled allow these two commands,
	// RateLimiterInterval is the least time between two of each.
	SnapshotEnabled     bool
	RestoreEnabled      bool
	RateLimiterInterval time.Duration
}

// Metrics is the metrics provider.
type Metrics struct {
	// ClassName is the Java class: DefaultMetricsProvider,
	// PrometheusMetricsProvider or NullMetricsProvider with their packages.
	ClassName string
	// HTTPHost and HTTPPort are where Prometheus scrapes.
	HTTPHost string
	HTTPPort int
	// ExportRuntimeInfo adds the metrics of the process.
	ExportRuntimeInfo bool
}

// Prometheus reports whether the Prometheus endpoint is asked for.
func (m *Metrics) Prometheus() bool { return m.ClassName == prometheusProvider }

// Tree bounds the znode tree in memory.
type Tree struct {
	// BudgetBytes is how much memory the tree may take; what is beyond is read
	// back from disk on demand. The default is half of the machine's memory
	// or of the control group's limit. 0 means without limit.
	BudgetBytes int64
}

// Checkpoint is when changes go from the log into the tree on disk. Whatever
// comes first starts one; SnapCount counts too.
type Checkpoint struct {
	// LogBytes is how much log behind the last one makes the next one due. Less
	// means quicker restarts and more writing; never 0.
	LogBytes int64
}

// Log is what is kept of the transaction log.
type Log struct {
	// RetainBytes is how much log behind the checkpoint is kept for peers that
	// lag; 0 means the default, and < 0 keeps everything, without end.
	RetainBytes int64
}

// FourLetterWordAllowed reports whether the whitelist allows a word. srvr
// always is, isro when read-only mode is on.
func (c *Config) FourLetterWordAllowed(word string) bool {
	if word == "srvr" || word == "isro" && c.ReadOnlyMode {
		return true
	}
	for _, allowed := range c.FourLetterWords {
		if allowed == word || allowed == "*" {
			return true
		}
	}
	return false
}

// OutstandingLimit is GlobalOutstandingLimit as one server applies it: an
// ensemble of n > 2 voters divides it by n-1. It is at least 1 if there is one.
func (c *Config) OutstandingLimit() int {
	limit := c.Throttle.GlobalOutstandingLimit
	if limit == 0 {
		return 0
	}
	if n := len(c.Quorum.Voters()); c.Distributed() && n > 2 {
		limit /= n - 1
	}
	return max(limit, 1)
}

// SnapshotDir is where ZooKeeper would keep snapshots: DataDir/version-2.
func (c *Config) SnapshotDir() string { return filepath.Join(c.DataDir, versionDir) }

// TxnLogDir is where ZooKeeper would keep its log: DataLogDir/version-2.
func (c *Config) TxnLogDir() string { return filepath.Join(c.DataLogDir, versionDir) }

// versionDir is the sub-directory that names the file format's version.
const versionDir = "version-2"

// prometheusProvider is the class name that asks for the Prometheus endpoint.
const prometheusProvider = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
