//go:build linux

package operate

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
)

// TestReplaceAServer: a member that has lost its disk joins under its old number,
// and votes only when it has everything ("Replace a server").
func TestReplaceAServer(t *testing.T) {
	s := same(integration.Quorate, 3, 0)
	s.Options = integration.Options{"db.autocreate": "false"}
	e := ensemble.LaidOut(t, s)
	for _, m := range e.Members {
		check(t, os.MkdirAll(m.DataDir(), 0o755))
		check(t, os.WriteFile(filepath.Join(m.DataDir(), "initialize"), nil, 0o644))
	}
	check(t, e.Start())
	check(t, e.AwaitSynced())
	m, err := e.Follower()
	check(t, err)
	c := client(t, e.Except(m)[0])
	_, err = c.Create("/a", []byte("x"), 0, zk.WorldACL(zk.PermAll))
	check(t, err)

	check(t, m.Stop())
	check(t, m.Empty())
	check(t, m.Start())
	check(t, m.AwaitSynced())
	if log := m.LastLines(100); !strings.Contains(log, "no vote before a synchronization") {
		t.Errorf("the server does not say that it is blank:\n%s", log)
	}
	// It has a vote now: another may go.
	other := e.Except(m)[1]
	check(t, other.Stop())
	_, err = e.AwaitLeader()
	check(t, err)
	c2 := client(t, m)
	data, _, err := c2.Get("/a")
	if err != nil || string(data) != "x" {
		t.Errorf("/a is %q, %v", data, err)
	}
	_, err = c2.Set("/a", []byte("y"), -1)
	check(t, err)
}

var announced = regexp.MustCompile(`commands at (http://\S+)`)

// backup takes a snapshot of a running member.
func backup(t *testing.T, m *ensemble.Member) (zxid string, body []byte) {
	t.Helper()
	url := announced.FindStringSubmatch(m.LastLines(100))
	if url == nil {
		t.Fatalf("the member does not say where its commands are:\n%s", m.LastLines(100))
	}
	req, err := http.NewRequest("GET", url[1]+"/snapshot", nil)
	check(t, err)
	req.Header.Set("Authorization", "digest super:quorate")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}).Do(req)
	check(t, err)
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	check(t, err)
	zxid, ok := strings.CutPrefix(resp.Header.Get("last_zxid"), "0x")
	if resp.StatusCode != http.StatusOK || !ok || fmt.Sprint(len(body)) != resp.Header.Get("snapshot_size") {
		t.Fatalf("status %d, %d bytes, %v", resp.StatusCode, len(body), resp.Header)
	}
	return zxid, body
}

// TestBackUpAndRestore: the state of a backup becomes that of a whole ensemble, of
// Quorate and of ZooKeeper ("Back up", "Restore").
func TestBackUpAndRestore(t *testing.T) {
	s := same(integration.Quorate, 3, 0)
	s.Options = integration.Options{"admin.enableServer": "true", "admin.serverAddress": "127.0.0.1", "admin.serverPort": "0"}
	e := ensemble.ForTest(t, s)
	check(t, e.AwaitSynced())
	m, err := e.Follower()
	check(t, err)
	c := client(t, m)
	_, err = c.Create("/before", []byte("x"), 0, zk.WorldACL(zk.PermAll))
	check(t, err)
	zxid, body := backup(t, m)
	_, err = c.Create("/after", nil, 0, zk.WorldACL(zk.PermAll))
	check(t, err)

	for _, kind := range []ensemble.Kind{integration.Quorate, integration.ZooKeeper38} {
		to := ensemble.LaidOut(t, same(kind, 3, 0))
		for _, m := range to.Members {
			dir := filepath.Join(m.DataDir(), "version-2")
			check(t, os.MkdirAll(dir, 0o755))
			check(t, os.WriteFile(filepath.Join(dir, "snapshot."+zxid), body, 0o644))
		}
		check(t, to.Start())
		check(t, to.AwaitSynced())
		for _, m := range to.Members {
			c := client(t, m)
			children, _, err := c.Children("/")
			if err != nil || len(children) != 2 || !strings.Contains(strings.Join(children, " "), "before") {
				t.Errorf("server %v has %v, %v", m, children, err)
			}
		}
		if kind != integration.Quorate {
			continue
		}
		for _, m := range to.Members {
			if log := m.LastLines(100); !strings.Contains(log, "imported a ZooKeeper snapshot") {
				t.Errorf("server %v does not say what it has imported:\n%s", m, log)
			}
		}
	}
}
