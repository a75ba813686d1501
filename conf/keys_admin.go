package conf

import "slices"

var adminKeys = with([]Key{
	{
		Name: "admin.enableServer", Default: "true", field: adminField(func(a *Admin) any { return &a.Enabled }),
		Meaning: "Serve the administration commands over HTTP. If the port is taken, the server runs without them and says so.",
	},
	{
		Name: "admin.serverAddress", Default: "0.0.0.0", field: adminField(func(a *Admin) any { return &a.Address }),
		Meaning: "Address to listen on; without a file 127.0.0.1.",
	},
	{
		Name: "admin.serverPort", Default: "8080", Max: 65535, field: adminField(func(a *Admin) any { return &a.Port }),
		Meaning: "Port to listen on.",
	},
	{
		Name: "admin.idleTimeout", Default: "30000", Unit: "ms", Min: 0, Max: maxInt32, field: adminField(func(a *Admin) any { return &a.IdleTimeout }),
		Meaning: "Idle connections are closed after this time.",
	},
	{
		Name: "admin.commandURL", Default: "/commands", field: adminField(func(a *Admin) any { return &a.CommandURL }),
		Meaning: "Path under which the commands lie.",
	},
	{
		Name: "admin.httpVersion", Default: "11", Use: Moot, field: scratch[int],
		Meaning: "HTTP version in Jetty's numbering.",
	},
	{
		Name: "admin.portUnification", Default: "false", Use: Kept, field: adminField(func(a *Admin) any { return &a.PortUnification }),
		Meaning: "HTTP and HTTPS on the same port.",
	},
	{
		Name: "admin.forceHttps", Default: "false", Use: Kept, field: adminField(func(a *Admin) any { return &a.ForceHTTPS }),
		Meaning: "HTTPS only.",
	},
	{
		Name: "admin.needClientAuth", Default: "false", Use: Kept, field: adminField(func(a *Admin) any { return &a.NeedClientAuth }),
		Meaning: "Ask for a client certificate.",
	},
	{
		Name: "admin.snapshot.enabled", Default: "true", field: adminField(func(a *Admin) any { return &a.SnapshotEnabled }),
		Meaning: "Allow the command snapshot.",
	},
	{
		Name: "admin.restore.enabled", Default: "true", Use: Kept, field: adminField(func(a *Admin) any { return &a.RestoreEnabled }),
		Meaning: "Allow the command restore. There is none: docs/operations.md tells how a snapshot is restored.",
	},
	{
		Name: "admin.rateLimiterIntervalInMS", Default: "300000", Unit: "ms", Min: 0, Max: maxInt32, field: adminField(func(a *Admin) any { return &a.RateLimiterInterval }),
		Meaning: "Least time between two snapshots.",
	},
	{
		Name: "audit.enable", Default: "false", field: func(c *Config) any { return &c.AuditEnabled },
		Meaning: "Write a line for every change that a client of this server asks for, in ZooKeeper's form, into quorate.audit.file.",
	},
	{
		Name: "audit.impl.class", Default: "org.apache.zookeeper.audit.Slf4jAuditLogger", Use: Kept, field: scratch[string],
		Meaning: "Java class that writes it.",
	},
}, func(k *Key) { k.Source = Property })

func adminField(f func(*Admin) any) func(*Config) any {
	return func(c *Config) any { return f(&c.Admin) }
}

var metricsKeys = []Key{
	{
		Name: "metricsProvider.className", Default: defaultProvider, Choices: []string{defaultProvider, nullProvider, prometheusProvider}, field: metricsField(func(m *Metrics) any { return &m.ClassName }),
		Meaning: "Java class of the provider; that of Prometheus opens an endpoint, and the word mntr names its samples then. The other two are one here.",
	},
	{
		Name: "metricsProvider.httpHost", Default: "0.0.0.0", field: metricsField(func(m *Metrics) any { return &m.HTTPHost }),
		Meaning: "Address of the Prometheus endpoint.",
	},
	{
		Name: "metricsProvider.httpPort", Default: "7000", Max: 65535, field: metricsField(func(m *Metrics) any { return &m.HTTPPort }),
		Meaning: "Port of the Prometheus endpoint. If it is taken, the server does not start.",
	},
	{
		Name: "metricsProvider.exportJvmInfo", Default: "true", field: metricsField(func(m *Metrics) any { return &m.ExportRuntimeInfo }),
		Meaning: "Add the metrics of the process and of Go, which stand in for the ones of the JVM.",
	},
	{Name: "metricsProvider.numWorkerThreads", Default: "1", Use: Moot, field: scratch[int], Meaning: "Threads that take metrics."},
	{Name: "metricsProvider.maxQueueSize", Default: "1000000", Use: Moot, field: scratch[int], Meaning: "Queue before those threads."},
	{Name: "metricsProvider.workerShutdownTimeoutMs", Default: "1000", Unit: "ms", Use: Moot, field: scratch[int], Meaning: "Time they have to finish."},
}

func metricsField(f func(*Metrics) any) func(*Config) any {
	return func(c *Config) any { return f(&c.Metrics) }
}

const (
	defaultProvider = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider"
	nullProvider    = "org.apache.zookeeper.metrics.impl.NullMetricsProvider"
)

// javaKeys tune threads, buffers and caches of the Java server. They are
// checked, kept and otherwise without effect.
func javaKeys() []Key {
	return with(slices.Concat(javaPropertyKeys, javaOwnKeys), func(k *Key) { k.Use = Moot })
}

