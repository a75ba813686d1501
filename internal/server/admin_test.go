package server

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/quorate/quorate/wire"
)

func withAdmin(c *Config) { c.Admin = &AdminConfig{Addr: "127.0.0.1:0"} }

// httpDo asks an endpoint on a connection of its own.
func httpDo(t testing.TB, method, url string) (status int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return httpSend(t, req)
}

func httpSend(t testing.TB, req *http.Request) (status int, header http.Header, body string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// admin runs a command and returns its answer, as text and decoded.
func (r *running) admin(command string) (text string, answer map[string]any) {
	r.t.Helper()
	status, header, text := httpDo(r.t, "GET", "http://"+r.s.AdminAddr()+"/commands/"+command)
	if status != http.StatusOK || header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%s: status %d, %s", command, status, header.Get("Content-Type"))
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		r.t.Fatalf("%s: %v in %q", command, err, text)
	}
	return text, answer
}

// keyPaths are the members of an answer in the notation of testdata/admin_keys.txt.
func keyPaths(v any, prefix string, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			switch {
			case regexp.MustCompile(`^-?\d+$`).MatchString(k):
				k = "<n>"
			case strings.HasPrefix(k, "/"):
				k = "<path>"
			}
			p := strings.TrimPrefix(prefix+"."+k, ".")
			into[p] = true
			keyPaths(x, p, into)
		}
	case []any:
		for _, x := range v {
			keyPaths(x, prefix+"[]", into)
		}
	}
}

// wantKeys compares the answers of a server with those of ZooKeeper in that role.
func wantKeys(t *testing.T, r *running, role string) {
	t.Helper()
	text, err := os.ReadFile("testdata/admin_keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for line := range strings.Lines(string(text)) {
		head, keys, _ := strings.Cut(strings.TrimSpace(line), ":")
		who, command, ok := strings.Cut(head, " ")
		if !ok || who != role {
			continue
		}
		asked++
		_, answer := r.admin(command)
		got := map[string]bool{}
		keyPaths(answer, "", got)
		delete(got, "command")
		delete(got, "error")
		if want := strings.Fields(keys); !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
			t.Errorf("%s, %s has\n%v\nand not\n%v", role, command, slices.Sorted(maps.Keys(got)), want)
		}
	}
	if asked < 15 {
		t.Errorf("%d commands of a %s are known", asked, role)
	}
}

func TestAdminAnswersAreZooKeepers(t *testing.T) {
	cfg := testConfig(t.TempDir())
	withAdmin(&cfg)
	alone := start(t, cfg)
	alone.client().must(wire.OpGetData, pathBody("/zookeeper", false))
	wantKeys(t, alone, "standalone")

	g, lead, follower, _ := servingTeam(t, withAdmin)
	for role, id := range map[string]int64{"leader": lead, "follower": follower} {
		c := g.up[id].client()
		c.must(wire.OpCreate, createBody("/"+role, "", wire.FlagEphemeral))
		c.must(wire.OpGetData, pathBody("/"+role, true))
		wantKeys(t, g.up[id], role)
	}
	_, view := g.up[follower].admin("voting_view")
	if n := len(view["current_config"].(map[string]any)); n != 3 {
		t.Errorf("%d voters", n)
	}
	_, leader := g.up[follower].admin("lead")
	if leader["leader_id"] != float64(lead) || leader["is_leader"] != false || leader["leader_ip"] != "127.0.0.1" {
		t.Errorf("leader: %v", leader)
	}
	_, zab := g.up[lead].admin("zabstate")
	if zab["zabstate"] != "broadcast" || zab["voting"] != true || zab["is_leader"] != true || zab["zab_epoch"] == float64(0) {
		t.Errorf("zabstate: %v", zab)
	}
}

func TestAdminWithoutALeader(t *testing.T) {
	g := newTeam(t, 3, 0)
	g.change = withAdmin
	r := g.start(1)
	for _, command := range []string{"srvr", "stat", "conf", "cons", "dump", "dirs", "hash", "leader", "voting_view", "ruok", "watches", "lsnp", "observers"} {
		if _, a := r.admin(command); a["error"] != notServing {
			t.Errorf("%s: %v", command, a)
		}
	}
	for _, command := range []string{"envi", "gtmk", "sysp", "mntr", "zabstate"} {
		if _, a := r.admin(command); a["error"] != nil || len(a) < 3 {
			t.Errorf("%s: %v", command, a)
		}
	}
	if _, a := r.admin("mntr"); a["server_state"] != "looking" || a["peer_state"] != "looking" {
		t.Errorf("states %v and %v", a["server_state"], a["peer_state"])
	}
}

