package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestEnforcedSchemes: with enforce.auth.schemes every request, a ping too, of a
// connection without credentials of one of them is refused and ends it.
func TestEnforcedSchemes(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, Options{"enforce.auth.enabled": "true", "enforce.auth.schemes": "digest"})
		for _, op := range []wire.Op{wire.OpExists, wire.OpPing, wire.OpCreate, wire.OpCloseSession} {
			c := mustConnect(t, s.Addr, ConnectOptions{})
			rep, _, err := c.Call(op, wire.PathWatch{Path: []byte("/")}.Append(nil))
			if err != nil || rep.Err != wire.ErrSessionClosedRequiresAuth || rep.Zxid != 0 {
				t.Errorf("%v is answered %v with zxid %#x, %v", op, rep.Err, rep.Zxid, err)
			}
			if _, err := c.Next(); !closed(err) {
				t.Errorf("after %v: %v", op, err)
			}
		}
		c := mustConnect(t, s.Addr, ConnectOptions{})
		if err := c.authenticate("bob:pw"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Create("/a", nil, 0); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestConnectionThrottle: sessions beyond the tokens are not opened, and counted.
func TestConnectionThrottle(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s := newServer(t, f, Options{"connection_throttle_tokens": "3", "connection_throttle_fill_time": "600000"})
		opened := 0
		for range 5 { // the wait for the server has taken one token at least
			c, err := Connect(s.Addr, ConnectOptions{})
			switch {
			case err == nil:
				opened++
				t.Cleanup(c.Drop)
			case !closed(err):
				t.Errorf("a session too many: %v", err)
			}
		}
		if opened > 2 {
			t.Errorf("%d sessions opened of 2 tokens", opened)
		}
		if n := monitor(t, s)["zk_connection_rejected"]; n != fmt.Sprint(5-opened) {
			t.Errorf("%s rejected, of 5 %d opened", n, opened)
		}
	})
}

// fetch reads a page.
func fetch(t *testing.T, url string) []byte {
	t.Helper()
	var page []byte
	retry(t, url, func() error {
		resp, err := http.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if page, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %s", resp.Status)
		}
		return err
	})
	return page
}

// TestUnknownKeys: a key that nobody knows is no reason not to start, and is a system
// property, as in ZooKeeper.
func TestUnknownKeys(t *testing.T) {
	for _, f := range []Flavor{ZooKeeper38, Quorate} { // what reference/fetch brings has no HTTP server
		t.Run(string(f), func(t *testing.T) {
			if f.Java() {
				_, err := file(servlets)
				NeedPeer(t, "libservlet-api-java", err)
			}
			port, err := freePort()
			if err != nil {
				t.Fatal(err)
			}
			newServer(t, f, Options{
				"foo": "1", "some.thing": "b c", "zookeeper.snapCount": "777",
				"admin.enableServer": "true", "admin.serverAddress": "127.0.0.1", "admin.serverPort": fmt.Sprint(port),
			})
			var got map[string]any
			if err := json.Unmarshal(fetch(t, fmt.Sprintf("http://127.0.0.1:%d/commands/system_properties", port)), &got); err != nil {
				t.Fatal(err)
			}
			for k, want := range map[string]any{
				"zookeeper.foo": "1", "zookeeper.some.thing": "b c", "zookeeper.admin.serverPort": fmt.Sprint(port),
				"command": "system_properties", "error": nil,
			} {
				if v, ok := got[k]; !ok || v != want {
					t.Errorf("%s is %v, want %v", k, v, want)
				}
			}
		})
	}
}

