//go:build linux

package quorum

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

// leftAlone kills all members but one, which then serves reads only.
func (s *scene) leftAlone(m *ensemble.Member) {
	s.Helper()
	for _, o := range s.e.Except(m) {
		o.Kill()
	}
	s.must(ensemble.Await("a read-only server", func() error {
		st, err := m.State()
		if err == nil && st.Mode != "read-only" {
			err = fmt.Errorf("mode %s", st.Mode)
		}
		return err
	}))
}

// asReadOnly connects a client that can do with reads to a read-only server.
func (s *scene) asReadOnly(m *ensemble.Member) *client {
	s.Helper()
	return s.connectWith(m, integration.ConnectOptions{ReadOnly: true})
}

func readOnlyMode(s *scene) {
	m := s.followers()[0]
	c := s.connect(m)
	_, err := c.Create(s.root+"/x", []byte("1"), 0)
	s.must(err)
	s.leftAlone(m)
	s.see("one of three is left, srvr: %s", s.modeLines(m, "srvr"))
	s.see("stat: %s", s.modeLines(m, "stat"))
	all, err := m.Monitor()
	s.must(err)
	size := "no quorum_size"
	if v, ok := all["zk_quorum_size"]; ok {
		size = "quorum_size " + v
	}
	s.see("mntr: %s, %s; isro: %s", all["zk_server_state"], size, s.word(m, "isro"))
	k := s.kazoo(true, m)
	k.await("CONNECTED_RO")
	s.see("kazoo that asked for it: CONNECTED_RO, get: %s, set: %s, create: %s",
		k.say("get %s/x", s.root), k.say("set %s/x 2", s.root), k.say("create %s/y", s.root))
	ro, before := s.asReadOnly(m), s.last(m)
	s.see("%s", ro.answers(s.readRequests()))
	s.see("%s", ro.answers(s.writeRequests()))
	s.see("the writes cost nothing: %v", s.last(m) == before)
	s.see("%s", ro.answers([]request{{"close", wire.OpCloseSession, nil}}))
	s.see("its session: %s", s.attachReadOnly(m, ro))
	s.see("a client that did not ask: %s", s.greeting(m))
}

// modeLines returns the lines of a word that tell about read-only mode.
func (s *scene) modeLines(m *ensemble.Member, word string) string {
	s.Helper()
	lines := slices.DeleteFunc(shape(s.word(m, word)), func(l string) bool {
		return !strings.HasPrefix(l, "Mode: ") && !strings.HasPrefix(l, "READ-ONLY")
	})
	return strings.Join(lines, ", ")
}

// request is a request by name.
type request struct {
	name string
	op   wire.Op
	body []byte
}

// answers sends requests and tells how each is answered.
func (c *client) answers(all []request) string {
	c.s.Helper()
	var out []string
	for _, q := range all {
		rep, _, err := c.Call(q.op, q.body)
		if err == nil {
			err = codeOf(rep)
		}
		out = append(out, q.name+": "+said(err))
	}
	return strings.Join(out, ", ")
}

func (s *scene) readRequests() []request {
	path := []byte(s.root + "/x")
	read := wire.PathWatch{Path: path}.Append(nil)
	multiRead := wire.MultiHeader{Op: wire.OpGetData, Err: -1}.Append(nil)
	multiRead = wire.MultiEnd.Append(wire.PathWatch{Path: path}.Append(multiRead))
	setWatches := wire.AppendInt(wire.AppendInt(wire.AppendInt(wire.AppendLong(nil, 0), 0), 0), 0)
	return []request{
		{"getData", wire.OpGetData, read},
		{"exists", wire.OpExists, read},
		{"getChildren2", wire.OpGetChildren2, read},
		{"getACL", wire.OpGetACL, wire.AppendString(nil, string(path))},
		{"whoAmI", wire.OpWhoAmI, nil},
		{"multiRead", wire.OpMultiRead, multiRead},
		{"addWatch", wire.OpAddWatch, wire.AppendInt(wire.AppendString(nil, string(path)), 0)},
		{"setWatches", wire.OpSetWatches, setWatches},
	}
}