var javaPropertyKeys = with([]Key{
	{Name: "serverCnxnFactory", Default: "org.apache.zookeeper.server.NIOServerCnxnFactory", Meaning: "Java class of the network layer.", field: scratch[string]},
	{Name: "nio.numSelectorThreads", Meaning: "Selector threads.", field: scratch[int]},
	{Name: "nio.numWorkerThreads", Meaning: "Worker threads.", field: scratch[int]},
	{Name: "nio.directBufferBytes", Default: "65536", Unit: "bytes", Meaning: "Size of direct buffers.", field: scratch[int]},
	{Name: "nio.shutdownTimeout", Default: "5000", Unit: "ms", Meaning: "Time for threads to end.", field: scratch[int]},
	{Name: "netty.advancedFlowControl.enabled", Default: "false", Meaning: "Flow control of Netty.", field: scratch[bool]},
	{Name: "netty.server.outstandingHandshake.limit", Default: "-1", Meaning: "Handshakes under way in Netty.", field: scratch[int]},
	{Name: "netty.server.earlyDropSecureConnectionHandshakes", Default: "false", Meaning: "Drop handshakes early in Netty.", field: scratch[bool]},
	{Name: "maxResponseCacheSize", Default: "400", Unit: "replies", Meaning: "Encoded getData replies the Java server keeps; 0 or less none.", field: func(c *Config) any { return &c.MaxResponseCacheSize }},
	{Name: "maxGetChildrenResponseCacheSize", Default: "400", Unit: "replies", Meaning: "The same for getChildren.", field: func(c *Config) any { return &c.MaxGetChildrenResponseCacheSize }},
	{Name: "intBufferStartingSizeBytes", Default: "1024", Unit: "bytes", ClampMin: 32, Min: minInt32, Max: maxInt32, Meaning: "First size of encoding buffers.", field: scratch[int]},
	{Name: "maxWriteQueuePollTime", Unit: "ms", Meaning: "How long the log waits for another transaction before it syncs, with flushDelay; default a third of that.", field: scratch[int]},
	{Name: "watcherCleanThreadsNum", Default: "2", Meaning: "Threads that remove dead watchers.", field: scratch[int]},
	{Name: "watcherCleanThreshold", Default: "1000", Meaning: "Dead watchers that start them.", field: scratch[int]},
	{Name: "watcherCleanIntervalInSeconds", Default: "600", Unit: "s", Meaning: "Time that starts them.", field: scratch[int]},
	{Name: "maxInProcessingDeadWatchers", Default: "-1", Meaning: "Dead watchers under way.", field: scratch[int]},
	{Name: "bitHashCacheSize", Default: "10", Meaning: "Cache of the optimized watch table.", field: scratch[int]},
	{Name: "request_throttler.shutdownTimeout", Default: "10000", Unit: "ms", Meaning: "Time for the throttler to drain.", field: scratch[int]},
	{Name: "commitProcessor.numWorkerThreads", Meaning: "Threads of the commit processor.", field: scratch[int]},
	{Name: "commitProcessor.maxReadBatchSize", Default: "-1", Meaning: "Reads between two looks for commits.", field: scratch[int]},
	{Name: "commitProcessor.maxCommitBatchSize", Default: "1", Meaning: "Commits between two looks for reads.", field: scratch[int]},
	{Name: "commitProcessor.shutdownTimeout", Default: "5000", Unit: "ms", Meaning: "Time for the commit processor to end.", field: scratch[int]},
	{Name: "messageTracker.Enabled", Default: "false", Meaning: "Remember the last messages of each learner.", field: scratch[bool]},
	{Name: "messageTracker.BufferSize", Default: "10", Meaning: "How many.", field: scratch[int]},
	{Name: "pathStats.enabled", Default: "false", Meaning: "Count requests by path.", field: scratch[bool]},
	{Name: "pathStats.slotCapacity", Default: "60", Meaning: "Slots of these counts.", field: scratch[int]},
	{Name: "pathStats.slotDuration", Default: "15", Unit: "s", Meaning: "Length of a slot.", field: scratch[int]},
	{Name: "pathStats.maxDepth", Default: "6", Meaning: "Depth of paths counted.", field: scratch[int]},
	{Name: "pathStats.sampleRate", Default: "0.1", Meaning: "Share of requests counted.", field: scratch[float64]},
	{Name: "pathStats.initialDelay", Default: "5", Unit: "s", Meaning: "Time before the first count.", field: scratch[int]},
	{Name: "pathStats.delay", Default: "5", Unit: "s", Meaning: "Time between two counts.", field: scratch[int]},
	{Name: "pathStats.topPathMax", Default: "20", Meaning: "Paths reported.", field: scratch[int]},
}, func(k *Key) { k.Source = Property })

var javaOwnKeys = []Key{
	{Name: "jvm.pause.monitor", Default: "false", Meaning: "Watch for pauses of the JVM.", field: scratch[bool]},
	{Name: "jvm.pause.sleep.time.ms", Default: "500", Unit: "ms", Meaning: "How often.", field: scratch[int]},
	{Name: "jvm.pause.warn-threshold.ms", Default: "10000", Unit: "ms", Meaning: "A longer pause is a warning.", field: scratch[int]},
	{Name: "jvm.pause.info-threshold.ms", Default: "1000", Unit: "ms", Meaning: "A longer pause is logged.", field: scratch[int]},
}
