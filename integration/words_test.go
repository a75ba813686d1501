package integration

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

// wordShapes are the answers of the four-letter words on a server with one
// session that has an ephemeral node and watches, as operations.md lays them
// out. A shape is a pattern per line; one
// that ends in {many} stands for any number of lines.
var wordShapes = map[string][]string{
	"ruok": {`imok$`},
	"isro": {`rw$`},
	"gtmk": {`\d+$`},
	"srvr": {
		`Zookeeper version: \d+\.\d+\.\d+-\S+, built on (\d{4}-\d\d-\d\d \d\d:\d\d \w+|unknown)`, `Latency min/avg/max: \d+/\d+\.\d{1,4}/\d+`,
		`Received: \d+`, `Sent: \d+`, `Connections: 2`, `Outstanding: \d+`, `Zxid: 0x[0-9a-f]+`, `Mode: standalone`, `Node count: 7`,
	},
	"stat": {
		`Zookeeper version: .*`, `Clients:`, ` /127\.0\.0\.1:\d+\[[01]\]\(queued=\d+,recved=\d+,sent=\d+\){many}`, ``,
		`Latency min/avg/max: \d+/\d+\.\d{1,4}/\d+`, `Received: \d+`, `Sent: \d+`, `Connections: 2`, `Outstanding: \d+`,
		`Zxid: 0x[0-9a-f]+`, `Mode: standalone`, `Node count: 7`,
	},
	"cons": {
		` /127\.0\.0\.1:\d+\[\d+\]\(queued=\d+,recved=\d+,sent=\d+(,sid=0x[0-9a-f]+,lop=[A-Z]+,est=\d+,to=30000,` +
			`(lcxid=0x[0-9a-f]+,)?lzxid=0x[0-9a-f]+,lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,maxlat=\d+)?\){many}`, ``,
	},
	"conf": {
		`clientPort=\d+`, `secureClientPort=-1`, `dataDir=/.*/version-2`, `dataDirSize=\d+`, `dataLogDir=/.*/version-2`, `dataLogSize=\d+`,
		`tickTime=2000`, `maxClientCnxns=0`, `minSessionTimeout=4000`, `maxSessionTimeout=40000`, `clientPortListenBacklog=-1`, `serverId=0`,
	},
	"dirs": {`datadir_size: \d+`, `logdir_size: \d+`},
	"dump": {
		`SessionTracker dump:`, `Session Sets \(\d+\)/\(1\):`, `([01] expire at \w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4}:|\t0x[0-9a-f]+){many}`,
		`ephemeral nodes dump:`, `Sessions with Ephemerals \(1\):`, `0x[0-9a-f]+:`, `\t/words/e`,
		`Connections dump:`, `Connections Sets \(\d+\)/\(2\):`,
		`(\d expire at \w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4}:|\tip: /127\.0\.0\.1:\d+ sessionId: 0x[0-9a-f]+){many}`,
	},
	"wchs": {`1 connections watching 2 paths`, `Total watches:2`},
	"wchc": {`0x[0-9a-f]+`, `\t/words(/e)?`, `\t/words(/e)?`, ``},
	"wchp": {`/words(/e)?`, `\t0x[0-9a-f]+`, `/words(/e)?`, `\t0x[0-9a-f]+`, ``},
	"crst": {`Connection stats reset\.`},
	"srst": {`Server stats reset\.`},
	"hash": {`(0x)?[0-9a-f]+: \d+{many}`},
	"envi": {`Environment:`, `[a-z.]+=.*{many}`},
}

// matchLines compares an answer with a shape and returns the first fault.
func matchLines(answer string, shape []string) error {
	lines := strings.Split(strings.TrimSuffix(answer, "\n"), "\n")
	if answer == "" {
		lines = nil
	}
	i := 0
	for _, s := range shape {
		pattern, many := strings.CutSuffix(s, "{many}")
		re := regexp.MustCompile(`^(?:` + pattern + `)$`)
		n := 0
		for i < len(lines) && re.MatchString(lines[i]) && (many || n == 0) {
			i, n = i+1, n+1
		}
		if n == 0 && !many {
			got := "the end"
			if i < len(lines) {
				got = fmt.Sprintf("%q", lines[i])
			}
			return fmt.Errorf("line %d is %s, want %s", i+1, got, pattern)
		}
	}
	if i < len(lines) {
		return fmt.Errorf("line %d is too much: %q", i+1, lines[i])
	}
	return nil
}

