package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/quorate/quorate/conf"
	"github.com/quorate/quorate/internal/server"
	"github.com/quorate/quorate/internal/sysmon"
)

const serverLong = `Runs a server. Without a file it is a standalone one on 127.0.0.1:2181 with its
data under ./data. With a zoo.cfg, also an unchanged one of a Java
installation, it does as that says; docs/configuration.md lists the keys. Any
key can be given by the environment too, as QUORATE_<KEY>, or by --set.

SIGTERM and SIGINT stop it: what was committed is answered, a checkpoint is
written, and the exit code is 0.`

// newServerCmd returns the command that runs a server.
func newServerCmd() *cobra.Command {
	var sets []string
	cmd := &cobra.Command{
		Use:     "server [zoo.cfg]",
		Short:   "Run a server",
		Long:    serverLong,
		Example: "  quorate server\n  quorate server /etc/zookeeper/conf/zoo.cfg --set snapCount=50000",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := ""
			if len(args) == 1 {
				path = args[0]
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return runServer(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), path, sets)
		},
	}
	cmd.Flags().StringArrayVar(&sets, "set", nil, "set a configuration key: `key=value`; may be repeated")
	return cmd
}

func runServer(ctx context.Context, stdout, stderr io.Writer, path string, sets []string) error {
	cfg, warnings, err := conf.Load(path, os.Environ(), sets)
	if err != nil {
		return err
	}
	log := newLogger(stderr, cfg.LogLevel)
	defer func() { _ = log.Sync() }()
	for _, w := range warnings {
		log.Warn("configuration", zap.String("what", w.String()))
	}
	if err := tuneRuntime(); err != nil {
		log.Debug("the scheduler's monitor", zap.Error(err))
	}
	s, err := openServer(ctx, cfg, log)
	if err != nil {
		return err
	}
	announce(stdout, cfg, s)
	if err := s.Run(ctx); !errors.Is(err, server.ErrStopped) {
		return err
	}
	fmt.Fprintln(stdout, "quorate: stopped")
	return nil
}

// tuneRuntime lets the collector run less often than Go's default would on a
// heap this small: the tree is outside of it, so what is left is requests.
//
// Its error says what could not be done; the server runs as well, a little less fast.
func tuneRuntime() error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
		heapFloor = make([]byte, heapFloorBytes)
	}
	// The server's pollers wait in the kernel, and so do its loop and the writers of the log
	// and of checkpoints, each in the place of a processor until the scheduler's
	// monitor takes it away. So there are places for all of them, and the monitor
	// need not look every 20 us.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.NumCPU() + runtime.NumCPU()/2 + placesInKernel)
	}
	return sysmon.Relax(sysmon.Slack)
}

// heapFloor is never read or written, and so takes no memory. It counts as what lives on the heap, of which there are a
// few MB: the collector runs after 40 MB more, and not several times a second under load. A heap that is large grows no
// more by it.
var heapFloor []byte //nolint:unused // it is there to be counted

const heapFloorBytes = 8 << 20

// placesInKernel is how many goroutines may be in the kernel besides the pollers of
// clients: to write the log, a checkpoint, and Pebble's merges, and to wait for other servers and for work.
const placesInKernel = 5

// announce says where the server is and what it found.
func announce(w io.Writer, cfg *conf.Config, s *server.Server) {
	for _, a := range s.Addrs() {
		fmt.Fprintf(w, "quorate: listening on %s\n", a)
	}
	if a := s.AdminAddr(); a != "" {
		fmt.Fprintf(w, "quorate: commands at http://%s%s\n", a, cfg.Admin.CommandURL)
	}
	if a := s.PrometheusAddr(); a != "" {
		fmt.Fprintf(w, "quorate: metrics at http://%s/metrics\n", a)
	}
	fmt.Fprintf(w, "quorate: data in %s", cfg.DataDir)
	if cfg.DataLogDir != cfg.DataDir {
		fmt.Fprintf(w, ", log in %s", cfg.DataLogDir)
	}
	r := s.Recovery()
	how := ""
	if r.Imported {
		how = ", imported from ZooKeeper's files"
	}
	fmt.Fprintf(w, "\nquorate: %d znodes, zxid 0x%x (checkpoint 0x%x, %d transactions replayed%s) in %s\n",
		r.Znodes, r.Zxid, r.Checkpoint, r.Replayed, how, r.Took.Round(time.Millisecond/10))
}

func newLogger(w io.Writer, level string) *zap.Logger {
	lvl, err := zapcore.ParseLevel(level)
	if err != nil {
		lvl = zapcore.InfoLevel
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.ISO8601TimeEncoder
	enc.EncodeDuration = zapcore.StringDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(enc), zapcore.AddSync(w), lvl))
}

