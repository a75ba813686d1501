package integration

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quorate/quorate/wire"
)

// capture is one real frame.
type capture struct {
	title string // "request", "reply", "error reply", ...
	lines string // annotated hex
}

// recorder is a proxy in front of a server that keeps the frames which pass
// it, a few of each operation and client.
type recorder struct {
	net.Listener
	target string
	server string // name of the server, for the captures

	mu       sync.Mutex
	client   string
	captures map[string][]capture // by operation
	seen     map[string]bool      // operation, client and title of what is kept
	faults   []string
}

func newRecorder(t *testing.T, target, server string) *recorder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Listener: l, target: target, server: server, captures: map[string][]capture{}, seen: map[string]bool{}}
	go r.serve()
	t.Cleanup(func() { l.Close() })
	return r
}

func (r *recorder) addr() string { return r.Listener.Addr().String() }

// as names the client whose frames come next.
func (r *recorder) as(client string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.client = client
}

func (r *recorder) serve() {
	for {
		c, err := r.Accept()
		if err != nil {
			return
		}
		go r.relay(c)
	}
}

// conversation is what one connection must remember to name its replies.
type conversation struct {
	mu     sync.Mutex
	client string
	owed   map[int32][]wire.Op // operations by xid, in order
}

func (r *recorder) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	c := &conversation{client: r.client, owed: map[int32][]wire.Op{}}
	r.mu.Unlock()
	first := true
	go func() {
		defer client.Close()
		first := true
		pump(client, server, func(body []byte) bool {
			r.keepReply(c, body, first)
			first = false
			return true
		})
	}()
	pump(server, client, func(body []byte) bool {
		more := r.keepRequest(c, body, first)
		first = false
		return more
	})
}

// pump copies frames until an end closes or see says no.
func pump(dst io.Writer, src io.Reader, see func(body []byte) bool) {
	in := bufio.NewReader(src)
	for {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		if !see(body) {
			return
		}
		if _, err := dst.Write(append(head[:], body...)); err != nil {
			return
		}
	}
}

// cutPath is the path whose reading makes the recorder cut the connection, so
// that a client reconnects and sets its watches again.
const cutPath = "/cut-the-connection"

// keepRequest keeps a client's frame; false asks to cut the connection.
func (r *recorder) keepRequest(c *conversation, body []byte, first bool) bool {
	if first {
		r.keep(c, "connect", "request", body, layoutConnectRequest)
		return true
	}
	d := wire.NewReader(body)
	var h wire.RequestHeader
	h.Decode(&d)
	if h.Op == wire.OpExists && bytes.Contains(body, []byte(cutPath)) {
		return false
	}
	c.mu.Lock()
	c.owed[h.Xid] = append(c.owed[h.Xid], h.Op)
	c.mu.Unlock()
	r.keep(c, h.Op.String(), "request", body, "xid int, type int", requestLayouts[h.Op])
	return true
}

func (r *recorder) keepReply(c *conversation, body []byte, first bool) {
	if first {
		r.keep(c, "connect", "response", body, layoutConnectResponse)
		return
	}
	d := wire.NewReader(body)
	var h wire.ReplyHeader
	h.Decode(&d)
	const header = "xid int, zxid long, err int"
	if h.Xid == wire.XidNotification {
		e, _ := Reply{Body: d.Remaining()}.Event()
		r.keep(c, "notification", "notification "+eventNames[e.Type], body, header, replyLayouts[wire.OpNotification])
		return
	}
	c.mu.Lock()
	if len(c.owed[h.Xid]) == 0 {
		c.mu.Unlock()
		return
	}
	op := c.owed[h.Xid][0]
	c.owed[h.Xid] = c.owed[h.Xid][1:]
	c.mu.Unlock()
	if h.Err != wire.OK {
		r.keep(c, op.String(), fmt.Sprintf("error reply %d", h.Err), body, header)
		return
	}
	r.keep(c, op.String(), "reply", body, header, replyLayouts[op])
}

// keep stores the first frame of each operation, client and title. A multi is
// told apart by what it holds.
func (r *recorder) keep(c *conversation, op, title string, body []byte, layouts ...string) {
	lines, err := annotate(body, layouts...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.faults = append(r.faults, fmt.Sprintf("%s of %s: %v: %x", title, op, err, body))
		return
	}
	key := op + "/" + c.client + "/" + title
	if strings.HasPrefix(op, "multi") {
		for l := range strings.Lines(lines) {
			if strings.Contains(l, "] type") {
				key += l
			}
		}
	}
	if r.seen[key] {
		return
	}
	r.seen[key] = true
	way := c.client + " to " + r.server
	if title != "request" {
		way = r.server + " to " + c.client
	}
	r.captures[op] = append(r.captures[op], capture{title + ", " + way, lines})
}

// write stores one file per operation.
func (r *recorder) write(t *testing.T, dir string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.faults {
		t.Error(f)
	}
	for _, op := range slices.Sorted(maps.Keys(r.captures)) {
		var b strings.Builder
		fmt.Fprintf(&b, "# Frames of %s as real programs sent them. Made by: make record\n", op)
		for _, c := range r.captures[op] {
			fmt.Fprintf(&b, "\n%s\n%s", c.title, c.lines)
		}
		if err := os.WriteFile(filepath.Join(dir, op+".txt"), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecordGoldenCaptures records every client this repository is tested with
// and finds frames of the operations that wire/testdata holds. With
// QUORATE_RECORD=1 it writes wire/testdata again.
func TestRecordGoldenCaptures(t *testing.T) {
	s := newServer(t, ZooKeeper39, Options{"extendedTypesEnabled": "true"})
	r := newRecorder(t, s.Addr, "ZooKeeper "+referenceVersion)
	r.as("go-zookeeper 1.0.4")
	exerciseGo(t, r.addr())
	r.as("kazoo 2.8.0")
	runKazoo(t, r.addr(), "operations")
	r.as("cli_mt 3.8.0")
	runCShell(t, r.addr(), cShellCommands)
	r.as("zkCli 3.9.5")
	runShell(t, ZooKeeper39, r.addr(), recordedShellCommands)
	r.as("Java client 3.9.5")
	runJava(t, ZooKeeper39, "Operations.java", r.addr(), "extended")
	r.as("Curator 5.4.0")
	runJava(t, ZooKeeper38, "Recipes.java", r.addr())
	const golden = "../wire/testdata"
	if os.Getenv("QUORATE_RECORD") != "" {
		r.write(t, golden)
		return
	}
	dir := t.TempDir()
	r.write(t, dir)
	if got, want := fileNames(t, dir), fileNames(t, golden); !slices.Equal(got, want) {
		t.Errorf("recorded %q, %s holds %q", got, golden, want)
	}
}

func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		entries[i] = filepath.Base(entries[i])
	}
	return entries
}
