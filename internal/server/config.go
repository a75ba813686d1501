package server

import (
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/znode"
)

// Config is what a server needs to know. The zero value of a field means what
// its comment says; [Config.fillDefaults] is the one place that says so in
// code.
type Config struct {
	// ClientAddrs are the host:port pairs to listen on for clients.
	ClientAddrs []string
	// DataDir holds the tree at rest; LogDir the transaction log ("" = DataDir).
	DataDir, LogDir string
	// TickTime is the unit of session expiry; 0 = 3 s, as ZooKeeper.
	TickTime time.Duration
	// SessionTimeoutMin and Max bound what clients may ask for; 0 = 2 and 20
	// ticks.
	SessionTimeoutMin, SessionTimeoutMax time.Duration
	// ConnsPerIP and ConnsMax bound connections (maxClientCnxns, maxCnxns);
	// 0 = no bound.
	ConnsPerIP, ConnsMax int
	// ConnThrottle bounds the rate of sessions; nil = it does not.
	ConnThrottle *ConnThrottle
	// Requests bounds the requests of all clients together.
	Requests RequestLimits
	// HandshakeTimeout ends connections that open no session
	// (nio.sessionlessCnxnTimeout); 0 = 10 s.
	HandshakeTimeout time.Duration
	// ListenBacklog is how many connections wait to be accepted
	// (clientPortListenBacklog); 0 or less = what the operating system allows.
	ListenBacklog int
	// TCPKeepAlive probes idle connections (clientTcpKeepAlive).
	TCPKeepAlive bool
	// RequestBytesMax is jute.maxbuffer; 0 = 1,048,575.
	RequestBytesMax int
	// RecordExtraBytes is by how much servers' own records may exceed that on their way
	// between members (jute.maxbuffer.extrasize); 0 = RequestBytesMax.
	RecordExtraBytes int
	// OversizedBytesMax is the longest request that is skipped and refused
	// instead of ending its connection; 0 = never skip.
	OversizedBytesMax int
	// MultiReadBytesMax bounds the answer to one multiRead; 0 = 64 MiB.
	MultiReadBytesMax int
	// WatchBytesMax bounds what the watches of one connection take; 0 = 128 MiB.
	WatchBytesMax int64
	// UnsentBytesMax bounds what waits for clients that do not take it, of all of
	// them together; 0 = no bound.
	UnsentBytesMax int64
	// Words lists the four-letter words that may be used besides srvr; "*" is
	// all of them.
	Words []string
	// ExtendedTypes admits TTL nodes; Emulate353TTL reads any negative owner as
	// a TTL node of 3.5.3.
	ExtendedTypes, Emulate353TTL bool
	// EnforceQuota makes hard quotas refuse.
	EnforceQuota bool
	// NoDigest leaves the tree's digest out of transactions (digest.enabled).
	NoDigest bool
	// BareCloseSession leaves the ephemerals out of the transaction that closes a
	// session (closeSessionTxn.enabled=false).
	BareCloseSession bool
	// ReconfigEnabled decides how reconfig is refused.
	ReconfigEnabled bool
	// Access is who may do what.
	Access Access
	// WatchesOptimized refuses addWatch, as WatchManagerOptimized does.
	WatchesOptimized bool
	// ServerID is the top byte of session ids; 0 = 1. In an ensemble it is the
	// own id there, whatever stands here.
	ServerID int64
	// Ensemble makes the server a member of an ensemble; nil = it is alone.
	Ensemble *EnsembleConfig

	// TreeBytes is the memory budget of the tree; 0 = no limit.
	TreeBytes int64
	// SnapCount is after how many transactions a checkpoint is due; 0 = 100,000.
	SnapCount int
	// CheckpointLogBytes is after how many log bytes one is due; 0 = 256 MiB.
	CheckpointLogBytes int64
	// LogRetainBytes is how much log is kept behind the checkpoint for peers
	// that lag; 0 = 64 MiB, negative = all.
	LogRetainBytes int64
	// PreallocBytes is by how much a log file is grown at once; 0 = 64 MiB.
	PreallocBytes int64
	// LogRollBytes starts a new log file at this size; 0 = at checkpoints only.
	LogRollBytes int64
	// SyncWarn is how long a sync of the log may take before it is logged; 0 = 1 s.
	SyncWarn time.Duration
	// NoSync acknowledges writes that are not on disk (forceSync=no).
	NoSync bool
	// SnapshotCompression packs snapshots written for Java servers: "", "gz" or
	// "snappy". SnapshotLastZxid adds what 3.9 writes and older ones skip
	// (serializeLastProcessedZxid.enabled).
	SnapshotCompression string
	SnapshotLastZxid    bool
	// NoDirAutocreate refuses to make missing data directories
	// (datadir.autocreate=false).
	NoDirAutocreate bool
	// NoDBAutocreate refuses an empty database unless the file initialize lies in
	// DataDir (db.autocreate=false): alone, the server does not start; in an
	// ensemble it does not vote before it has been synchronized.
	NoDBAutocreate bool
	// TrustEmptySnapshot accepts a log without a snapshot at the import of a
	// Java data directory.
	TrustEmptySnapshot bool

	// ReapInterval, ReapPerMinute and NeverUsed govern containers and TTL nodes
	// (znode.container.*); 0 = 60 s, 10,000 and never.
	ReapInterval  time.Duration
	ReapPerMinute int
	NeverUsed     time.Duration

	// Admin is the HTTP administration server, Prometheus the metrics endpoint;
	// nil = none.
	Admin      *AdminConfig
	Prometheus *PrometheusConfig

	// Audit is the audit log; nil = none.
	Audit *AuditConfig

	// Log receives what operators should know; nil = nothing.
	Log *zap.Logger
	// Version is what srvr and envi announce.
	Version string

	hooks hooks
}

