package conf

var clientKeys = []Key{
	{
		Name: "clientPort", Max: 65535,
		Meaning: "Port for clients. Without a file 2181; in a file no default: 0 or absent means none, unless this server's server.N line names one.",
		field:   func(c *Config) any { return &c.ClientPort },
	},
	{
		Name:    "clientPortAddress",
		Meaning: "Address or host name to listen on; default all, without a file 127.0.0.1.",
		field:   func(c *Config) any { return &c.ClientPortAddress },
	},
	{
		Name: "secureClientPort", Max: 65535, Use: Kept,
		Meaning: "TLS port for clients; absent means none.",
		field:   func(c *Config) any { return &c.SecureClientPort },
	},
	{
		Name: "secureClientPortAddress", Use: Kept,
		Meaning: "Address of the TLS port; default all.",
		field:   func(c *Config) any { return &c.SecureClientPortAddress },
	},
	{
		Name: "client.portUnification", Source: Property, Default: "false", Use: Kept,
		Meaning: "The plain port accepts TLS too.", field: scratch[bool],
	},
	{
		Name: "clientPortListenBacklog", Default: "-1",
		Meaning: "Length of the accept queue, up to what the operating system allows; -1 and 0 leave it to that.",
		field:   func(c *Config) any { return &c.ClientPortListenBacklog },
	},
	{
		Name: "clientTcpKeepAlive", Source: Property, Default: "false",
		Meaning: "TCP keep-alive probes on client connections.",
		field:   func(c *Config) any { return &c.ClientTCPKeepAlive },
	},
	{
		Name: "maxClientCnxns", Default: "60", Unit: "connections", Min: 0, Max: maxInt32,
		Meaning: "Connections one source address may hold; 0 means without limit. More are closed right after accept.",
		field:   func(c *Config) any { return &c.MaxClientCnxns },
	},
	{
		Name: "maxCnxns", Source: Property, Default: "0", Unit: "connections", Min: 0, Max: maxInt32,
		Meaning: "Client connections in all; 0 is as many as the limit of open files leaves room for.",
		field:   func(c *Config) any { return &c.MaxCnxns },
	},
	{
		Name: "nio.sessionlessCnxnTimeout", Source: Property, Default: "10000", Unit: "ms", Min: 1, Max: maxInt32,
		Meaning: "A connection that has not asked for a session after this time is closed.",
		field:   func(c *Config) any { return &c.SessionlessCnxnTimeout },
	},
	{
		Name: "jute.maxbuffer", Source: JVM, Default: "1048575", Unit: "bytes", Min: 64, Max: maxInt32,
		Meaning: "Longest request packet; 0x notation is accepted. Responses are never limited.",
		field:   func(c *Config) any { return &c.MaxBufferBytes },
	},
	{
		Name: "jute.maxbuffer.extrasize", Source: Property, Unit: "bytes", ClampMin: 1024, Min: minInt32, Max: maxInt32,
		Meaning: "What the servers' own records may exceed jute.maxbuffer by; default jute.maxbuffer, at least 1024. Here it says what the members of an ensemble, Java servers among them, accept in a packet, beyond the 64 MiB that Quorate accepts anyway; records on disk may have up to 1 GiB.",
		field:   func(c *Config) any { return &c.MaxBufferExtraBytes },
	},
	{
		Name: "4lw.commands.whitelist", Source: Property, Default: "srvr",
		Meaning: "Four-letter words that are answered, separated by commas; * means all. srvr always is.",
		field:   func(c *Config) any { return &c.FourLetterWords },
	},
	{
		Name: "watchManagerName", Source: Property, Default: watchManager,
		Meaning: "Java class of the watch table; " + WatchManagerOptimized + " refuses addWatch, which is all it does here.",
		field:   func(c *Config) any { return &c.WatchManagerName },
	},
	{
		Name: "readonlymode.enabled", Source: JVM, Default: "false",
		Meaning: "A server without a quorum serves reads to clients that agreed to it.",
		field:   func(c *Config) any { return &c.ReadOnlyMode },
	},
}

