package shell

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quorate/quorate/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is the server's end of a connection, driven by the test.
type peer struct {
	t    *testing.T
	link net.Conn
}

// harness gives a Conn whose dials the test answers.
type harness struct {
	t      *testing.T
	conn   *Conn
	dials  chan net.Conn // the server's end of each dial
	events chan Event
}

func newHarness(t *testing.T, chroot string) *harness {
	t.Helper()
	h := &harness{t: t, dials: make(chan net.Conn), events: make(chan Event, 100)}
	h.conn = Open(ConnConfig{
		Servers: []string{"a:1"}, Chroot: chroot, Timeout: time.Minute,
		OnEvent: func(e Event) { h.events <- e },
		Dial: func(ctx context.Context, _ string) (io.ReadWriteCloser, error) {
			client, server := net.Pipe()
			select {
			case h.dials <- server:
				return client, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	})
	t.Cleanup(h.conn.Close)
	return h
}

// accept takes the next dial.
func (h *harness) accept() *peer {
	h.t.Helper()
	link := <-h.dials
	h.t.Cleanup(func() { link.Close() })
	return &peer{h.t, link}
}

// event waits for the next event and compares it.
func (h *harness) event(want Event) {
	h.t.Helper()
	if got := <-h.events; got != want {
		h.t.Errorf("event %+v, want %+v", got, want)
	}
}

func stateEvent(state string) Event { return Event{State: state, Type: "None", Zxid: -1} }

func (p *peer) read() wire.Reader {
	p.t.Helper()
	frame, err := readFrame(p.link)
	if err != nil {
		p.t.Errorf("the client sent no further packet: %v", err)
	}
	return wire.NewReader(frame)
}

func (p *peer) write(body []byte) {
	p.t.Helper()
	frame, mark := wire.BeginFrame(nil)
	if _, err := p.link.Write(wire.EndFrame(append(frame, body...), mark)); err != nil {
		p.t.Errorf("write: %v", err)
	}
}

// session answers the handshake and returns what the client asked for.
func (p *peer) session(id int64, timeout int32) wire.ConnectRequest {
	p.t.Helper()
	r := p.read()
	var req wire.ConnectRequest
	req.Decode(&r)
	resp := wire.ConnectResponse{TimeOut: timeout, SessionID: id, Passwd: []byte("0123456789abcdef"), HasReadOnly: true}
	p.write(resp.Append(nil))
	return req
}

// request reads one request and checks its operation.
func (p *peer) request(want wire.Op) (wire.RequestHeader, wire.Reader) {
	p.t.Helper()
	r := p.read()
	var h wire.RequestHeader
	h.Decode(&r)
	if h.Op != want {
		p.t.Errorf("request %v, want %v", h.Op, want)
	}
	return h, r
}

func (p *peer) reply(xid int32, zxid int64, code wire.Code, body []byte) {
	p.t.Helper()
	p.write(append(wire.ReplyHeader{Xid: xid, Zxid: zxid, Err: code}.Append(nil), body...))
}

// stopped answers the end of the session in the background, for Close.
func (p *peer) stopped() {
	go func() {
		frame, err := readFrame(p.link)
		if err != nil {
			return
		}
		r := wire.NewReader(frame)
		var h wire.RequestHeader
		h.Decode(&r)
		p.reply(h.Xid, 9, wire.OK, nil)
		p.link.Close()
	}()
}

// asked runs a request beside the test; wait returns its error.
func asked(request func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- request() }()
	return func() error { return <-done }
}

func TestRequestsGoOutAndRepliesComeBack(t *testing.T) {
	h := newHarness(t, "")
	var stat wire.Stat
	var data []byte
	wait := asked(func() (err error) {
		data, stat, err = h.conn.Get("/a", false)
		return err
	})
	p := h.accept()
	req := p.session(0x77, 40000)
	if req.TimeOut != 60000 || req.SessionID != 0 || !req.HasReadOnly || req.ReadOnly {
		t.Errorf("handshake %+v", req)
	}
	h.event(stateEvent("SyncConnected"))
	header, body := p.request(wire.OpGetData)
	var get wire.PathWatch
	get.Decode(&body)
	if string(get.Path) != "/a" || get.Watch || header.Xid != 1 {
		t.Errorf("request %+v %+v", header, get)
	}
	want := wire.Stat{Czxid: 5, Version: 3, DataLength: 1}
	p.reply(wire.XidPing, 6, wire.OK, nil) // a ping's reply is nobody's
	p.reply(header.Xid, 7, wire.OK, want.Append(wire.AppendBuffer(nil, []byte("x"))))
	if err := wait(); err != nil || string(data) != "x" || stat != want {
		t.Errorf("%q %+v %v", data, stat, err)
	}
	if h.conn.State() != "CONNECTED" {
		t.Errorf("state %s", h.conn.State())
	}
	p.stopped()
	h.conn.Close()
	h.event(stateEvent("Closed"))
	if err := h.conn.Delete("/a", -1); !errors.Is(err, ErrClosed) || h.conn.State() != "CLOSED" {
		t.Errorf("after Close: %v, %s", err, h.conn.State())
	}
}

func TestErrorCodesComeBackAsTheyAre(t *testing.T) {
	h := newHarness(t, "")
	wait := asked(func() error { return h.conn.Delete("/a", 3) })
	p := h.accept()
	p.session(1, 40000)
	header, _ := p.request(wire.OpDelete)
	p.reply(header.Xid, 7, wire.ErrBadVersion, nil)
	if err := wait(); !errors.Is(err, wire.ErrBadVersion) {
		t.Errorf("error %v", err)
	}
	wait = asked(func() error { return h.conn.DeleteAll([]string{"/a", "/b", "/c"}) })
	header, _ = p.request(wire.OpMulti)
	var body []byte
	for _, code := range []wire.Code{wire.OK, wire.ErrNotEmpty, wire.ErrRuntimeInconsistency} {
		body = wire.AppendInt(wire.MultiHeader{Op: wire.OpError, Err: code}.Append(body), int32(code))
	}
	p.reply(header.Xid, 8, wire.OK, wire.MultiEnd.Append(body))
	if err := wait(); !errors.Is(err, wire.ErrNotEmpty) {
		t.Errorf("failed multi: %v, want the culprit's code", err)
	}
	p.stopped()
}

func TestSessionMovesToANewConnection(t *testing.T) {
	h := newHarness(t, "")
	wait := asked(func() error { return h.conn.AddWatch("/r", true) })
	p := h.accept()
	p.session(0x77, 40000)
	h.event(stateEvent("SyncConnected"))
	header, _ := p.request(wire.OpAddWatch)
	p.reply(header.Xid, 50, wire.OK, nil)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	wait = asked(func() error { return h.conn.AddAuth("digest", []byte("u:p")) })
	p.request(wire.OpAuth)
	p.reply(wire.XidAuth, 0, wire.OK, nil)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	wait = asked(func() error { _, err := h.conn.Exists("/none", true); return err })
	header, _ = p.request(wire.OpExists)
	p.reply(header.Xid, 51, wire.ErrNoNode, nil)
	if err := wait(); !errors.Is(err, wire.ErrNoNode) {
		t.Fatal(err)
	}

	wait = asked(func() error { return h.conn.Sync("/") })
	p.request(wire.OpSync)
	p.link.Close()
	if err := wait(); !errors.Is(err, ErrConnectionLoss) {
		t.Errorf("a request under way: %v", err)
	}
	h.event(stateEvent("Disconnected"))

	wait = asked(func() error { return h.conn.Sync("/") })
	p = h.accept()
	req := p.session(0x77, 40000)
	if req.SessionID != 0x77 || string(req.Passwd) != "0123456789abcdef" || req.LastZxidSeen != 51 {
		t.Errorf("handshake %+v", req)
	}
	h.event(stateEvent("SyncConnected"))
	p.request(wire.OpAuth)
	p.reply(wire.XidAuth, 0, wire.OK, nil)
	_, body := p.request(wire.OpSetWatches2)
	var watches wire.SetWatchesRequest
	watches.Decode(&body, wire.OpSetWatches2)
	if watches.RelativeZxid != 51 || len(watches.Lists[existWatch]) != 1 || len(watches.Lists[recursiveWatch]) != 1 || len(watches.Lists[dataWatch]) != 0 {
		t.Errorf("watches %+v", watches)
	}
	p.reply(wire.XidSetWatches, 52, wire.OK, nil)
	header, _ = p.request(wire.OpSync)
	p.reply(header.Xid, 52, wire.OK, wire.AppendString(nil, "/"))
	if err := wait(); err != nil {
		t.Errorf("a request made meanwhile: %v", err)
	}
	p.stopped()
}

func TestExpiredSessionIsOver(t *testing.T) {
	h := newHarness(t, "")
	p := h.accept()
	p.session(0, 0)
	h.event(stateEvent("Expired"))
	if err := h.conn.Sync("/"); err == nil {
		t.Error("a request succeeded")
	}
	h.conn.Close()
	if h.conn.State() != "CLOSED" {
		t.Errorf("state %s", h.conn.State())
	}
}

func TestRefusedCredentialsEndTheSession(t *testing.T) {
	h := newHarness(t, "")
	p := h.accept()
	p.session(1, 40000)
	h.event(stateEvent("SyncConnected"))
	h.sync(p)
	wait := asked(func() error { return h.conn.AddAuth("odd", nil) })
	p.request(wire.OpAuth)
	p.reply(wire.XidAuth, 0, wire.ErrAuthFailed, nil)
	h.event(stateEvent("AuthFailed"))
	if err := wait(); !errors.Is(err, wire.ErrAuthFailed) {
		t.Errorf("error %v", err)
	}
	if err := h.conn.Sync("/"); !errors.Is(err, ErrClosed) || h.conn.State() != "AUTH_FAILED" {
		t.Errorf("afterwards: %v, %s", err, h.conn.State())
	}
}

// sync makes sure that the client takes the connection for made.
func (h *harness) sync(p *peer) {
	h.t.Helper()
	wait := asked(func() error { return h.conn.Sync("/") })
	header, _ := p.request(wire.OpSync)
	p.reply(header.Xid, 1, wire.OK, wire.AppendString(nil, "/"))
	if err := wait(); err != nil {
		h.t.Fatal(err)
	}
}

func TestChrootIsPutOnAndTakenOff(t *testing.T) {
	h := newHarness(t, "/app")
	p := h.accept()
	p.session(1, 40000)
	h.event(stateEvent("SyncConnected"))
	var created string
	wait := asked(func() (err error) {
		created, err = h.conn.Create("/a", nil, openACL, wire.FlagPersistent, -1)
		return err
	})
	header, body := p.request(wire.OpCreate)
	var req wire.CreateRequest
	req.Decode(&body, wire.OpCreate)
	if string(req.Path) != "/app/a" || req.Data != nil {
		t.Errorf("create %q %v", req.Path, req.Data)
	}
	// An event that the write caused comes before its reply, and is printed
	// before it.
	p.write(wire.AppendNotification(nil, 5, wire.EventNodeCreated, "/app/a")[wire.FrameHeaderBytes:])
	p.reply(header.Xid, 5, wire.OK, wire.AppendString(nil, "/app/a"))
	if err := wait(); err != nil || created != "/a" {
		t.Errorf("created %q, %v", created, err)
	}
	h.event(Event{State: "SyncConnected", Type: "NodeCreated", Path: "/a", Zxid: 5})
	wait = asked(func() error { _, _, err := h.conn.Config(false); return err })
	header, body = p.request(wire.OpGetData)
	if path := body.String(); path != configPath {
		t.Errorf("the configuration was read at %q", path)
	}
	p.reply(header.Xid, 5, wire.ErrNoNode, nil)
	_ = wait()
	for full, want := range map[string]string{"/app": "/", "/app/x": "/x", "/apple": "/apple", "/zookeeper/config": "/zookeeper/config"} {
		if got := cutChroot("/app", full); got != want {
			t.Errorf("%s without the chroot is %q, want %q", full, got, want)
		}
	}
	if string(h.conn.full("/")) != "/app" {
		t.Errorf("the root is %q", h.conn.full("/"))
	}
	p.stopped()
}

func TestRemovedWatchesAreReported(t *testing.T) {
	h := newHarness(t, "")
	if err := h.conn.RemoveWatches("/a", wire.WatcherAny, false); !errors.Is(err, wire.ErrNoWatcher) {
		t.Errorf("nothing watched: %v", err)
	}
	p := h.accept()
	p.session(1, 40000)
	h.event(stateEvent("SyncConnected"))
	wait := asked(func() error { _, _, err := h.conn.Get("/a", true); return err })
	header, _ := p.request(wire.OpGetData)
	p.reply(header.Xid, 1, wire.OK, new(wire.Stat).Append(wire.AppendBuffer(nil, nil)))
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	wait = asked(func() error { return h.conn.AddWatch("/a", false) })
	header, _ = p.request(wire.OpAddWatch)
	p.reply(header.Xid, 1, wire.OK, nil)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	wait = asked(func() error { return h.conn.RemoveWatches("/a", wire.WatcherAny, false) })
	header, _ = p.request(wire.OpRemoveWatches)
	p.reply(header.Xid, 1, wire.OK, nil)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	h.event(Event{State: "SyncConnected", Type: "DataWatchRemoved", Path: "/a", Zxid: -1})
	h.event(Event{State: "SyncConnected", Type: "PersistentWatchRemoved", Path: "/a", Zxid: -1})
	p.stopped()
}

// TestBadServersLoseTheConnection sends what no server should: the request
// under way fails, nothing panics, and the client tries again.
func TestBadServersLoseTheConnection(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"negative length":       {0xff, 0xff, 0xff, 0xff},
		"absurd length":         {0x7f, 0xff, 0xff, 0xff},
		"length beyond the end": {0, 0, 1, 0, 1, 2, 3},
		"empty packet":          {0, 0, 0, 0},
		"short header":          {0, 0, 0, 4, 0, 0, 0, 1},
		"out of turn":           append([]byte{0, 0, 0, 16}, wire.ReplyHeader{Xid: 99}.Append(nil)...),
		"short event":           append([]byte{0, 0, 0, 16}, wire.ReplyHeader{Xid: wire.XidNotification}.Append(nil)...),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, "")
			wait := asked(func() error { return h.conn.Sync("/") })
			p := h.accept()
			p.session(1, 40000)
			p.request(wire.OpSync)
			// The pipe has no buffer: the client may hang up before it has
			// taken everything.
			_, _ = p.link.Write(bytes)
			p.link.Close()
			if err := wait(); !errors.Is(err, ErrConnectionLoss) {
				t.Errorf("error %v", err)
			}
			p = h.accept()
			p.session(1, 40000)
			h.sync(p)
			p.stopped()
		})
	}
}