// withoutNewline are the words whose answer ends without one.
var withoutNewline = []string{"ruok", "isro", "gtmk", "stmk"}

// busyServer starts a server and gives it a session with an ephemeral node and
// two data watches.
func busyServer(t *testing.T, f Flavor, o Options) (*Server, *Session) {
	t.Helper()
	s := newServer(t, f, o)
	c, err := Connect(s.Addr, ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, step := range []func() (string, error){
		func() (string, error) { return c.Create("/words", []byte("x"), 0) },
		func() (string, error) { return c.Create("/words/e", nil, wire.FlagEphemeral) },
	} {
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"/words", "/words/e"} {
		if _, err := c.Exists(p, true); err != nil {
			t.Fatal(err)
		}
	}
	return s, c
}

func TestFourLetterWords(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		s, c := busyServer(t, f, nil)
		for _, w := range slices.Sorted(maps.Keys(wordShapes)) {
			t.Run(w, func(t *testing.T) {
				answer, err := FourLetterWord(s.Addr, w)
				if err != nil {
					t.Fatal(err)
				}
				if err := matchLines(answer, wordShapes[w]); err != nil {
					t.Errorf("%v in\n%s", err, answer)
				}
				if answer != "" && slices.Contains(withoutNewline, w) == strings.HasSuffix(answer, "\n") {
					t.Errorf("the end of %q", answer)
				}
			})
		}
		t.Run("mntr", func(t *testing.T) { testMonitor(t, s) })
		t.Run("stmk", func(t *testing.T) { testTraceMask(t, s) })
		t.Run("asking", func(t *testing.T) { testAskingConnection(t, s) })
		t.Run("counters", func(t *testing.T) { testCounters(t, s, c) })
		t.Run("unknown", func(t *testing.T) {
			if answer, err := FourLetterWord(s.Addr, "nope"); answer != "" || err != nil && !closed(err) {
				t.Errorf("%q %v", answer, err)
			}
		})
	})
}

// monitored are the keys of mntr that tools read, with their values where they
// are known.
var monitored = map[string]string{
	"zk_version": "", "zk_server_state": "standalone", "zk_znode_count": "7", "zk_watch_count": "2", "zk_ephemerals_count": "1",
	"zk_num_alive_connections": "", "zk_avg_latency": "", "zk_max_latency": "", "zk_min_latency": "", "zk_packets_received": "",
	"zk_packets_sent": "", "zk_outstanding_requests": "", "zk_approximate_data_size": "", "zk_open_file_descriptor_count": "",
	"zk_max_file_descriptor_count": "", "zk_uptime": "", "zk_global_sessions": "1", "zk_local_sessions": "0",
	"zk_auth_failed_count": "0", "zk_connection_rejected": "0", "zk_large_requests_rejected": "0",
}

// monitorLine is how every line of mntr looks.
var monitorLine = regexp.MustCompile(`^zk_\S+\t\S.*$`)

func testMonitor(t *testing.T, s *Server) {
	got := monitor(t, s)
	for k, want := range monitored {
		v, ok := got[k]
		if !ok || want != "" && v != want {
			t.Errorf("%s is %q, want %q", k, v, want)
		}
	}
}

// monitor returns the lines of mntr by key.
func monitor(t *testing.T, s *Server) map[string]string {
	t.Helper()
	answer, err := FourLetterWord(s.Addr, "mntr")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for l := range strings.Lines(answer) {
		l = strings.TrimSuffix(l, "\n")
		if !monitorLine.MatchString(l) {
			t.Errorf("line %q", l)
		}
		k, v, _ := strings.Cut(l, "\t")
		out[k] = v
	}
	return out
}