// RequestLimits bounds the requests that are under way at one time, as ZooKeeper's
// keys do; see [replica.Limits]. 0 is no bound.
type RequestLimits struct {
	// Outstanding is globalOutstandingLimit, MaxRequests request_throttle_max_requests,
	// ThrottledWait throttled_op_wait_time.
	Outstanding, MaxRequests int
	ThrottledWait            time.Duration
	// DropStale and StaleLatency are request_throttle_drop_stale and
	// request_stale_latency_check.
	DropStale, StaleLatency bool
	// LargeBytes is largeRequestThreshold, LargeBytesMax largeRequestMaxBytes.
	LargeBytes, LargeBytesMax int
}

func (r *RequestLimits) limits() replica.Limits {
	return replica.Limits{
		Outstanding: r.Outstanding, MaxRequests: r.MaxRequests, ThrottledMillis: r.ThrottledWait.Milliseconds(),
		StaleLatency: r.StaleLatency, DropStale: r.DropStale,
		LargeBytes: r.LargeBytes, LargeBytesMax: r.LargeBytesMax,
	}
}

// hooks are how tests reach what is below the server. The zero value is none.
type hooks struct {
	// log and store change how the two storages are opened: their file systems.
	log   func(*txnlog.Options)
	store func(*znode.StoreOptions)
	// proposed sees each batch before it goes to the log.
	proposed func(*txnlog.Batch)
	// polled is called by pollers when they have been told what to read.
	polled func()
}

// Access configures authentication and access control.
type Access struct {
	// SkipACL turns permission checks off.
	SkipACL bool
	// DigestDisabled removes the digest scheme. DigestAlg is its hash ("" =
	// SHA1), SuperDigest the id that may do everything ("" = nobody).
	DigestDisabled         bool
	DigestAlg, SuperDigest string
	// EnsembleNamed adds the scheme by which clients say which ensemble they mean, and
	// EnsembleNames are the names that are this one's; nil = any.
	EnsembleNamed bool
	EnsembleNames []string
	// Enforce lists schemes of which every connection must hold one.
	Enforce []string
}

func (c *Config) fillDefaults() {
	if c.LogDir == "" {
		c.LogDir = c.DataDir
	}
	setDefault(&c.TickTime, 3*time.Second)
	setDefault(&c.SessionTimeoutMin, 2*c.TickTime)
	setDefault(&c.SessionTimeoutMax, 20*c.TickTime)
	setDefault(&c.HandshakeTimeout, 10*time.Second)
	setDefault(&c.RequestBytesMax, 0xfffff)
	setDefault(&c.RecordExtraBytes, c.RequestBytesMax)
	if c.Ensemble != nil {
		c.Ensemble.fillDefaults()
		c.ServerID = c.Ensemble.MyID
	} else {
		setDefault(&c.ServerID, 1)
	}
	setDefault(&c.SnapCount, 100_000)
	setDefault(&c.CheckpointLogBytes, 256<<20)
	setDefault(&c.LogRetainBytes, 64<<20)
	setDefault(&c.PreallocBytes, 64<<20)
	setDefault(&c.SyncWarn, time.Second)
	setDefault(&c.ReapInterval, time.Minute)
	setDefault(&c.ReapPerMinute, 10_000)
	if c.Admin != nil {
		c.Admin.fillDefaults()
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Version == "" {
		c.Version = "3.9.5-quorate"
	}
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