// TestPrometheus: the endpoint has every metric that ZooKeeper's mntr has, under the
// same name.
func TestPrometheus(t *testing.T) {
	needFlavor(t, ZooKeeper39)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	q := newServer(t, Quorate, Options{
		"metricsProvider.className": "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
		"metricsProvider.httpHost":  "127.0.0.1", "metricsProvider.httpPort": fmt.Sprint(port),
	})
	java := newServer(t, ZooKeeper39, nil)
	for _, s := range []*Server{q, java} {
		c := mustConnect(t, s.Addr, ConnectOptions{})
		if _, err := c.Create("/app", []byte("x"), 0); err != nil {
			t.Fatal(err)
		}
	}
	served := map[string]bool{}
	sample := regexp.MustCompile(`^([a-z_0-9]+)(\{[^}]*\})? [0-9.eE+-]+$|^[a-zA-Z_0-9]+(\{[^}]*\})? NaN$`)
	for line := range strings.Lines(string(fetch(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", port)))) {
		line = strings.TrimSpace(line)
		if m := sample.FindStringSubmatch(line); m != nil {
			served[m[1]] = true
		} else if !strings.HasPrefix(line, "# ") {
			t.Errorf("line %q", line)
		}
	}
	summary := regexp.MustCompile(`^(avg|min|max|cnt|sum|p50|p95|p99|p999)_(.+)$`)
	names := 0
	for key := range monitor(t, java) {
		key = strings.TrimPrefix(key, "zk_")
		if m := summary.FindStringSubmatch(key); m != nil && !served[key] {
			key = m[2] + "_count"
		}
		if key == "version" || key == "server_state" || strings.Contains(key, "_per_namespace") {
			continue // no metrics; and those of a set, which TestNamespaceMetrics compares
		}
		names++
		if !served[key] {
			t.Errorf("%s is missing", key)
		}
	}
	if names < 100 || !served["znode_count"] {
		t.Errorf("%d names", names)
	}
}

// TestAuditLog: the lines of Quorate's file are those that ZooKeeper logs.
func TestAuditLog(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		t.Setenv("JAVA_TOOL_OPTIONS", "-Dorg.slf4j.simpleLogger.log.org.apache.zookeeper.audit=info")
		o := Options{"audit.enable": "true"}
		file := filepath.Join(t.TempDir(), "audit.log")
		if f == Quorate {
			o["quorate.audit.file"] = file
		}
		s := newServer(t, f, o)
		c := mustConnect(t, s.Addr, ConnectOptions{})
		steps := audited(t, s, c)
		if code := s.Terminate(); code != 0 && f == Quorate {
			t.Errorf("exit code %d", code)
		}
		text := s.Output()
		if f == Quorate {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		var got []string
		line := regexp.MustCompile(`(INFO|ERROR) \S+ ?-? ?((session|user)=.*)`)
		for l := range strings.Lines(text) {
			if m := line.FindStringSubmatch(strings.TrimSpace(l)); m != nil && strings.Contains(m[2], fmt.Sprintf("session=0x%x\t", c.ID)) {
				_, rest, _ := strings.Cut(m[2], "\t")
				got = append(got, m[1]+" "+rest)
			}
		}
		if !slices.Equal(got, steps) {
			t.Errorf("audited\n%q\nwant\n%q\nin\n%s", got, steps, text)
		}
	})
}

// audited makes changes and returns the lines they are worth, without the session.
func audited(t *testing.T, s *Server, c *Session) (want []string) {
	t.Helper()
	r := &runner{addr: s.Addr, actors: map[string]*actor{}, names: names{fresh: true, sessions: map[int64]string{}, times: map[int64]int64{}}}
	r.adopt("A", c)
	who := "user=127.0.0.1\tip=127.0.0.1\toperation="
	for _, step := range []struct{ request, line string }{
		{`create /a "x"`, "INFO " + who + "create\tznode=/a\tznode_type=persistent\tresult=success"},
		{`create /a "x"`, "ERROR " + who + "create\tznode=/a\tznode_type=persistent\tresult=failure"},
		{`create /s- seq`, "INFO " + who + "create\tznode=/s-0000000001\tznode_type=persistent_sequential\tresult=success"},
		{`create /e ephemeral`, "INFO " + who + "create\tznode=/e\tznode_type=ephemeral\tresult=success"},
		{`createContainer /c`, "INFO " + who + "create\tznode=/c\tznode_type=container\tresult=success"},
		{`getData /a`, ""},
		{`setData /a "y"`, "INFO " + who + "setData\tznode=/a\tresult=success"},
		{`setData /a "y" 9`, "ERROR " + who + "setData\tznode=/a\tresult=failure"},
		{`setACL /a world:anyone:cdrwa,ip:10.0.0.0/8:r`, "INFO " + who + "setAcl\tznode=/a\tacl=world:anyone:cdrwaip:10.0.0.0/8:r\tresult=success"},
		{`delete /a 9`, "ERROR " + who + "delete\tznode=/a\tresult=failure"},
		{`multi create /m ; delete /a`, "INFO " + who + "create\tznode=/m\tznode_type=persistent\tresult=success\nINFO " + who + "delete\tznode=/a\tresult=success"},
		{`multi create /n ; delete /none`, "ERROR " + who + "multiOperation\tresult=failure"},
	} {
		if _, err := r.step("A " + step.request); err != nil {
			t.Fatalf("%s: %v", step.request, err)
		}
		if step.line != "" {
			want = append(want, strings.Split(step.line, "\n")...)
		}
	}
	return want
}