func testTraceMask(t *testing.T, s *Server) {
	before, err := FourLetterWord(s.Addr, "gtmk")
	if err != nil || before != "306" {
		t.Fatalf("gtmk: %q %v", before, err)
	}
	if answer, err := FourLetterWord(s.Addr, "stmk\x00\x00\x00\x00\x00\x00\x00\x08"); answer != "8" || err != nil {
		t.Errorf("stmk: %q %v", answer, err)
	}
	if answer, err := FourLetterWord(s.Addr, "gtmk"); answer != "8" || err != nil {
		t.Errorf("gtmk after stmk: %q %v", answer, err)
	}
	for _, short := range []string{"stmk", "stmk\x00\x00\x00\x00\x00\x00\x07"} { // without the mask, or not all of it
		start := time.Now()
		if answer, err := FourLetterWord(s.Addr, short); answer != "" || err != nil && !closed(err) || time.Since(start) > patience/2 {
			t.Errorf("%q: %q %v after %v", short, answer, err, time.Since(start))
		}
	}
	if answer, err := FourLetterWord(s.Addr, "gtmk"); answer != "8" || err != nil {
		t.Errorf("gtmk after stmk without a mask: %q %v", answer, err)
	}
}

// testAskingConnection: a word is a packet of the connection that it came by, and of the
// server.
func testAskingConnection(t *testing.T, s *Server) {
	for _, w := range []string{"stat", "cons"} {
		c, err := Dial(s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(w)); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		own := regexp.MustCompile(regexp.QuoteMeta(" /"+c.LocalAddr().String()) + `\[[01]\]\(queued=0,recved=1,sent=0\)\n`)
		if err != nil || !own.Match(answer) {
			t.Errorf("%s: %v, not %v in\n%s", w, err, own, answer)
		}
	}
	before := received(t, s)
	for range 5 {
		if _, err := FourLetterWord(s.Addr, "ruok"); err != nil {
			t.Fatal(err)
		}
	}
	if after := received(t, s); after != before+6 {
		t.Errorf("%d packets were received, and after 6 words %d", before, after)
	}
}

// received is the server's count of packets.
func received(t *testing.T, s *Server) (n int) {
	t.Helper()
	answer, err := FourLetterWord(s.Addr, "srvr")
	m := regexp.MustCompile(`(?m)^Received: (\d+)$`).FindStringSubmatch(answer)
	if err != nil || m == nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	if n, err = strconv.Atoi(m[1]); err != nil {
		t.Fatal(err)
	}
	return n
}

// testCounters: srst and crst start the counters again.
func testCounters(t *testing.T, s *Server, c *Session) {
	for range 50 {
		if _, _, err := c.Ping(); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range []string{"srst", "crst"} {
		if _, err := FourLetterWord(s.Addr, w); err != nil {
			t.Fatal(err)
		}
	}
	received := regexp.MustCompile(`(?m)^Received: (\d+)$`)
	answer, err := FourLetterWord(s.Addr, "srvr")
	if m := received.FindStringSubmatch(answer); err != nil || m == nil || len(m[1]) > 1 {
		t.Errorf("after srst: %v\n%s", err, answer)
	}
	answer, err = FourLetterWord(s.Addr, "cons")
	if err != nil || !strings.Contains(answer, "recved=0,sent=0,sid=") {
		t.Errorf("after crst: %v\n%s", err, answer)
	}
}

// TestWhitelist: only srvr is answered unless the configuration says more.
func TestWhitelist(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		for _, c := range []struct {
			whitelist string
			allowed   []string
		}{
			{"", []string{"srvr"}},
			{"stat, ruok,conf", []string{"srvr", "stat", "ruok", "conf"}},
		} {
			s := newServer(t, f, Options{"4lw.commands.whitelist": c.whitelist})
			for w := range wordShapes {
				answer, err := FourLetterWord(s.Addr, w)
				refusal := w + " is not executed because it is not in the whitelist.\n"
				if err != nil || (answer == refusal) == slices.Contains(c.allowed, w) {
					t.Errorf("whitelist %q: %s is answered %q, %v", c.whitelist, w, answer, err)
				}
			}
		}
	})
}
