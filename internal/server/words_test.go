package server

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// wantLayout compares an answer with a pattern line by line (operations.md,
// section 1). Lines that end in " *" may be repeated, or missing.
func wantLayout(t *testing.T, word, got string, pattern ...string) {
	t.Helper()
	if !regexp.MustCompile("^(?:" + strings.Join(pattern, "") + ")$").MatchString(got) {
		t.Errorf("%s answers\n%q\nwhich is not\n%s", word, got, strings.Join(pattern, "\n"))
	}
}

const (
	reConn = ` /127\.0\.0\.1:\d+\[[0-9a-f]+\]\(queued=\d+,recved=\d+,sent=\d+`
	reDate = `[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ \d{4}`
)

func busyServer(t *testing.T) (*running, *rawClient) {
	cfg := testConfig(t.TempDir())
	cfg.Version = "3.9.5-test, built on 2026-01-01 00:00 UTC"
	cfg.ConnsPerIP = 60
	r := start(t, cfg)
	c := r.client()
	c.create("/a", "data")
	c.must(wire.OpCreate, createBody("/e1", "", wire.FlagEphemeral))
	c.must(wire.OpCreate, createBody("/e2", "", wire.FlagEphemeral))
	c.must(wire.OpGetData, pathBody("/a", true))
	c.must(wire.OpExists, pathBody("/e1", true))
	c.must(wire.OpGetChildren, pathBody("/a", true))
	return r, c
}

func TestWordSrvrAndStat(t *testing.T) {
	r, _ := busyServer(t)
	figures := func(received string) []string { // the words are counted, too
		return []string{
			`Latency min/avg/max: \d+/\d+\.\d{1,4}/\d+\n`, `Received: ` + received + `\n`, `Sent: 7\n`,
			`Connections: 2\n`, `Outstanding: 0\n`, `Zxid: 0x4\n`, `Mode: standalone\n`, `Node count: 8\n`,
		}
	}
	version := `Zookeeper version: 3\.9\.5-test, built on 2026-01-01 00:00 UTC\n`
	wantLayout(t, "srvr", r.word("srvr"), append([]string{version}, figures("8")...)...)
	clients := []string{version, `Clients:\n`, `(?:` + reConn + `\)\n){2}`, `\n`}
	wantLayout(t, "stat", r.word("stat"), append(clients, figures("9")...)...)
}

func TestWordCons(t *testing.T) {
	r, c := busyServer(t)
	wantLayout(t, "cons", r.word("cons"),
		reConn, `,sid=0x`, strconv.FormatInt(c.id, 16), `,lop=GETC,est=\d{13},to=20000,lcxid=0x6,lzxid=0x4`,
		`,lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,maxlat=\d+\)\n`,
		reConn, `\)\n`, `\n`)
	if got := r.word("crst"); got != "Connection stats reset.\n" {
		t.Errorf("crst: %q", got)
	}
	if got := r.word("cons"); !strings.Contains(got, "recved=0,sent=0,sid=") {
		t.Errorf("cons after crst: %q", got)
	}
}

func TestWordDump(t *testing.T) {
	r, c := busyServer(t)
	id := strconv.FormatInt(c.id, 16)
	wantLayout(t, "dump", r.word("dump"),
		`SessionTracker dump:\n`, `Session Sets \(1\)/\(1\):\n`, `1 expire at `, reDate, `:\n`, `\t0x`, id, `\n`,
		`ephemeral nodes dump:\n`, `Sessions with Ephemerals \(1\):\n`, `0x`, id, `:\n`, `\t/e1\n`, `\t/e2\n`,
		`Connections dump:\n`, `Connections Sets \(\d\)/\(2\):\n`,
		`(?:\d expire at `, reDate, `:\n(?:\tip: /127\.0\.0\.1:\d+ sessionId: 0x(?:0|`, id, `)\n)+)+`)
}

