package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/znode"
)

// wordBytes is the length of a command; it stands where a packet's length
// would.
const wordBytes = 4

// words are the four-letter words and what answers them (server.command in
// ZooKeeper).
var words = map[string]func(s *Server, arg []byte, w *bytes.Buffer){
	"conf": (*Server).wordConf,
	"cons": (*Server).wordCons,
	"crst": (*Server).wordCrst,
	"dirs": (*Server).wordDirs,
	"dump": (*Server).wordDump,
	"envi": (*Server).wordEnvi,
	"gtmk": func(s *Server, _ []byte, w *bytes.Buffer) { fmt.Fprint(w, s.stats.traceMask.Load()) },
	"hash": (*Server).wordHash,
	"isro": func(_ *Server, _ []byte, w *bytes.Buffer) { w.WriteString("rw") },
	"mntr": (*Server).wordMntr,
	"ruok": func(_ *Server, _ []byte, w *bytes.Buffer) { w.WriteString("imok") },
	"srst": (*Server).wordSrst,
	"srvr": func(s *Server, _ []byte, w *bytes.Buffer) { s.writeSrvr(w, nil) },
	"stat": func(s *Server, _ []byte, w *bytes.Buffer) { s.writeSrvr(w, s.writeClients) },
	"stmk": (*Server).wordStmk,
	"wchc": (*Server).wordWchc,
	"wchp": (*Server).wordWchp,
	"wchs": (*Server).wordWchs,
	// What a telnet client sends when it is interrupted.
	"\xff\xf4\xff\xfd": func(*Server, []byte, *bytes.Buffer) {},
}

// wordOf recognises a command in the first bytes of a connection.
func wordOf(b []byte) (string, bool) {
	if len(b) < wordBytes {
		return "", false
	}
	w := string(b[:wordBytes])
	_, ok := words[w]
	return w, ok
}

// wordAllowed applies the whitelist (4lw.commands.whitelist). srvr is always
// allowed.
func (s *Server) wordAllowed(w string) bool {
	return w == "srvr" || w[0] == 0xff || slices.Contains(s.cfg.Words, "*") || slices.Contains(s.cfg.Words, w)
}

// wordArgBytes is how many bytes follow a word: stmk has a mask.
func wordArgBytes(w string) int {
	if w == "stmk" {
		return 8
	}
	return 0
}

// answerWord returns a command's answer; arg is what follows it. It may take
// a while: some words look at every connection, or ask the loop.
func (s *Server) answerWord(w string, arg []byte) []byte {
	var out bytes.Buffer
	if s.wordAllowed(w) {
		words[w](s, arg, &out)
	} else {
		fmt.Fprintf(&out, "%s is not executed because it is not in the whitelist.\n", w)
	}
	return out.Bytes()
}

// writeSrvr writes what srvr and stat have in common; clients, if any, goes
// between the version and the figures.
func (s *Server) writeSrvr(w *bytes.Buffer, clients func(*bytes.Buffer)) {
	fmt.Fprintf(w, "Zookeeper version: %s\n", s.cfg.Version)
	if clients != nil {
		clients(w)
	}
	st := &s.rep.Stats
	lowest, avg, highest, _ := st.Latency()
	fmt.Fprintf(w, "Latency min/avg/max: %d/%s/%d\n", lowest, javaDouble(avg), highest)
	fmt.Fprintf(w, "Received: %d\nSent: %d\n", st.Received.Load(), st.Sent.Load())
	fmt.Fprintf(w, "Connections: %d\nOutstanding: %d\n", s.connCount(), s.outstanding())
	fmt.Fprintf(w, "Zxid: 0x%x\nMode: standalone\nNode count: %d\n", s.lastZxid(), s.nodeCount())
}

// javaDouble prints a number as ZooKeeper does: at most four decimals, at
// least one.
func javaDouble(v float64) string {
	t := strings.TrimRight(strconv.FormatFloat(v, 'f', 4, 64), "0")
	if strings.HasSuffix(t, ".") {
		t += "0"
	}
	return t
}

func (s *Server) connCount() int {
	s.connMu.Lock()
	defer s.connMu.Unlock()
	return len(s.conns)
}

// connList returns the connections in the order they came.
func (s *Server) connList() []*conn {
	s.connMu.Lock()
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	s.connMu.Unlock()
	slices.SortFunc(list, func(a, b *conn) int { return a.since.Compare(b.since) })
	return list
}

// outstanding counts the requests that are received and not answered.
func (s *Server) outstanding() int {
	total := 0
	for _, c := range s.connList() {
		_, n := c.client.Pending()
		total += n
	}
	return total
}

func (s *Server) lastZxid() (zxid int64) {
	s.view(func(tree *znode.Tree) { zxid = tree.LastZxid() })
	return zxid
}

// view calls f with the tree, locked for reading. Any goroutine may call it.
func (s *Server) view(f func(*znode.Tree)) {
	s.rep.View(func(tree *znode.Tree) {
		tree.RLock()
		defer tree.RUnlock()
		f(tree)
	})
}