func TestAdminLayout(t *testing.T) {
	cfg := testConfig(t.TempDir())
	withAdmin(&cfg)
	cfg.Admin.InitialConfig = "a=\"b\"\n"
	cfg.Admin.Properties = map[string]string{"zookeeper.foo": "1"}
	r := start(t, cfg)
	for command, want := range map[string]string{
		"ruok":               "{\n  \"command\" : \"ruok\",\n  \"error\" : null\n}",
		"isro":               "{\n  \"read_only\" : false,\n  \"command\" : \"is_read_only\",\n  \"error\" : null\n}",
		"nope":               "{\n  \"command\" : \"nope\",\n  \"error\" : \"Unknown command: nope\"\n}",
		"x/y":                "{\n  \"command\" : \"x/y\",\n  \"error\" : \"Unknown command: x/y\"\n}",
		"SRVR":               "{\n  \"command\" : \"SRVR\",\n  \"error\" : \"Unknown command: SRVR\"\n}",
		"leader":             "{\n  \"error\" : \"server is not initialized\",\n  \"command\" : \"leader\"\n}",
		"stmk":               "{\n  \"error\" : \"setTraceMask requires long traceMask argument\",\n  \"command\" : \"set_trace_mask\"\n}",
		"stmk?traceMask=abc": "{\n  \"error\" : \"setTraceMask requires long traceMask argument, got abc\",\n  \"command\" : \"set_trace_mask\"\n}",
		"stmk?traceMask=7":   "{\n  \"tracemask\" : 7,\n  \"command\" : \"set_trace_mask\",\n  \"error\" : null\n}",
		"icfg":               "{\n  \"initial_configuration\" : \"a=\\\"b\\\"\\n\",\n  \"command\" : \"initial_configuration\",\n  \"error\" : null\n}",
		"wchc":               "{\n  \"session_id_to_watched_paths\" : { },\n  \"command\" : \"watches\",\n  \"error\" : null\n}",
		"cons":               "{\n  \"connections\" : [ ],\n  \"secure_connections\" : [ ],\n  \"command\" : \"connections\",\n  \"error\" : null\n}",
	} {
		if got, _ := r.admin(command); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", command, got, want)
		}
	}
	if got := r.word("gtmk"); got != "7" {
		t.Errorf("the mask is %s", got)
	}
	c := r.client()
	if got, _ := r.admin("cons"); !strings.Contains(got, "{\n  \"connections\" : [ {\n    \"remote_socket_address\" : \"127.0.0.1:") ||
		!strings.Contains(got, fmt.Sprintf("\n    \"session_id\" : %d,\n", c.id)) {
		t.Errorf("cons: %s", got)
	}
	if _, a := r.admin("sysp"); a["zookeeper.foo"] != "1" || a["java.io.tmpdir"] == nil {
		t.Errorf("sysp: %v", a)
	}
}

func TestAdminHTTP(t *testing.T) {
	cfg := testConfig(t.TempDir())
	withAdmin(&cfg)
	cfg.Admin.CommandURL = "/zk/"
	r := start(t, cfg)
	base := "http://" + r.s.AdminAddr()
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/zk", 200},
		{"GET", "/zk/", 200},
		{"GET", "/zk/ruok", 200},
		{"HEAD", "/zk/ruok", 200},
		{"OPTIONS", "/zk/ruok", 200},
		{"TRACE", "/zk/ruok", 403},
		{"POST", "/zk/ruok", 405},
		{"DELETE", "/zk/ruok", 405},
		{"GET", "/", 404},
		{"GET", "/commands/ruok", 404},
		{"GET", "/zkx", 404},
	} {
		if status, _, _ := httpDo(t, c.method, base+c.path); status != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, status, c.status)
		}
	}
	_, _, index := httpDo(t, "GET", base+"/zk")
	if !strings.HasPrefix(index, "<a href=\"/zk/configuration\">configuration</a>\n<br/>\n<a href=\"/zk/connection_stat_reset\">") {
		t.Errorf("index %q", index)
	}
	var names []string
	for _, c := range adminCommands() {
		names = append(names, c.name)
	}
	if !slices.IsSorted(names) {
		t.Errorf("the index is not sorted: %v", names)
	}
}

// TestHTTPIsBounded: neither connections without end nor headers do harm.
func TestHTTPIsBounded(t *testing.T) {
	cfg := testConfig(t.TempDir())
	withAdmin(&cfg)
	r := start(t, cfg)
	var conns []net.Conn
	for range httpConnsMax {
		nc, err := net.Dial("tcp", r.s.AdminAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		conns = append(conns, nc)
	}
	one, err := net.Dial("tcp", r.s.AdminAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	_ = one.SetReadDeadline(time.Now().Add(patience))
	if n, err := one.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("connection %d is served: %d, %v", httpConnsMax+1, n, err)
	}
	fmt.Fprintf(conns[0], "GET /commands/ruok HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 1<<20))
	_ = conns[0].SetReadDeadline(time.Now().Add(patience))
	b, _ := io.ReadAll(conns[0]) // it may be reset before all is read
	if len(b) > 0 && !strings.HasPrefix(string(b), "HTTP/1.1 431") {
		t.Errorf("an endless header is answered %.40q", b)
	}
	r.client().create("/a", "") // the server does not mind
}

// TestAdminPortTaken: the server runs without, and says so.
func TestAdminPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	core, logs := observer.New(zap.WarnLevel)
	cfg := testConfig(t.TempDir())
	cfg.Log = zap.New(core)
	cfg.Admin = &AdminConfig{Addr: l.Addr().String()}
	r := start(t, cfg)
	r.client().create("/a", "")
	if n := logs.FilterMessage("running without the administration server").Len(); n != 1 || r.s.AdminAddr() != "" {
		t.Errorf("%d warnings, address %q", n, r.s.AdminAddr())
	}
	cfg.DataDir, cfg.LogDir = t.TempDir(), ""
	cfg.Prometheus = &PrometheusConfig{Addr: l.Addr().String()}
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "metrics endpoint: ") {
		t.Errorf("a metrics endpoint that cannot be: %v", err)
	}
}

// TestAdminEndsWithTheServer asks while the server stops.
func TestAdminEndsWithTheServer(t *testing.T) {
	cfg := testConfig(t.TempDir())
	withAdmin(&cfg)
	r := start(t, cfg)
	url := "http://" + r.s.AdminAddr() + "/commands/monitor"
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			resp, err := client.Get(url)
			if err != nil {
				return // it has ended
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}()
	r.stop()
	<-done
}