var sessionKeys = []Key{
	{
		Name: "tickTime", Default: "3000", Unit: "ms", Min: 1, Max: maxInt32,
		Meaning: "The unit of session timeouts and ensemble limits.",
		field:   func(c *Config) any { return &c.TickTime },
	},
	{
		Name: "minSessionTimeout", Default: "-1", Unit: "ms", Min: -1, Max: maxInt32,
		Meaning: "Least timeout a session can have; -1 means two ticks.",
		field:   func(c *Config) any { return &c.MinSessionTimeout },
	},
	{
		Name: "maxSessionTimeout", Default: "-1", Unit: "ms", Min: -1, Max: maxInt32,
		Meaning: "Greatest timeout a session can have; -1 means twenty ticks.",
		field:   func(c *Config) any { return &c.MaxSessionTimeout },
	},
	{
		Name: "localSessionsEnabled", Default: "false",
		Meaning: "Sessions of an ensemble begin local to their server, without a write.",
		field:   func(c *Config) any { return &c.LocalSessionsEnabled },
	},
	{
		Name: "localSessionsUpgradingEnabled", Default: "false",
		Meaning: "A local session becomes a global one when it creates an ephemeral.",
		field:   func(c *Config) any { return &c.LocalSessionsUpgradingEnabled },
	},
	{
		Name: "closeSessionTxn.enabled", Source: Property, Default: "true",
		Meaning: "The transaction that closes a session lists the ephemerals it removes. Switch off only beside servers older than 3.6, on all servers alike: a Java server reads a log by its own setting.",
		field:   func(c *Config) any { return &c.CloseSessionTxn },
	},
}