// nodeCount counts as ZooKeeper does, which stores the root under two names.
func (s *Server) nodeCount() (n int64) {
	s.view(func(tree *znode.Tree) { n = tree.NodeCount() + 1 })
	return n
}

func (s *Server) writeClients(w *bytes.Buffer) {
	w.WriteString("Clients:\n")
	for _, c := range s.connList() {
		s.writeConn(w, c)
		w.WriteString(")\n")
	}
	w.WriteString("\n")
}

// writeConn writes the part of a connection's line that every one has, without
// the closing parenthesis.
func (s *Server) writeConn(w *bytes.Buffer, c *conn) {
	st := &c.client.Stats
	_, queued := c.client.Pending()
	interest := 1 // read
	if c.client.State() < replica.StateConnecting {
		interest = 0
	}
	fmt.Fprintf(w, " %s[%x](queued=%d,recved=%d,sent=%d", c, interest, queued, st.Received.Load(), st.Sent.Load())
}

func (s *Server) wordCons(_ []byte, w *bytes.Buffer) {
	for _, c := range s.connList() {
		s.writeConn(w, c)
		if sess := c.client.Session(); sess != nil {
			s.writeConnSession(w, c, sess)
		}
		w.WriteString(")\n")
	}
	w.WriteString("\n")
}

func (s *Server) writeConnSession(w *bytes.Buffer, c *conn, sess *replica.Session) {
	st := &c.client.Stats
	lowest, avg, highest, _ := st.Latency()
	fmt.Fprintf(w, ",sid=0x%x,lop=%s,est=%d,to=%d", sess.ID, st.Op().Short(), c.since.UnixMilli(), sess.TimeoutMillis())
	if x := st.LastXid.Load(); x >= 0 {
		fmt.Fprintf(w, ",lcxid=0x%x", x)
	}
	fmt.Fprintf(w, ",lzxid=0x%x,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d",
		uint64(st.LastZxid.Load()), st.LastMillis.Load(), st.LastLatency.Load(), lowest, int64(avg), highest)
}

func (s *Server) wordCrst(_ []byte, w *bytes.Buffer) {
	for _, c := range s.connList() {
		c.client.Stats.Reset()
	}
	w.WriteString("Connection stats reset.\n")
}

func (s *Server) wordSrst(_ []byte, w *bytes.Buffer) {
	s.rep.Stats.Reset()
	s.stats.reset()
	w.WriteString("Server stats reset.\n")
}

func (s *Server) wordDirs(_ []byte, w *bytes.Buffer) {
	fmt.Fprintf(w, "datadir_size: %d\nlogdir_size: %d\n", s.dataBytes(), s.logBytes())
}

func (s *Server) dataBytes() int64 { return s.store.DiskBytes() }
func (s *Server) logBytes() int64  { return dirBytes(filepath.Join(s.cfg.LogDir, versionDir)) }

func dirBytes(dir string) (total int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !e.IsDir() {
			total += info.Size()
		}
	}
	return total
}

func (s *Server) wordConf(_ []byte, w *bytes.Buffer) {
	port := -1
	if len(s.listeners) > 0 {
		if a, ok := s.listeners[0].Addr().(*net.TCPAddr); ok {
			port = a.Port
		}
	}
	c := &s.cfg
	for _, l := range []struct {
		key   string
		value any
	}{
		{"clientPort", port},
		{"secureClientPort", -1},
		{"dataDir", filepath.Join(c.DataDir, versionDir)},
		{"dataDirSize", s.dataBytes()},
		{"dataLogDir", filepath.Join(c.LogDir, versionDir)},
		{"dataLogSize", s.logBytes()},
		{"tickTime", c.TickTime.Milliseconds()},
		{"maxClientCnxns", c.ConnsPerIP},
		{"minSessionTimeout", c.SessionTimeoutMin.Milliseconds()},
		{"maxSessionTimeout", c.SessionTimeoutMax.Milliseconds()},
		{"clientPortListenBacklog", -1},
		{"serverId", 0},
	} {
		fmt.Fprintf(w, "%s=%v\n", l.key, l.value)
	}
}

func (s *Server) wordEnvi(_ []byte, w *bytes.Buffer) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	host, _ := os.Hostname()
	name, home := "", ""
	if u, err := user.Current(); err == nil {
		name, home = u.Username, u.HomeDir
	}
	dir, _ := os.Getwd()
	exe, _ := os.Executable()
	w.WriteString("Environment:\n")
	for _, l := range [][2]string{
		{"zookeeper.version", s.cfg.Version},
		{"host.name", host},
		{"java.version", runtime.Version()},
		{"java.vendor", "The Go Authors"},
		{"java.home", ""},
		{"java.class.path", exe},
		{"java.library.path", ""},
		{"java.io.tmpdir", os.TempDir()},
		{"java.compiler", runtime.Compiler},
		{"os.name", runtime.GOOS},
		{"os.arch", runtime.GOARCH},
		{"os.version", osVersion()},
		{"user.name", name},
		{"user.home", home},
		{"user.dir", dir},
		{"os.memory.free", mib(m.HeapIdle)},
		{"os.memory.max", mib(m.Sys)},
		{"os.memory.total", mib(m.Sys)},
	} {
		fmt.Fprintf(w, "%s=%s\n", l[0], l[1])
	}
}