func TestShortRepliesAreErrorsOfTheirRequest(t *testing.T) {
	h := newHarness(t, "")
	p := h.accept()
	p.session(1, 40000)
	h.sync(p)
	for _, request := range []func() error{
		func() error { _, _, err := h.conn.Get("/", false); return err },
		func() error { _, _, err := h.conn.Children("/", false); return err },
		func() error { _, _, err := h.conn.ACL("/"); return err },
		func() error { _, err := h.conn.WhoAmI(); return err },
		func() error { _, err := h.conn.Ephemerals("/"); return err },
		func() error { _, err := h.conn.AllChildrenNumber("/"); return err },
	} {
		wait := asked(request)
		r := p.read()
		var header wire.RequestHeader
		header.Decode(&r)
		p.reply(header.Xid, 1, wire.OK, []byte{0x7f, 0xff})
		if err := wait(); err == nil || !strings.Contains(err.Error(), "malformed") {
			t.Errorf("%v: error %v", header.Op, err)
		}
	}
	p.stopped()
}

func TestCloseWhileConnecting(t *testing.T) {
	h := newHarness(t, "") // nobody answers the dial
	wait := asked(func() error { return h.conn.Sync("/") })
	h.conn.Close()
	if err := wait(); err == nil {
		t.Error("a request succeeded")
	}
	p := newHarness(t, "") // the dial succeeds, the handshake does not come
	link := <-p.dials
	defer link.Close()
	p.conn.Close()
}

func TestManyRequestsAtOnce(t *testing.T) {
	h := newHarness(t, "")
	p := h.accept()
	p.session(1, 40000)
	h.sync(p)
	const n = 50
	var wg sync.WaitGroup
	for range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := h.conn.Sync("/"); err != nil {
				t.Error(err)
			}
		}()
	}
	var xids []int32
	for range n {
		header, _ := p.request(wire.OpSync)
		xids = append(xids, header.Xid)
		p.reply(header.Xid, 1, wire.OK, wire.AppendString(nil, "/"))
	}
	wg.Wait()
	if !slices.IsSorted(xids) {
		t.Errorf("xids %v do not rise", xids)
	}
	p.stopped()
}