// serverConfig translates the configuration into what a server takes.
func serverConfig(c *conf.Config, log *zap.Logger) server.Config {
	sc := server.Config{
		DataDir: c.DataDir, LogDir: c.DataLogDir,
		TickTime:          c.TickTime,
		SessionTimeoutMin: c.MinSessionTimeout, SessionTimeoutMax: c.MaxSessionTimeout,
		ConnsPerIP: c.MaxClientCnxns, ConnsMax: c.MaxCnxns,
		ConnThrottle:     connThrottle(c),
		Requests:         requestLimits(c),
		HandshakeTimeout: c.SessionlessCnxnTimeout, TCPKeepAlive: c.ClientTCPKeepAlive,
		ListenBacklog:   c.ClientPortListenBacklog,
		RequestBytesMax: c.MaxBufferBytes, RecordExtraBytes: c.MaxBufferExtraBytes, OversizedBytesMax: int(c.OversizedRequestBytesMax),
		MultiReadBytesMax: int(c.MultiReadBytesMax), WatchBytesMax: c.WatchBytesMax, UnsentBytesMax: c.UnsentBytesMax,
		Words:         allowedWords(c),
		ExtendedTypes: c.ExtendedTypesEnabled, Emulate353TTL: c.Emulate353TTLNodes,
		EnforceQuota: c.EnforceQuota, NoDigest: !c.DigestEnabled,
		BareCloseSession: !c.CloseSessionTxn,
		ReconfigEnabled:  c.Quorum.ReconfigEnabled,
		Access: server.Access{
			SkipACL: c.Auth.SkipACL, DigestDisabled: !c.Auth.DigestEnabled,
			DigestAlg: c.Auth.DigestAlg, SuperDigest: c.Auth.SuperDigest, Enforce: enforcedSchemes(c),
			EnsembleNamed: namesEnsemble(c), EnsembleNames: c.Auth.EnsembleNames,
		},
		WatchesOptimized: c.WatchManagerName == conf.WatchManagerOptimized,
		TreeBytes:        c.Tree.BudgetBytes,
		SnapCount:        c.SnapCount, CheckpointLogBytes: checkpointBytes(c), LogRetainBytes: c.Log.RetainBytes,
		PreallocBytes: c.PreAllocBytes, LogRollBytes: max(c.TxnLogSizeLimitBytes, 0), NoSync: !c.ForceSync, SyncWarn: c.FsyncWarningThreshold,
		TrustEmptySnapshot:  c.SnapshotTrustEmpty,
		SnapshotCompression: c.SnapshotCompression, SnapshotLastZxid: c.SerializeLastProcessedZxid,
		NoDirAutocreate: !c.DataDirAutocreate, NoDBAutocreate: !c.DBAutocreate,
		ReapInterval: c.Container.CheckInterval, ReapPerMinute: c.Container.MaxPerMinute,
		NeverUsed: c.Container.MaxNeverUsedInterval,
		Ensemble:  ensembleConfig(c),
		Admin:     adminConfig(c), Prometheus: prometheusConfig(c), Audit: auditConfig(c),
		Log: log, Version: announcedVersion(),
	}
	if c.ClientPort != 0 { // a member of an ensemble may go without clients
		sc.ClientAddrs = []string{net.JoinHostPort(c.ClientPortAddress, strconv.Itoa(c.ClientPort))}
	}
	return sc
}

// enforcedSchemes are the schemes of which a connection must hold one.
func enforcedSchemes(c *conf.Config) []string {
	var schemes []string
	if c.Auth.EnforceEnabled {
		schemes = append(schemes, c.Auth.EnforceSchemes...)
	}
	if c.Auth.RequireClientSASL {
		schemes = append(schemes, "sasl")
	}
	return schemes
}

// namesEnsemble reports whether the provider of the scheme ensemble is asked for.
func namesEnsemble(c *conf.Config) bool {
	for _, class := range c.Auth.Providers {
		if class == conf.EnsembleProvider {
			return true
		}
	}
	return false
}

func allowedWords(c *conf.Config) []string {
	words := c.FourLetterWords
	if c.ReadOnlyMode {
		words = append(words, "isro")
	}
	return words
}

// announcedVersion is the first line of srvr: tools take its first three
// numbers for ZooKeeper's.
func announcedVersion() string {
	b := readBuild()
	return zooKeeperVersion + "-quorate-" + b.commit + ", built on " + b.built()
}

// checkpointBytes is after how many bytes of log a checkpoint is due: ZooKeeper's
// key says the same as ours.
func checkpointBytes(c *conf.Config) int64 {
	if limit := c.SnapSizeLimitBytes; limit > 0 {
		return min(limit, c.Checkpoint.LogBytes)
	}
	return c.Checkpoint.LogBytes
}

// connThrottle translates the token bucket for new connections; nil when it is
// off. Without weights each session costs one token.
func connThrottle(c *conf.Config) *server.ConnThrottle {
	if c.ConnectionThrottle.Tokens == 0 {
		return nil
	}
	t := &server.ConnThrottle{
		Tokens:   c.ConnectionThrottle.Tokens,
		FillTime: c.ConnectionThrottle.FillTime, FillCount: c.ConnectionThrottle.FillCount,
		FreezeTime:    c.ConnectionThrottle.FreezeTime,
		DropIncrease:  c.ConnectionThrottle.DropIncrease,
		DropDecrease:  c.ConnectionThrottle.DropDecrease,
		DecreaseRatio: c.ConnectionThrottle.DecreaseRatio,
	}
	if c.ConnectionThrottle.WeightEnabled {
		t.GlobalWeight = c.ConnectionThrottle.GlobalWeight
		t.RenewWeight = c.ConnectionThrottle.RenewWeight
		t.LocalWeight = c.ConnectionThrottle.LocalWeight
	}
	return t
}

// requestLimits translates the bounds of all clients together.
func requestLimits(c *conf.Config) server.RequestLimits {
	r := server.RequestLimits{
		Outstanding: c.OutstandingLimit(), MaxRequests: c.Throttle.MaxRequests, ThrottledWait: c.Throttle.ThrottledOpWait,
		DropStale: c.Throttle.DropStale, StaleLatency: c.Throttle.StaleLatencyCheck,
	}
	if c.Throttle.LargeRequestThresholdBytes > 0 {
		r.LargeBytes, r.LargeBytesMax = c.Throttle.LargeRequestThresholdBytes, c.Throttle.LargeRequestMaxBytes
	}
	return r
}
