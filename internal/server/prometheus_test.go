package server

import (
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/quorate/quorate/wire"
)

func TestPrometheusServesZooKeepersNames(t *testing.T) {
	g, lead, _, _ := servingTeam(t, func(c *Config) { c.Prometheus = &PrometheusConfig{Addr: "127.0.0.1:0"} })
	r := g.up[lead]
	c := r.client()
	c.create("/a", "x")
	c.wantData("/a", "x")
	c.create("/zookeeper/quota/a", "")
	c.create("/zookeeper/quota/a/zookeeper_limits", "count=5,bytes=100")
	status, header, text := httpDo(t, "GET", "http://"+r.s.PrometheusAddr()+"/metrics")
	if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("status %d, %q", status, header.Get("Content-Type"))
	}
	types := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		types[m[1]] = m[2]
	}
	for name, kind := range metricNames(t, "all", "leader") {
		if kind == "simple" || kind == "detailed" {
			kind = "summary"
		}
		if types[name] != kind {
			t.Errorf("%s is a %q, want a %s", name, types[name], kind)
		}
	}
	for _, want := range []string{
		"# HELP znode_count znode_count\n", "\nquorum_size 3\n", "\nsynced_followers 2\n", "\nreadlatency{quantile=\"0.9\"} 0\n",
		"\nreadlatency_count 1\n", "\nquota_count_limit_per_namespace{key=\"a\"} 5\n", "\nrestore_time{quantile=\"0.5\"} NaN\n",
		"\nprocess_open_fds ", "\ngo_goroutines ", "\nlearner_handler_qp_size_count{key=\"",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if status, _, _ := httpDo(t, "GET", "http://"+r.s.PrometheusAddr()+"/"); status != 404 {
		t.Errorf("/ is answered with %d", status)
	}
	// mntr speaks of samples then, as ZooKeeper's does.
	figures := r.figures()
	for key, want := range map[string]string{
		"zk_quorum_size": "3.0", `zk_readlatency{quantile="0.99"}`: "0.0", "zk_readlatency_count": "1.0",
		`zk_quota_count_limit_per_namespace{key="a"}`: "5.0", `zk_restore_time{quantile="0.5"}`: "NaN",
		"zk_server_state": "leader",
	} {
		if figures[key] != want {
			t.Errorf("mntr: %s is %q, want %q", key, figures[key], want)
		}
	}
}

func TestPrometheusWithoutProcess(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Prometheus = &PrometheusConfig{Addr: "127.0.0.1:0", NoProcessInfo: true}
	withAdmin(&cfg)
	r := start(t, cfg)
	r.client().must(wire.OpGetData, pathBody("/", false))
	_, _, text := httpDo(t, "GET", "http://"+r.s.PrometheusAddr()+"/metrics")
	if strings.Contains(text, "\ngo_") || strings.Contains(text, "\nprocess_") || !strings.Contains(text, "\nznode_count 5\n") {
		t.Errorf("metrics of an empty server: %.2000s", text)
	}
	if _, a := r.admin("monitor"); a[`restore_time{quantile="0.5"}`] != "NaN" || a["readlatency_count"] != 1.0 {
		t.Errorf("monitor: %v", a)
	}
}

func TestSamplesPrintAsJavasDoubles(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", 1: "1.0", -1: "-1.0", 0.5: "0.5", 9999999: "9999999.0", 1e7: "1.0E7", 1.795576684051e9: "1.795576684051E9",
		1e-3: "0.001", 1.5e-4: "1.5E-4", math.Inf(1): "+Infinity",
	} {
		if got := sample(v).String(); got != want {
			t.Errorf("%v prints as %s, want %s", v, got, want)
		}
	}
	if got := sample(math.NaN()).String(); got != "NaN" {
		t.Errorf("not a number prints as %s", got)
	}
}