func mib(b uint64) string { return strconv.FormatUint(b>>20, 10) + "MB" }

// osVersion is the kernel's release, where it is easy to learn.
func osVersion() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (s *Server) wordHash(_ []byte, w *bytes.Buffer) {
	for _, d := range s.rep.Digests() {
		fmt.Fprintf(w, "%x: %d\n", d.Zxid, d.Digest)
	}
}

// wordStmk sets the trace mask from the eight bytes that follow the word.
func (s *Server) wordStmk(arg []byte, w *bytes.Buffer) {
	s.stats.traceMask.Store(int64(binary.BigEndian.Uint64(arg)))
	fmt.Fprint(w, s.stats.traceMask.Load())
}

// javaDate is how java.util.Date prints itself.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

func (s *Server) wordDump(_ []byte, w *bytes.Buffer) {
	var sets []replica.SessionSet
	if !s.onLoop(func() { sets = s.rep.SessionSets() }) {
		return
	}
	total := 0
	for _, b := range sets {
		total += len(b.IDs)
	}
	fmt.Fprintf(w, "SessionTracker dump:\nSession Sets (%d)/(%d):\n", len(sets), total)
	for _, b := range sets {
		fmt.Fprintf(w, "%d expire at %s:\n", len(b.IDs), s.wallOf(b.Deadline).Format(javaDate))
		for _, id := range b.IDs {
			fmt.Fprintf(w, "\t0x%x\n", id)
		}
	}
	s.dumpEphemerals(w)
	s.dumpConns(w)
}

// wallOf turns the server's monotonic clock into time of day.
func (s *Server) wallOf(mono int64) time.Time {
	return time.Now().Add(time.Duration(mono-s.mono()) * time.Millisecond)
}

func (s *Server) dumpEphemerals(w *bytes.Buffer) {
	s.view(func(tree *znode.Tree) { dumpEphemerals(w, tree) })
}

func dumpEphemerals(w *bytes.Buffer, tree *znode.Tree) {
	ids := tree.EphemeralSessions()
	fmt.Fprintf(w, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(ids))
	for _, id := range ids {
		fmt.Fprintf(w, "0x%x:\n", id)
		for _, p := range tree.Ephemerals(id) {
			fmt.Fprintf(w, "\t%s\n", p)
		}
	}
}

// dumpConns groups the connections by when they would be closed for silence,
// in steps of ten seconds.
func (s *Server) dumpConns(w *bytes.Buffer) {
	const step = 10_000
	sets := map[int64][]*conn{}
	list := s.connList()
	for _, c := range list {
		timeout := s.cfg.HandshakeTimeout.Milliseconds()
		if sess := c.client.Session(); sess != nil {
			timeout = int64(sess.TimeoutMillis())
		}
		at := ((s.mono()+timeout)/step + 1) * step
		sets[at] = append(sets[at], c)
	}
	fmt.Fprintf(w, "Connections dump:\nConnections Sets (%d)/(%d):\n", len(sets), len(list))
	for _, at := range sortedKeys(sets) {
		fmt.Fprintf(w, "%d expire at %s:\n", len(sets[at]), s.wallOf(at).Format(javaDate))
		for _, c := range sets[at] {
			id := int64(0)
			if sess := c.client.Session(); sess != nil {
				id = sess.ID
			}
			fmt.Fprintf(w, "\tip: %s sessionId: 0x%x\n", c, id)
		}
	}
}

func sortedKeys[V any](m map[int64]V) []int64 {
	keys := make([]int64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (s *Server) wordWchs(_ []byte, w *bytes.Buffer) {
	sum := s.rep.WatchSummary()
	fmt.Fprintf(w, "%d connections watching %d paths\nTotal watches:%d\n", sum.Connections, sum.Paths, sum.Watches)
}

func (s *Server) wordWchc(_ []byte, w *bytes.Buffer) {
	s.rep.WatchesBySession(func(session int64, paths []string) {
		fmt.Fprintf(w, "0x%x\n", session)
		for _, p := range paths {
			fmt.Fprintf(w, "\t%s\n", p)
		}
	})
	w.WriteString("\n")
}

func (s *Server) wordWchp(_ []byte, w *bytes.Buffer) {
	s.rep.WatchesByPath(func(path string, sessions []int64) {
		fmt.Fprintf(w, "%s\n", path)
		for _, id := range sessions {
			fmt.Fprintf(w, "\t0x%x\n", id)
		}
	})
	w.WriteString("\n")
}

// onLoop runs f on the loop and waits for it. It is false when the server has
// stopped.
func (s *Server) onLoop(f func()) bool {
	done := make(chan struct{})
	if !s.loop.do(func() { f(); close(done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-s.stopped:
		return false
	}
}
