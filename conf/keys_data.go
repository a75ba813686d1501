package conf

var dataKeys = []Key{
	{
		Name:    "dataDir",
		Meaning: "Directory of the tree, and of the file myid. Required in a file; without one ./data.",
		field:   func(c *Config) any { return &c.DataDir },
	},
	{
		Name:    "dataLogDir",
		Meaning: "Directory of the transaction log, best on a disk of its own; default dataDir.",
		field:   func(c *Config) any { return &c.DataLogDir },
	},
	{
		Name: "datadir.autocreate", Source: Property, Default: "true",
		Meaning: "Create missing data directories.",
		field:   func(c *Config) any { return &c.DataDirAutocreate },
	},
	{
		Name: "db.autocreate", Source: Property, Default: "true",
		Meaning: "A server with an empty database may start and vote; when false only if the file initialize lies in dataDir, which the start removes. Else a member does not vote until it has been synchronized, and a server that is alone does not start.",
		field:   func(c *Config) any { return &c.DBAutocreate },
	},
	{
		Name: "preAllocSize", Source: Property, Default: "65536", Unit: "KiB", Min: 0, Max: maxInt32,
		Meaning: "By how much a log file is padded ahead of its end.",
		field:   func(c *Config) any { return &c.PreAllocBytes },
	},
	{
		Name: "snapCount", Source: Property, Default: "100000", Unit: "transactions", Min: minInt32, Max: maxInt32, ClampMin: 2,
		Meaning: "Transactions after which a checkpoint is due at the latest and a new log file begins.",
		field:   func(c *Config) any { return &c.SnapCount },
	},
	{
		Name: "snapSizeLimitInKb", Source: Property, Default: "4194304", Unit: "KiB",
		Meaning: "The same by size of the log; 0 or less means no limit. quorate.checkpoint.logBytes is smaller by default, and the smaller one counts.",
		field:   func(c *Config) any { return &c.SnapSizeLimitBytes },
	},
	{
		Name: "txnLogSizeLimitInKb", Source: Property, Default: "-1", Unit: "KiB",
		Meaning: "Size at which a log file is full; -1 means no limit.",
		field:   func(c *Config) any { return &c.TxnLogSizeLimitBytes },
	},
	{
		Name: "forceSync", Source: Property, Default: "yes", YesNo: true,
		Meaning: "A write is on disk before it is acknowledged; no loses acknowledged writes with the power. Only no switches it off.",
		field:   func(c *Config) any { return &c.ForceSync },
	},
	{
		Name: "fsync.warningthresholdms", Source: Property, Default: "1000", Unit: "ms", Min: 0, Max: maxInt32,
		Meaning: "A sync of the log that takes longer is logged.",
		field:   func(c *Config) any { return &c.FsyncWarningThreshold },
	},
	{
		Name: "flushDelay", Source: Property, Use: Moot, Default: "0", Unit: "ms", Min: 0, Max: maxInt32,
		Meaning: "How long the log of the Java server may gather transactions before it syncs. Here it gathers while the disk works and no longer, as with 0: nobody waits for a sync that could begin.",
		field:   func(c *Config) any { return &c.FlushDelay },
	},
	{
		Name: "maxBatchSize", Source: Property, Use: Moot, Default: "1000", Unit: "transactions", Min: 1, Max: maxInt32,
		Meaning: "Transactions one sync of the Java server covers at most. Here it covers what has gathered; a larger batch is never slower than two.",
		field:   func(c *Config) any { return &c.MaxBatchSize },
	},
	{
		Name: "snapshot.compression.method", Source: Property, Choices: []string{"", "gz", "snappy"},
		Meaning: "Compression of exported snapshots: gz, snappy, or empty for none.",
		field:   func(c *Config) any { return &c.SnapshotCompression },
	},
	{
		Name: "snapshot.trust.empty", Source: Property, Default: "false",
		Meaning: "Accept a data directory that has logs and no snapshot.",
		field:   func(c *Config) any { return &c.SnapshotTrustEmpty },
	},
	{
		Name: "serializeLastProcessedZxid.enabled", Source: Property, Default: "true",
		Meaning: "Exported snapshots name the last zxid; older servers skip it.",
		field:   func(c *Config) any { return &c.SerializeLastProcessedZxid },
	},
	{
		Name: "digest.enabled", Source: Property, Default: "true",
		Meaning: "Keep a digest of the tree, which replicas compare.",
		field:   func(c *Config) any { return &c.DigestEnabled },
	},
	{
		Name: "autopurge.snapRetainCount", Use: Moot, Default: "3", Unit: "snapshots", Min: minInt32, Max: maxInt32, ClampMin: 3,
		Meaning: "Old snapshots the Java server keeps, at least 3. Checkpoints here replace one another.",
		field:   func(c *Config) any { return &c.AutopurgeSnapRetainCount },
	},
	{
		Name: "autopurge.purgeInterval", Use: Moot, Default: "0", Unit: "h",
		Meaning: "How often the Java server removes old files; 0 or less never. Here every checkpoint removes what it made needless, whatever this says: see quorate.log.retainBytes.",
		field:   func(c *Config) any { return &c.AutopurgeInterval },
	},
}

