package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/conf"
	"github.com/quorate/quorate/internal/server"
)

// ensembleConfig translates the configuration of a member; nil for a server
// that runs alone.
func ensembleConfig(c *conf.Config) *server.EnsembleConfig {
	if !c.Distributed() {
		return nil
	}
	q := &c.Quorum
	return &server.EnsembleConfig{
		List: q.List, MyID: q.MyID,
		InitLimit: c.Quorum.InitLimitTicks, SyncLimit: c.Quorum.SyncLimitTicks,
		ConnectToLeaderLimit: c.Quorum.ConnectToLearnerMasterLimitTicks,
		LeaderConnectDelay:   c.Quorum.LeaderConnectDelay,
		CnxTimeout:           c.Quorum.CnxTimeout,
		NotifyMin:            c.Quorum.MinNotificationInterval, NotifyMax: c.Quorum.MaxNotificationInterval,
		ListenOnAllIPs:       c.Quorum.ListenOnAllIPs,
		LeaderRefusesClients: !c.Quorum.LeaderServes,
		LocalSessions:        c.LocalSessionsEnabled, LocalSessionsUpgrading: c.LocalSessionsUpgradingEnabled,
		EagerACL:          c.Auth.EagerACLCheck,
		ReadOnly:          c.ReadOnlyMode,
		HoldClients:       c.Quorum.HoldClients,
		LinearizableReads: c.Quorum.LinearizableReads,
		CommitLogCount:    c.CommitLogCount,
		SnapSyncsMax:      c.Quorum.MaxConcurrentSnapSyncs, DiffSyncsMax: c.Quorum.MaxConcurrentDiffSyncs,
		SnapshotSizeFactor: c.Quorum.SnapshotSizeFactor,
		ObserverNoSync:     !c.Quorum.ObserverSyncEnabled,
		NoJavaPeers:        !c.Quorum.JavaPeers,
	}
}

// bindRetry lies between two attempts to bind the ports for members, as in
// ZooKeeper.
const bindRetry = time.Second

// openServer opens a server. As long as a port for members cannot be had it tries
// again, electionPortBindRetry times in all (0 = for ever).
func openServer(ctx context.Context, cfg *conf.Config, log *zap.Logger) (*server.Server, error) {
	for n := 1; ; n++ {
		s, err := server.Open(serverConfig(cfg, log))
		if err == nil || n == cfg.Quorum.ElectionPortBindRetry || !server.PortUnavailable(err) {
			return s, err
		}
		log.Warn("a port for members cannot be had", zap.Error(err), zap.Duration("next try in", bindRetry))
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(bindRetry):
		}
	}
}
