package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
)

// TestNamespaceMetrics: what a stock client reads and writes is counted by the first
// component of its paths, with the figures and under the names of ZooKeeper.
func TestNamespaceMetrics(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	java, q := newServer(t, ZooKeeper39, nil), newServer(t, Quorate, nil)
	scraped := newServer(t, Quorate, Options{
		"metricsProvider.className": "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
		"metricsProvider.httpHost":  "127.0.0.1", "metricsProvider.httpPort": fmt.Sprint(port),
	})
	for _, s := range []*Server{java, q, scraped} {
		useNamespaces(t, s.Addr)
	}
	want, got := perNamespace(monitor(t, java)), perNamespace(monitor(t, q))
	if len(want) != 6*5 {
		t.Errorf("ZooKeeper has %d figures: %v", len(want), want)
	}
	for key, v := range want {
		if got[key] != v {
			t.Errorf("%s is %q, want %q", key, got[key], v)
		}
	}
	for key, v := range got {
		if want[key] == "" {
			t.Errorf("%s (%s) is not ZooKeeper's", key, v)
		}
	}
	page := string(fetch(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", port)))
	for _, kind := range []string{"read", "write"} {
		for _, part := range []string{"cnt", "sum"} {
			line := fmt.Sprintf("\n%s_per_namespace_%s{key=\"app\"} %s\n", kind, strings.Replace(part, "cnt", "count", 1), want["zk_"+part+"_app_"+kind+"_per_namespace"])
			if !strings.Contains(page, line) {
				t.Errorf("no line %q", line)
			}
		}
		for _, line := range []string{"\n# TYPE %s_per_namespace summary\n", "\n%s_per_namespace{key=\"app\",quantile=\"0.5\"} "} {
			if line = fmt.Sprintf(line, kind); !strings.Contains(page, line) {
				t.Errorf("no line %q", line)
			}
		}
	}
}

// perNamespace returns the figures of namespaces that are not of quotas.
func perNamespace(all map[string]string) map[string]string {
	out := map[string]string{}
	for key, v := range all {
		if strings.HasSuffix(key, "d_per_namespace") || strings.HasSuffix(key, "write_per_namespace") {
			out[key] = v
		}
	}
	return out
}

// useNamespaces reads and writes in several namespaces.
func useNamespaces(t *testing.T, addr string) {
	t.Helper()
	c, _ := goClient(t, addr)
	open := zk.WorldACL(zk.PermAll)
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	make1 := func(path, data string, flags int32) {
		_, err := c.Create(path, []byte(data), flags, open)
		note(err)
	}
	make1("/app", "xyz", 0)
	make1("/app/a", "", 0)
	make1("/app/long", strings.Repeat("x", 1000), 0)
	make1("/apple", "", 0) // no part of /app
	make1("/other/none", "", 0)
	make1("/app/e", "", zk.FlagEphemeral)
	for range 5 {
		_, _, err := c.Get("/app")
		note(err)
	}
	for _, path := range []string{"/app/long", "/app", "/apple", "/none", "/", "/zookeeper/config"} {
		_, _, err := c.Get(path)
		note(err)
		_, _, err = c.Exists(path)
		note(err)
		_, _, err = c.Children(path)
		note(err)
	}
	_, err := c.Set("/app", []byte("12345"), 0)
	note(err)
	_, err = c.Set("/app", nil, 77)
	note(err)
	_, err = c.SetACL("/app", open, -1)
	note(err)
	_, _, err = c.GetACL("/app")
	note(err)
	_, err = c.Multi(&zk.CreateRequest{Path: "/multi", Data: []byte("m"), Acl: open}, &zk.SetDataRequest{Path: "/multi", Data: []byte("mm"), Version: 0},
		&zk.DeleteRequest{Path: "/app/a", Version: -1})
	note(err)
	_, err = c.Multi(&zk.SetDataRequest{Path: "/multi", Version: 77})
	note(err)
	note(c.Delete("/app/long", -1))
	c.Close()
	refused := 0
	for _, err := range errs {
		switch {
		case errors.Is(err, zk.ErrNoNode) || errors.Is(err, zk.ErrBadVersion):
			refused++
		case err != nil:
			t.Error(err)
		}
	}
	if refused != 5 { // /other/none, two reads of /none, two versions
		t.Errorf("%d requests were refused", refused)
	}
}