var reaperKeys = []Key{
	{
		Name: "znode.container.checkIntervalMs", Source: JVM, Default: "60000", Unit: "ms", Min: 1, Max: maxInt32,
		Meaning: "Time between two searches for empty containers and expired znodes.",
		field:   func(c *Config) any { return &c.Container.CheckInterval },
	},
	{
		Name: "znode.container.maxPerMinute", Source: JVM, Default: "10000", Unit: "znodes", Min: 1, Max: maxInt32,
		Meaning: "Znodes removed in a minute at most.",
		field:   func(c *Config) any { return &c.Container.MaxPerMinute },
	},
	{
		Name: "znode.container.maxNeverUsedIntervalMs", Source: JVM, Default: "0", Unit: "ms", Min: 0, Max: maxInt32,
		Meaning: "Age at which a container that never had a child is removed; 0 never.",
		field:   func(c *Config) any { return &c.Container.MaxNeverUsedInterval },
	},
	{
		Name: "extendedTypesEnabled", Source: Property, Default: "false",
		Meaning: "Allow TTL znodes. Server ids must then be below 255.",
		field:   func(c *Config) any { return &c.ExtendedTypesEnabled },
	},
	{
		Name: "emulate353TTLNodes", Source: Property, Default: "false",
		Meaning: "Read the TTL encoding of ZooKeeper 3.5.3.",
		field:   func(c *Config) any { return &c.Emulate353TTLNodes },
	},
	{
		Name: "enforceQuota", Source: Property, Default: "false",
		Meaning: "Refuse what would exceed a hard quota.",
		field:   func(c *Config) any { return &c.EnforceQuota },
	},
}

var nativeKeys = with([]Key{
	{
		Name: "quorate.tree.budgetBytes", Unit: "bytes", Min: 0, Max: maxInt64,
		Meaning: "Memory for the tree; what does not fit is read back from disk when it is needed. 0 means without limit; default half of the machine's memory, or of the control group's limit.",
		field:   func(c *Config) any { return &c.Tree.BudgetBytes },
	},
	{
		Name: "quorate.oversizedRequestBytesMax", Default: "64m", Unit: "bytes", Min: 0, Max: maxInt32,
		Meaning: "A request longer than jute.maxbuffer and up to this is skipped and refused while its connection lives on; a longer one costs the connection. 0 is ZooKeeper's behaviour.",
		field:   func(c *Config) any { return &c.OversizedRequestBytesMax },
	},
	{
		Name: "quorate.multiReadBytesMax", Default: "64m", Unit: "bytes", Min: 1 << 20, Max: maxInt32,
		Meaning: "Longest answer to a multiRead; a list that would have a longer one is refused with MARSHALLINGERROR (-5). A request of 1 MB can ask for one large znode 40,000 times.",
		field:   func(c *Config) any { return &c.MultiReadBytesMax },
	},
	{
		Name: "quorate.watchBytesMax", Default: "128m", Unit: "bytes", Min: 1 << 20, Max: maxInt64,
		Meaning: "Memory that the watches of one connection may take, about 150 bytes and the path for each. A request that would register one beyond that is refused with BADARGUMENTS (-8), and a setWatches ends its connection besides.",
		field:   func(c *Config) any { return &c.WatchBytesMax },
	},
	{
		Name: "quorate.unsentBytesMax", Unit: "bytes", Min: 0, Max: maxInt64,
		Meaning: "Memory for the answers that wait for clients which do not take them, of all clients. Beyond it a connection is closed on which 1 MiB waits and more comes. 0 means without limit; default an eighth of the machine's memory, or of the control group's limit, and at least 128 MiB.",
		field:   func(c *Config) any { return &c.UnsentBytesMax },
	},
	{
		Name: "quorate.checkpoint.logBytes", Default: "256m", Unit: "bytes", Min: 1 << 20, Max: maxInt64,
		Meaning: "Size of the log behind the last checkpoint that makes the next one due, beside snapCount. Less means quicker restarts and more writing.",
		field:   func(c *Config) any { return &c.Checkpoint.LogBytes },
	},
	{
		Name: "quorate.log.retainBytes", Default: "64m", Unit: "bytes", Min: -1, Max: maxInt64,
		Meaning: "Log kept behind the checkpoint for peers that lag; 0 means the default, -1 keeps everything without end.",
		field:   func(c *Config) any { return &c.Log.RetainBytes },
	},
	{
		Name: "quorate.ensemble.holdClientsMs", Default: "5000", Unit: "ms", Min: 0, Max: maxInt32,
		Meaning: "How long clients stay connected, their requests waiting, while the ensemble has no leader; longer than that, and they are closed to look elsewhere. 0 closes them at once, as ZooKeeper does.",
		field:   func(c *Config) any { return &c.Quorum.HoldClients },
	},
	{
		Name: "quorate.ensemble.linearizableReads", Default: "false",
		Meaning: "Every read waits until the leader has confirmed by a quorum that it leads, as if the client had sent sync before it; many reads share one confirmation.",
		field:   func(c *Config) any { return &c.Quorum.LinearizableReads },
	},
	{
		Name: "quorate.ensemble.javaPeers", Default: "true",
		Meaning: "There may be Java servers in the ensemble. false spares what is done for their sake alone: a snapshot for a member whose log only has to be shortened.",
		field:   func(c *Config) any { return &c.Quorum.JavaPeers },
	},
	{
		Name:    "quorate.audit.file",
		Meaning: "File to which audit.enable appends its lines; empty writes them into the server's log.",
		field:   func(c *Config) any { return &c.AuditFile },
	},
	{
		Name: "quorate.logLevel", Default: "info", Choices: []string{"debug", "info", "warn", "error"},
		Meaning: "Least severe level that is logged.",
		field:   func(c *Config) any { return &c.LogLevel },
	},
}, func(k *Key) { k.Source = Native })

const maxInt64 = 1<<63 - 1
