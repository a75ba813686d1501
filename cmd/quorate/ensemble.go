package main

import (
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
		BindTries:            c.Quorum.ElectionPortBindRetry,
		ListenOnAllIPs:       c.Quorum.ListenOnAllIPs,
		LeaderRefusesClients: !c.Quorum.LeaderServes,
		LocalSessions:        c.LocalSessionsEnabled, LocalSessionsUpgrading: c.LocalSessionsUpgradingEnabled,
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
