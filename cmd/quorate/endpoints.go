package main

import (
	"net"
	"strconv"

	"github.com/quorate/quorate/conf"
	"github.com/quorate/quorate/internal/server"
)

// adminConfig translates the configuration of the administration server; nil for
// none.
func adminConfig(c *conf.Config) *server.AdminConfig {
	if !c.Admin.Enabled {
		return nil
	}
	return &server.AdminConfig{
		Addr:       net.JoinHostPort(c.Admin.Address, strconv.Itoa(c.Admin.Port)),
		CommandURL: c.Admin.CommandURL, IdleTimeout: c.Admin.IdleTimeout,
		NoSnapshot: !c.Admin.SnapshotEnabled, SnapshotInterval: c.Admin.RateLimiterInterval,
		ForwardedFor:  c.Auth.ForwardedFor,
		InitialConfig: c.InitialText, Properties: c.Properties,
	}
}

// prometheusConfig translates the configuration of the metrics endpoint; nil for
// none.
func prometheusConfig(c *conf.Config) *server.PrometheusConfig {
	if !c.Metrics.Prometheus() {
		return nil
	}
	return &server.PrometheusConfig{
		Addr:          net.JoinHostPort(c.Metrics.HTTPHost, strconv.Itoa(c.Metrics.HTTPPort)),
		NoProcessInfo: !c.Metrics.ExportRuntimeInfo,
	}
}

// auditConfig translates the configuration of the audit log; nil for none.
func auditConfig(c *conf.Config) *server.AuditConfig {
	if !c.AuditEnabled {
		return nil
	}
	return &server.AuditConfig{File: c.AuditFile}
}
