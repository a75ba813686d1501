//go:build linux

package quorum

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/wire"
)

// sessionRows are what an ensemble does with sessions.
var sessionRows = []row{
	{name: "session / renewal, also through a follower", calm: true, play: renewal, want: `
		after five timeouts of pings through a follower: ok
		after five timeouts of reads through the observer: ok`},
	{name: "session / expiry", calm: true, play: expiry, want: `
		events: deleted
		on member 1: invalid, node -101
		on member 2: invalid, node -101
		on member 3: invalid, node -101
		on member 4: invalid, node -101
		one transaction: true`},
	{name: "session / close", calm: true, play: closing, want: `
		close through a follower: ok, then closed
		the observer shows 0 children, cversion 10, pzxid of the closing: true
		attached again: invalid`},
	{name: "session / move between servers", calm: true, play: moving, want: `
		the same id: true
		a write through the new server: ok
		a write through the old one: closed
		the ephemeral is owned by the session: true
		back on the old server: ok`},
}

// timeoutMs is the shortest session timeout that the ensembles allow.
const timeoutMs = 1000

// renewal: a session lives as long as its client is heard of, by whomever.
func renewal(s *scene) {
	a := s.connectWith(s.followers()[0], integration.ConnectOptions{TimeoutMs: timeoutMs})
	b := s.connectWith(s.observer(), integration.ConnectOptions{TimeoutMs: timeoutMs})
	var pings, reads error
	for end := time.Now().Add(5 * timeoutMs * time.Millisecond); time.Now().Before(end) && pings == nil && reads == nil; time.Sleep(timeoutMs / 5 * time.Millisecond) {
		_, _, pings = a.Ping()
		_, _, reads = b.Get(s.root, false)
	}
	s.see("after five timeouts of pings through a follower: %s", said(pings))
	s.see("after five timeouts of reads through the observer: %s", said(reads))
}

// expiry: the session of a client that falls silent ends, once and everywhere.
func expiry(s *scene) {
	watcher := s.connect(s.leader())
	a := s.connectWith(s.followers()[1], integration.ConnectOptions{TimeoutMs: timeoutMs})
	path := s.root + "/e"
	_, err := a.Create(path, nil, wire.FlagEphemeral)
	s.must(err)
	for _, watch := range []bool{true, true} { // one event all the same
		_, err = watcher.Exists(path, watch)
		s.must(err)
	}
	rep, err := watcher.Next()
	s.must(err)
	_, events, err := watcher.Ping()
	s.must(err)
	s.see("events: %s", eventNames(append([]integration.Reply{rep}, events...)))
	zxids := map[int64]bool{}
	for _, m := range s.e.Members {
		c := s.connect(m)
		s.must(c.sync())
		_, err := c.Exists(path, false)
		zxids[s.stat(c, s.root).Pzxid] = true
		_, invalid := a.tryAttach(m)
		s.see("on member %d: %s, node %s", m.ID, saidOfAttach(invalid), said(err))
	}
	s.see("one transaction: %v", len(zxids) == 1)
}

// stat returns a znode's Stat, which must be there.
func (s *scene) stat(c *client, path string) wire.Stat {
	s.Helper()
	st, err := c.Exists(path, false)
	s.must(err)
	return st
}

// codeOf returns an answer's error code as an error.
func codeOf(rep integration.Reply) error {
	if rep.Err == wire.OK {
		return nil
	}
	return rep.Err
}

// eventNames prints notifications.
func eventNames(events []integration.Reply) string {
	var out []string
	for _, rep := range events {
		e, err := rep.Event()
		switch {
		case !rep.IsEvent() || err != nil:
			out = append(out, "no event")
		default:
			out = append(out, eventNamed[e.Type])
		}
	}
	return strings.Join(out, ", ")
}

var eventNamed = map[wire.EventType]string{
	wire.EventNodeCreated: "created", wire.EventNodeDeleted: "deleted",
	wire.EventNodeDataChanged: "changed", wire.EventNodeChildrenChanged: "children",
}

// saidOfAttach names what came of bringing a session to a server.
func saidOfAttach(err error) string {
	switch {
	case err == nil:
		return "alive"
	case errors.Is(err, integration.ErrSessionInvalid):
		return "invalid"
	default:
		return said(err)
	}
}

// closing: what a closed session owned goes with it, in one transaction.
func closing(s *scene) {
	a := s.connect(s.followers()[0])
	for i := range 5 {
		_, err := a.Create(fmt.Sprintf("%s/e%d", s.root, i), nil, wire.FlagEphemeral)
		s.must(err)
	}
	rep, _, err := a.Call(wire.OpCloseSession, nil)
	s.must(err)
	_, end := a.Next()
	s.see("close through a follower: %s, then %s", said(codeOf(rep)), said(end))
	o := s.connect(s.observer())
	s.must(o.sync())
	st := s.stat(o, s.root)
	s.see("the observer shows %d children, cversion %d, pzxid of the closing: %v", st.NumChildren, st.Cversion, st.Pzxid == rep.Zxid)
	_, err = a.tryAttach(s.leader())
	s.see("attached again: %s", saidOfAttach(err))
}

// moving: a session goes where its client goes, and the server it left learns
// of it when the old connection is used.
func moving(s *scene) {
	f := s.followers()
	old := s.connect(f[0])
	path := s.root + "/e"
	_, err := old.Create(path, []byte("0"), wire.FlagEphemeral)
	s.must(err)
	a := old.attach(f[1])
	s.see("the same id: %v", a.ID == old.ID)
	_, err = a.Set(path, []byte("1"), 0)
	s.see("a write through the new server: %s", said(err))
	_, err = old.Set(path, []byte("2"), -1)
	s.see("a write through the old one: %s", said(err))
	st := s.stat(a, path)
	s.see("the ephemeral is owned by the session: %v", st.EphemeralOwner == a.ID)
	back := a.attach(f[0])
	_, err = back.Set(path, []byte("3"), 1)
	s.see("back on the old server: %s", said(err))
}
