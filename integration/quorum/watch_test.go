//go:build linux

package quorum

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

// watchRows are watches whose client and whose change are at different servers,
// and clients that go elsewhere.
var watchRows = []row{
	{name: "watch / changes made through other servers", calm: true, play: farWatches, want: `
		created, changed, children, deleted
		each before the read that shows the change: true`},
	{name: "watch / re-registration (setWatches 101), on another server", calm: true, play: movedWatches, want: `
		on the way: changed, children, created, deleted
		later: changed`},
	{name: "session / client fail-over", play: clientFailOver, want: `
		go-zookeeper, its server killed: another server, the same session
		its watch, for a change made meanwhile: EventNodeDataChanged, then it reads "meanwhile"
		its ephemeral is there and its own: true
		requests go on: ok`},
}

// ask sends a request and returns its answer and the events before it.
func (c *client) ask(op wire.Op, body []byte) (integration.Reply, string) {
	c.s.Helper()
	rep, events, err := c.Call(op, body)
	c.s.must(err)
	return rep, eventNames(events)
}

// readRequest is the body of a request for a znode's data, its existence or its
// children.
func readRequest(path string, watch bool) []byte {
	return wire.PathWatch{Path: []byte(path), Watch: watch}.Append(nil)
}

// farWatches: a client at one server watches what another changes.
func farWatches(s *scene) {
	a, b := s.connect(s.followers()[0]), s.connect(s.followers()[1])
	path := s.root + "/x"
	var events []string
	inOrder := true
	for _, step := range []struct {
		op     wire.Op
		change func() error
	}{
		{wire.OpExists, func() error { _, err := b.Create(path, nil, 0); return err }},
		{wire.OpGetData, func() error { _, err := b.Set(path, []byte("1"), 0); return err }},
		{wire.OpGetChildren, func() error { _, err := b.Create(path+"/y", nil, 0); return err }},
		{wire.OpExists, func() error { return errors.Join(b.Delete(path+"/y", -1), b.Delete(path, -1)) }},
	} {
		a.ask(step.op, readRequest(path, true))
		s.must(step.change())
		_, now, _ := b.Get(path, false)
		var came string
		for shown := false; !shown; {
			rep, more := a.ask(wire.OpExists, readRequest(path, false))
			came += more
			var got wire.Stat
			if r := wire.NewReader(rep.Body); rep.Err == wire.OK {
				got.Decode(&r)
			}
			shown = got == now
			inOrder = inOrder && shown == (came != "")
		}
		events = append(events, came)
	}
	s.see("%s", strings.Join(events, ", "))
	s.see("each before the read that shows the change: %v", inOrder)
}

// movedWatches: a client tells the server that it has come to what it had
// watched at another one.
func movedWatches(s *scene) {
	w := s.connect(s.leader())
	for _, name := range []string{"data", "parent", "gone", "later"} {
		_, err := w.Create(s.root+"/"+name, nil, 0)
		s.must(err)
	}
	a := s.connect(s.followers()[0])
	rep, _ := a.ask(wire.OpSync, wire.AppendString(nil, "/"))
	_, err := w.Set(s.root+"/data", nil, -1)
	s.must(err)
	for _, path := range []string{"/born", "/parent/x"} {
		_, err := w.Create(s.root+path, nil, 0)
		s.must(err)
	}
	s.must(w.Delete(s.root+"/gone", -1))
	b := a.attach(s.observer())
	s.must(b.sync())
	path := func(name string) []byte { return []byte(s.root + "/" + name) }
	req := wire.SetWatchesRequest{RelativeZxid: rep.Zxid}
	req.Lists[0] = [][]byte{path("data"), path("gone"), path("later")}
	req.Lists[1] = [][]byte{path("born")}
	req.Lists[2] = [][]byte{path("parent")}
	_, events := b.ask(wire.OpSetWatches, req.Append(nil, wire.OpSetWatches))
	names := strings.Split(events, ", ")
	slices.Sort(names)
	s.see("on the way: %s", strings.Join(names, ", "))
	_, err = w.Set(s.root+"/later", nil, -1)
	s.must(err)
	event, err := b.Next()
	s.must(err)
	s.see("later: %s", eventNames([]integration.Reply{event}))
}

// clientFailOver: a stock client with a list of servers loses the one it is
// connected to.
func clientFailOver(s *scene) {
	f := s.followers()
	first := f[0]
	var connected atomic.Int32
	conn, session, err := zk.Connect(s.e.Addrs(), 20*time.Second, zk.WithLogger(silent{}), zk.WithLogInfo(false),
		zk.WithHostProvider(&ordered{first: first.Addr(), others: []string{f[1].Addr(), s.leader().Addr()}}),
		zk.WithEventCallback(func(e zk.Event) {
			if e.State == zk.StateHasSession {
				connected.Add(1)
			}
		}))
	s.must(err)
	go func() {
		for range session { // until the client is closed
		}
	}()
	s.Cleanup(conn.Close)
	path := s.root + "/x"
	_, err = conn.Create(path, nil, 0, zk.WorldACL(zk.PermAll))
	s.must(err)
	_, err = conn.Create(path+"/e", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
	s.must(err)
	_, _, events, err := conn.GetW(path)
	s.must(err)
	id, at := conn.SessionID(), conn.Server()
	first.Kill()
	w := s.connect(s.leader())
	_, err = w.Set(path, []byte("meanwhile"), -1)
	s.must(err)
	e := <-events
	var data []byte
	s.must(ensemble.Await("the client to be connected", func() (err error) { data, _, err = conn.Get(path); return err }))
	another, same := "the same server", "another session"
	if conn.Server() != at && at == first.Addr() {
		another = "another server"
	}
	if conn.SessionID() == id {
		same = "the same session"
	}
	s.see("go-zookeeper, its server killed: %s, %s", another, same)
	s.see("its watch, for a change made meanwhile: %v, then it reads %q", e.Type, data)
	ok, st, err := conn.Exists(path + "/e")
	s.must(err)
	s.see("its ephemeral is there and its own: %v", ok && st.EphemeralOwner == id)
	_, err = conn.Set(path, nil, -1)
	s.see("requests go on: %s", said(err))
}

type silent struct{}

// Printf implements zk.Logger.
func (silent) Printf(string, ...any) {}

// ordered gives a client its first server first.
type ordered struct {
	first  string
	others []string
	n      int
}

// Init implements zk.HostProvider.
func (*ordered) Init([]string) error { return nil }

// Len implements zk.HostProvider.
func (o *ordered) Len() int { return 1 + len(o.others) }

// Next implements zk.HostProvider.
func (o *ordered) Next() (server string, retryStart bool) {
	o.n++
	if o.n == 1 {
		return o.first, false
	}
	return o.others[o.n%len(o.others)], o.n%len(o.others) == 0
}

// Connected implements zk.HostProvider.
func (*ordered) Connected() {}
