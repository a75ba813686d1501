package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// superSecret is the digest of super:secret.
const superSecret = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="

// askSnapshot runs the command with an Authorization header, if it is not empty.
func (r *running) askSnapshot(query, authorization string) (status int, header http.Header, body []byte) {
	r.t.Helper()
	req, err := http.NewRequest("GET", "http://"+r.s.AdminAddr()+"/commands/snapshot"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	status, header, text := httpSend(r.t, req)
	return status, header, []byte(text)
}

func TestAdminSnapshotStartsAServer(t *testing.T) {
	g, lead, follower, _ := servingTeam(t, func(c *Config) {
		withAdmin(c)
		c.Access.SuperDigest, c.SnapshotLastZxid = superSecret, true
	})
	g.up[follower].client().create("/a", "x")
	for _, id := range []int64{lead, follower} {
		r := g.up[id]
		status, header, body := r.askSnapshot("", "digest super:secret")
		if status != http.StatusOK || header.Get("Content-Type") != "application/octet-stream" ||
			header.Get("Snapshot_size") != strconv.Itoa(len(body)) || header.Get("Last_zxid") != "0x100000002" {
			t.Fatalf("server %d: status %d, %d bytes, %v", id, status, len(body), header)
		}
		dir := t.TempDir()
		file := filepath.Join(dir, versionDir, "snapshot.100000002")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, body, 0o644); err != nil {
			t.Fatal(err)
		}
		restored := start(t, testConfig(dir))
		restored.client().wantData("/a", "x")
		restored.stop()
	}
}

func TestAdminSnapshotOnDisk(t *testing.T) {
	cfg := testConfig(t.TempDir())
	withAdmin(&cfg)
	cfg.Admin.SnapshotInterval = time.Hour
	cfg.Access.SuperDigest, cfg.SnapshotCompression = superSecret, "gz"
	r := start(t, cfg)
	r.client().create("/a", "x")
	status, header, body := r.askSnapshot("?streaming=false", "digest super:secret")
	if want := "{\n  \"command\" : \"snapshot\",\n  \"error\" : null\n}"; status != 200 || string(body) != want || header.Get("Last_zxid") != "0x2" {
		t.Fatalf("status %d, %v: %s", status, header, body)
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, versionDir, "snapshot.2.gz")); err != nil {
		t.Error(err)
	}
	if status, _, _ := r.askSnapshot("", "digest super:secret"); status != http.StatusTooManyRequests {
		t.Errorf("a second one: %d", status)
	}
	if got := r.figures()["zk_snapshot_rate_limited_count"]; got != "1" {
		t.Errorf("counted %s that came too soon", got)
	}
	r.stop()
	start(t, cfg).client().wantData("/a", "x") // the file does not matter
}

func TestAdminSnapshotNeedsPermission(t *testing.T) {
	cfg := testConfig(t.TempDir())
	withAdmin(&cfg)
	cfg.Access.SuperDigest = superSecret
	r := start(t, cfg)
	c := r.client()
	want := func(when string, status int, authorization string) {
		t.Helper()
		if got, _, body := r.askSnapshot("", authorization); got != status {
			t.Errorf("%s, %q: status %d, want %d: %.100s", when, authorization, got, status, body)
		}
	}
	want("nobody", 401, "")
	want("unknown scheme", 401, "kerberos x")
	want("open root", 403, "ip")
	want("open root", 403, "digest u:p")
	want("open root", 403, "digest super:wrong")
	want("open root", 200, "digest super:secret")
	// digest of u:p
	acl := []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "digest", ID: "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="}}}
	setACL := wire.AppendInt(wire.AppendACLs(wire.AppendString(nil, "/"), acl), -1)
	c.must(wire.OpSetACL, setACL)
	want("root of u", 200, "digest u:p")
	want("root of u", 403, "digest v:p")
	want("root of u", 403, "ip")
}

// TestAdminForwardedFor: the header counts only where it is asked for, and its first
// address.
func TestAdminForwardedFor(t *testing.T) {
	for _, forwarded := range []bool{false, true} {
		cfg := testConfig(t.TempDir())
		withAdmin(&cfg)
		cfg.Admin.ForwardedFor = forwarded
		r := start(t, cfg)
		acl := []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "ip", ID: "10.1.0.0/16"}}}
		r.client().must(wire.OpSetACL, wire.AppendInt(wire.AppendACLs(wire.AppendString(nil, "/"), acl), -1))
		for _, c := range []struct {
			header string
			want   int
		}{
			{"10.1.2.3", 200},
			{" 10.1.2.3 , 10.9.9.9", 200},
			{"", 403},
			{"10.9.9.9, 10.1.2.3", 403},
			{"nobody", 401},
		} {
			req, err := http.NewRequest("GET", "http://"+r.s.AdminAddr()+"/commands/snapshot", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "ip")
			req.Header.Set("X-Forwarded-For", c.header)
			want := c.want
			if !forwarded {
				want = 403
			}
			if status, _, _ := httpSend(t, req); status != want {
				t.Errorf("forwarded %v, %q: status %d, want %d", forwarded, c.header, status, want)
			}
		}
	}
}

func TestAdminSnapshotCanBeOff(t *testing.T) {
	cfg := testConfig(t.TempDir())
	withAdmin(&cfg)
	cfg.Admin.NoSnapshot, cfg.Access.SuperDigest = true, superSecret
	if status, _, _ := start(t, cfg).askSnapshot("", "digest super:secret"); status != http.StatusServiceUnavailable {
		t.Errorf("status %d", status)
	}
}