func TestWordWatches(t *testing.T) {
	r, c := busyServer(t)
	id := strconv.FormatInt(c.id, 16)
	// The child watch on /a is in another table, of which these words say nothing.
	for word, want := range map[string]string{
		"wchs": "1 connections watching 2 paths\nTotal watches:2\n",
		"wchc": "0x" + id + "\n\t/a\n\t/e1\n\n",
		"wchp": "/a\n\t0x" + id + "\n/e1\n\t0x" + id + "\n\n",
	} {
		if got := r.word(word); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func TestWordConf(t *testing.T) {
	r, _ := busyServer(t)
	_, port, _ := net.SplitHostPort(r.addr)
	dir := regexp.QuoteMeta(r.s.cfg.DataDir)
	wantLayout(t, "conf", r.word("conf"),
		`clientPort=`, port, `\n`, `secureClientPort=-1\n`, `dataDir=`, dir, `/version-2\n`, `dataDirSize=\d+\n`,
		`dataLogDir=`, dir, `/version-2\n`, `dataLogSize=\d+\n`, `tickTime=1000\n`, `maxClientCnxns=60\n`,
		`minSessionTimeout=2000\n`, `maxSessionTimeout=20000\n`, `clientPortListenBacklog=-1\n`, `serverId=0\n`)
}

func TestWordMntr(t *testing.T) {
	r, _ := busyServer(t)
	got := r.word("mntr")
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if !strings.HasPrefix(lines[0], "zk_version\t3.9.5-test") || lines[1] != "zk_server_state\tstandalone" {
		t.Errorf("mntr begins with %q", lines[:2])
	}
	seen := map[string]string{}
	for _, l := range lines {
		if !regexp.MustCompile(`^zk_[A-Za-z0-9_]+\t\S.*$`).MatchString(l) {
			t.Errorf("mntr has a line %q", l)
		}
		k, v, _ := strings.Cut(l, "\t")
		if _, twice := seen[k]; twice {
			t.Errorf("mntr says %s twice", k)
		}
		seen[k] = v
	}
	for key, want := range map[string]string{
		"zk_znode_count": "8", "zk_ephemerals_count": "2", "zk_watch_count": "3", "zk_num_alive_connections": "2",
		"zk_approximate_data_size": "56", "zk_outstanding_requests": "0", "zk_global_sessions": "1",
		"zk_packets_received": "8", "zk_packets_sent": "7", "zk_digest_mismatches_count": "0",
	} {
		if seen[key] != want {
			t.Errorf("mntr says %s is %q, want %q", key, seen[key], want)
		}
	}
	for _, key := range []string{"zk_avg_fsynctime", "zk_cnt_fsynctime", "zk_uptime", "zk_open_file_descriptor_count"} {
		if seen[key] == "" {
			t.Errorf("mntr does not say %s", key)
		}
	}
}

func TestSmallWords(t *testing.T) {
	r, _ := busyServer(t)
	for word, want := range map[string]string{
		"ruok": "imok", "isro": "rw", "gtmk": "306", "srst": "Server stats reset.\n", "hash": "",
	} {
		if got := r.word(word); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
	wantLayout(t, "dirs", r.word("dirs"), `datadir_size: \d+\n`, `logdir_size: \d+\n`)
	wantLayout(t, "envi", r.word("envi"), `Environment:\n`, `zookeeper.version=.*\n`, `host.name=.*\n`, `java.version=.*\n`,
		`java.vendor=.*\n`, `java.home=.*\n`, `java.class.path=.*\n`, `java.library.path=.*\n`, `java.io.tmpdir=.*\n`,
		`java.compiler=.*\n`, `os.name=.*\n`, `os.arch=.*\n`, `os.version=.*\n`, `user.name=.*\n`, `user.home=.*\n`,
		`user.dir=.*\n`, `os.memory.free=\d+MB\n`, `os.memory.max=\d+MB\n`, `os.memory.total=\d+MB\n`)
	// What came since is words: up to four of those above, and three.
	if got := r.word("srvr"); !regexp.MustCompile(`Received: [3-7]\nSent: 0\n`).MatchString(got) {
		t.Errorf("srvr after srst: %q", got)
	}
}

// TestWordStmk: the mask comes with the word. What has only a part of it is not waited
// for, as in ZooKeeper.
func TestWordStmk(t *testing.T) {
	r, _ := busyServer(t)
	mask := binary.BigEndian.AppendUint64([]byte("stmk"), 0x1234)
	if got := r.word(string(mask)); got != strconv.Itoa(0x1234) {
		t.Errorf("stmk: %q", got)
	}
	for _, short := range []string{"stmk", "stmk\x00\x00\x00\x00\x00\x00\x07"} {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := nc.Write([]byte(short)); err != nil {
			t.Fatal(err)
		}
		_ = nc.SetReadDeadline(time.Now().Add(patience))
		b, err := io.ReadAll(nc)
		if len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: %q, %v", short, b, err)
		}
	}
	if got := r.word("gtmk"); got != strconv.Itoa(0x1234) {
		t.Errorf("gtmk after stmk: %q", got)
	}
}

// TestWordHash keeps the digest of every 128th zxid.
func TestWordHash(t *testing.T) {
	r := start(t, testConfig(t.TempDir()))
	c := r.client()
	for i := range 300 {
		c.create(name("/n%d", i), "")
	}
	wantLayout(t, "hash", r.word("hash"), `80: \d+\n`, `100: \d+\n`)
}

func TestWordsWhitelist(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Words = []string{"ruok"}
	r := start(t, cfg)
	if got := r.word("ruok"); got != "imok" {
		t.Errorf("ruok: %q", got)
	}
	if got := r.word("srvr"); !strings.HasPrefix(got, "Zookeeper version: ") {
		t.Errorf("srvr: %q", got)
	}
	for w := range words {
		if w == "ruok" || w == "srvr" || w[0] == 0xff {
			continue
		}
		arg := ""
		if w == "stmk" {
			arg = "12345678"
		}
		if got, want := r.word(w+arg), w+" is not executed because it is not in the whitelist.\n"; got != want {
			t.Errorf("%s: %q, want %q", w, got, want)
		}
	}
	if got := r.s.stats.traceMask.Load(); got != traceMaskDefault {
		t.Errorf("a stmk that is not allowed set the mask to %d", got)
	}
	// A word nobody knows is the length of a packet, a large one.
	if got := r.word("what"); got != "" {
		t.Errorf("an unknown word: %q", got)
	}
	if got := r.word("\xff\xf4\xff\xfd"); got != "" {
		t.Errorf("telnet's farewell: %q", got)
	}
}