var throttleKeys = with([]Key{
	{
		Name: "globalOutstandingLimit", Default: "0", Unit: "requests", Min: 0, Max: maxInt32, field: throttleField(func(t *Throttle) any { return &t.GlobalOutstandingLimit }),
		Meaning: "Requests under way in the server beyond which connections that wait for an answer are not read; an ensemble of n > 2 divides it by n-1. 0 means without limit; ZooKeeper has 1000 by default, here each connection has bounds of its own.",
	},
	{
		Name: "request_throttle_max_requests", Default: "0", Unit: "requests", Min: 0, Max: maxInt32, field: throttleField(func(t *Throttle) any { return &t.MaxRequests }),
		Meaning: "Requests of sessions under way in the server beyond which further ones wait for their turn, reads and pings too; 0 means without limit.",
	},
	{
		Name: "request_throttle_stall_time", Default: "100", Unit: "ms", Min: 1, Max: maxInt32, Use: Moot, field: throttleField(func(t *Throttle) any { return &t.StallTime }),
		Meaning: "How long ZooKeeper's throttle sleeps at most before it looks for room again. Here whoever makes room wakes who waits.",
	},
	{
		Name: "request_throttle_drop_stale", Default: "true", field: throttleField(func(t *Throttle) any { return &t.DropStale }),
		Meaning: "The connection of a request that became stale while it waited is closed; false serves it.",
	},
	{
		Name: "request_stale_connection_check", Default: "true", Use: Moot, field: throttleField(func(t *Throttle) any { return &t.StaleConnectionCheck }),
		Meaning: "A request is stale when its connection is closed. Here what waits for its turn waits in its connection, and ends with it in any case.",
	},
	{
		Name: "request_stale_latency_check", Default: "false", field: throttleField(func(t *Throttle) any { return &t.StaleLatencyCheck }),
		Meaning: "A request is stale when it has waited longer than its session's timeout.",
	},
	{
		Name: "throttled_op_wait_time", Default: "0", Unit: "ms", Min: 0, Max: maxInt32, field: throttleField(func(t *Throttle) any { return &t.ThrottledOpWait }),
		Meaning: "A request that waited longer because of request_throttle_max_requests is refused with -127 (ThrottledOp) and not executed, except pings and the end of a session; 0 never.",
	},
	{
		Name: "largeRequestMaxBytes", Default: "104857600", Unit: "bytes", Min: minInt32, Max: maxInt32, field: throttleField(func(t *Throttle) any { return &t.LargeRequestMaxBytes }),
		Meaning: "Sum of the sizes of large requests in flight beyond which a further one costs its connection.",
	},
	{
		Name: "largeRequestThreshold", Default: "-1", Unit: "bytes", Min: minInt32, Max: maxInt32, field: throttleField(func(t *Throttle) any { return &t.LargeRequestThresholdBytes }),
		Meaning: "A request that is longer is large; -1 means none is.",
	},
	{
		Name: "connection_throttle_tokens", Default: "0", Unit: "tokens", Min: 0, Max: maxInt32, field: connectionField(func(b *ConnectionThrottle) any { return &b.Tokens }),
		Meaning: "Size of the token bucket for new connections; 0 turns the throttle off.",
	},
	{
		Name: "connection_throttle_fill_time", Default: "1", Unit: "ms", Min: 1, Max: maxInt32, field: connectionField(func(b *ConnectionThrottle) any { return &b.FillTime }),
		Meaning: "Time between two fills of the bucket.",
	},
	{
		Name: "connection_throttle_fill_count", Default: "1", Unit: "tokens", Min: 0, Max: maxInt32, field: connectionField(func(b *ConnectionThrottle) any { return &b.FillCount }),
		Meaning: "Tokens a fill adds.",
	},
	{
		Name: "connection_throttle_freeze_time", Default: "-1", Unit: "ms", field: connectionField(func(b *ConnectionThrottle) any { return &b.FreezeTime }),
		Meaning: "Time between two changes of the drop probability; -1 means connections are never dropped at random.",
	},
	{
		Name: "connection_throttle_drop_increase", Default: "0.02", field: connectionField(func(b *ConnectionThrottle) any { return &b.DropIncrease }),
		Meaning: "Step by which the drop probability rises.",
	},
	{
		Name: "connection_throttle_drop_decrease", Default: "0.002", field: connectionField(func(b *ConnectionThrottle) any { return &b.DropDecrease }),
		Meaning: "Step by which the drop probability falls.",
	},
	{
		Name: "connection_throttle_decrease_ratio", Default: "0", field: connectionField(func(b *ConnectionThrottle) any { return &b.DecreaseRatio }),
		Meaning: "Share of free tokens above which the drop probability falls.",
	},
	{
		Name: "connection_throttle_weight_enabled", Default: "false", field: connectionField(func(b *ConnectionThrottle) any { return &b.WeightEnabled }),
		Meaning: "New, renewed and local sessions draw different numbers of tokens.",
	},
	{
		Name: "connection_throttle_global_session_weight", Default: "3", Unit: "tokens", Min: 1, Max: maxInt32, field: connectionField(func(b *ConnectionThrottle) any { return &b.GlobalWeight }),
		Meaning: "Tokens of a new session.",
	},
	{
		Name: "connection_throttle_renew_session_weight", Default: "2", Unit: "tokens", Min: 1, Max: maxInt32, field: connectionField(func(b *ConnectionThrottle) any { return &b.RenewWeight }),
		Meaning: "Tokens of a session that reconnects.",
	},
	{
		Name: "connection_throttle_local_session_weight", Default: "1", Unit: "tokens", Min: 1, Max: maxInt32, field: connectionField(func(b *ConnectionThrottle) any { return &b.LocalWeight }),
		Meaning: "Tokens of a local session.",
	},
}, func(k *Key) { k.Source = Property })

func throttleField(f func(*Throttle) any) func(*Config) any {
	return func(c *Config) any { return f(&c.Throttle) }
}

func connectionField(f func(*ConnectionThrottle) any) func(*Config) any {
	return func(c *Config) any { return f(&c.ConnectionThrottle) }
}

// with applies an edit to every key of a list.
func with(keys []Key, edit func(*Key)) []Key {
	for i := range keys {
		edit(&keys[i])
	}
	return keys
}

// scratch is the field of a key whose value is checked and kept in
// Config.Properties only.
func scratch[T any](*Config) any { return new(T) }

const (
	minInt32 = -1 << 31
	maxInt32 = 1<<31 - 1
)