func (s *scene) writeRequests() []request {
	path := []byte(s.root + "/x")
	create := func(op wire.Op, flags int32) []byte {
		req := wire.CreateRequest{Path: []byte(s.root + "/y"), ACL: wire.OpenACL, Flags: flags}
		return req.Append(nil, op)
	}
	set := wire.SetDataRequest{Path: path, Version: -1}
	versioned := wire.PathVersion{Path: path, Version: -1}.Append(nil)
	multi := wire.MultiHeader{Op: wire.OpDelete, Err: -1}.Append(nil)
	null := wire.AppendInt(nil, -1)
	return []request{
		{"create", wire.OpCreate, create(wire.OpCreate, 0)},
		{"createContainer", wire.OpCreateContainer, create(wire.OpCreateContainer, wire.FlagContainer)},
		{"delete", wire.OpDelete, versioned},
		{"setData", wire.OpSetData, set.Append(nil)},
		{"setACL", wire.OpSetACL, append(append(wire.AppendString(nil, string(path)), null...), wire.AppendInt(nil, -1)...)},
		{"multi", wire.OpMulti, wire.MultiEnd.Append(append(multi, versioned...))},
		{"check", wire.OpCheck, versioned},
		{"sync", wire.OpSync, wire.AppendString(nil, string(path))},
		{"reconfig", wire.OpReconfig, slices.Concat(null, null, null, wire.AppendLong(nil, -1))},
	}
}

// attachReadOnly brings a session to a read-only server.
func (s *scene) attachReadOnly(m *ensemble.Member, c *client) string {
	s.Helper()
	conn, err := integration.Dial(m.Addr())
	s.must(err)
	defer conn.Close()
	conn.Patience = time.Second
	st, err := m.State()
	s.must(err)
	_, err = integration.Handshake(conn, integration.ConnectOptions{SessionID: c.ID, Passwd: c.Passwd, LastZxidSeen: st.Zxid, ReadOnly: true})
	if closed(err) {
		return "no answer"
	}
	return saidOfAttach(err)
}

func entryAndExit(s *scene) {
	f := s.followers()
	m := f[0]
	local, away, global := s.connect(m), s.connect(f[1]), s.connect(m)
	_, err := global.Create(s.root+"/e", nil, wire.FlagEphemeral)
	s.must(err)
	_, err = local.Create(s.root+"/x", nil, 0)
	s.must(errors.Join(err, global.sync()))
	k := s.kazoo(true, m)
	k.await("CONNECTED")
	states := k.say("state")
	s.leftAlone(m)
	_, _, err = local.Get(s.root+"/x", false)
	s.see("left alone, a client that is connected: %s", said(err))
	s.see("its session is the ensemble's: %s", s.attachReadOnly(m, global))
	s.see("a local session of the same server: %s", s.attachReadOnly(m, local))
	s.see("a local session of another server: %s", s.attachReadOnly(m, away))
	k.await("CONNECTED_RO")
	states += " to " + k.say("state")
	ro := s.asReadOnly(m)
	s.see("a session from here: %s", s.attachReadOnly(m, ro))
	s.must(s.e.Start())
	s.serves(m)
	_, _, err = ro.Get(s.root+"/x", false)
	s.see("there is a leader again, isro: %s, the client: %s", s.word(m, "isro"), said(err))
	s.see("its session from here: %s", s.attached(ro, m))
	d := s.connect(m)
	_, err = d.Exists(s.root+"/e", false)
	s.see("the ensemble's session: %s, its ephemeral: %s", s.attached(global, m), said(err))
	k.await("CONNECTED")
	s.see("kazoo goes from %s to %s, set: %s", states, k.say("state"), k.say("set %s/x 2", s.root))
}
