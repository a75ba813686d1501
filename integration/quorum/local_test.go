//go:build linux

package quorum

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

// threeOf are three voters of one kind.
func threeOf(k ensemble.Kind, options integration.Options) ensemble.Spec {
	return ensemble.Spec{Options: options, Voters: []ensemble.Kind{k, k, k}}
}

// javaAndQuorate are the two that a row is compared on.
func javaAndQuorate(java ensemble.Kind, options integration.Options) []cast {
	return []cast{{"java", threeOf(java, options)}, {"quorate", threeOf(quorate, options)}}
}

// TestLocalSessions: sessions that only their server knows.
func TestLocalSessions(t *testing.T) {
	options := integration.Options{"localSessionsEnabled": "true", "tickTime": "500"}
	play(t, javaAndQuorate(debian, options), []row{
		{name: "session / local sessions", play: localSessions, want: `
			at the follower a session costs a transaction: false
			at the follower it stands in cons: true, in dump: local; elsewhere in dump: no, no
			at the follower local_sessions 1, global_sessions 0
			at the follower write: ok
			at the follower container: ok
			at the follower ephemeral: -120
			at the follower ephemeral sequential: -120
			# A Java follower sends it on, to a leader that has never heard of the session.
			[java] at the follower ephemeral in a multi: -112
			[quorate] at the follower ephemeral in a multi: -120
			at the follower a write behind that: ok
			at the follower attached there again: alive
			at the follower attached elsewhere: invalid
			at the follower close: ok, costs a transaction: false, attached again: invalid
			at the leader a session costs a transaction: false
			at the leader it stands in cons: true, in dump: local; elsewhere in dump: no, no
			at the leader local_sessions 1, global_sessions 0
			at the leader write: ok
			at the leader container: ok
			at the leader ephemeral: -120
			at the leader ephemeral sequential: -120
			at the leader ephemeral in a multi: -120
			at the leader a write behind that: ok
			at the leader attached there again: alive
			at the leader attached elsewhere: invalid
			at the leader close: ok, costs a transaction: false, attached again: invalid
			silent for its timeout: invalid, costs a transaction: false
			its server is restarted: invalid
			# A Java server forgets its local sessions when its role changes.
			[java] the leader is killed, at a follower: invalid
			[quorate] the leader is killed, at a follower: alive`},
		{name: "local sessions of stock clients", play: localStock, want: `
			zkCli.sh create -e: KeeperErrorCode = Ephemeral node on local session
			kazoo's server is killed, at the other it has its session: false, set: ok 1`},
	})
}

func localSessions(s *scene) {
	f, leader := s.followers(), s.leader()
	s.localAt("the follower", f[0], f[1], leader)
	s.localAt("the leader", leader, f[0], f[1])
	c := s.connectWith(f[0], integration.ConnectOptions{TimeoutMs: timeoutMs})
	before := s.last(f[0])
	s.must(ensemble.Await("the session to expire", func() error { return s.inDump(f[0], c.ID, "no") }))
	s.see("silent for its timeout: %s, costs a transaction: %v", s.attached(c, f[0]), s.last(f[0]) != before)
	c = s.connect(f[0])
	f[0].Kill()
	s.must(f[0].Start())
	s.serves(f[0])
	s.see("its server is restarted: %s", s.attached(c, f[0]))
	c = s.connect(f[1])
	leader.Kill()
	s.serves(f[1])
	s.see("the leader is killed, at a follower: %s", s.attached(c, f[1]))
}

// localAt shows what a local session at m can do; others are the other members.
func (s *scene) localAt(name string, m *ensemble.Member, others ...*ensemble.Member) {
	s.Helper()
	see := func(format string, args ...any) { s.see("at "+name+" "+format, args...) }
	before := s.last(m)
	c := s.connect(m)
	see("a session costs a transaction: %v", s.last(m) != before)
	see("it stands in cons: %v, in dump: %s; elsewhere in dump: %s, %s", strings.Contains(s.word(m, "cons"), fmt.Sprintf("sid=0x%x,", c.ID)),
		s.dumped(m, c.ID), s.dumped(others[0], c.ID), s.dumped(others[1], c.ID))
	see("local_sessions %d, global_sessions %d", s.metric(m, "zk_local_sessions"), s.metric(m, "zk_global_sessions"))
	path := s.root + "/" + slug(name)
	_, err := c.Create(path, nil, 0)
	see("write: %s", said(err))
	_, err = c.create(wire.OpCreateContainer, path+"/c", wire.FlagContainer)
	see("container: %s", said(err))
	_, err = c.Create(path+"/e", nil, wire.FlagEphemeral)
	see("ephemeral: %s", said(err))
	_, err = c.create(wire.OpCreate2, path+"/e-", wire.FlagEphemeralSequential)
	see("ephemeral sequential: %s", said(err))
	see("ephemeral in a multi: %s", said(c.multiEphemeral(path)))
	_, err = c.Set(path, nil, 0)
	see("a write behind that: %s", said(err))
	see("attached there again: %s", s.attached(c, m))
	see("attached elsewhere: %s", s.attached(c, others[0]))
	c = s.connect(m)
	before = s.last(m)
	s.must(c.Close())
	see("close: ok, costs a transaction: %v, attached again: %s", s.last(m) != before, s.attached(c, m))
}

// create makes a znode that anyone may use by one of the operations for it.
func (c *client) create(op wire.Op, path string, flags int32) (integration.Reply, error) {
	req := wire.CreateRequest{Path: []byte(path), ACL: wire.OpenACL, Flags: flags}
	rep, _, err := c.Call(op, req.Append(nil, op))
	if err == nil {
		err = codeOf(rep)
	}
	return rep, err
}

// multiEphemeral makes a persistent znode and an ephemeral one in one transaction.
func (c *client) multiEphemeral(path string) error {
	var body []byte
	for i, flags := range []int32{0, wire.FlagEphemeral} {
		body = wire.MultiHeader{Op: wire.OpCreate, Err: -1}.Append(body)
		req := wire.CreateRequest{Path: fmt.Appendf(nil, "%s/m%d", path, i), ACL: wire.OpenACL, Flags: flags}
		body = req.Append(body, wire.OpCreate)
	}
	rep, _, err := c.Call(wire.OpMulti, wire.MultiEnd.Append(body))
	if err == nil {
		err = codeOf(rep)
	}
	rd := wire.NewReader(rep.Body)
	for h := (wire.MultiHeader{}); err == nil; { // the first error among the results
		h.Decode(&rd)
		switch {
		case h.Done || rd.Err() != nil:
			return rd.Err()
		case h.Op != wire.OpError:
			_ = rd.String() // the path of what was made
		default:
			if code := wire.Code(rd.Int()); code != wire.OK {
				return code
			}
		}
	}
	return err
}

// attached brings a session to a member and lets it be there.
func (s *scene) attached(c *client, m *ensemble.Member) string {
	s.Helper()
	d, err := c.tryAttach(m)
	if err == nil {
		d.Drop()
	}
	return saidOfAttach(err)
}

// dumped tells whether a member shows a session as its local one, as the ensemble's or
// not at all. Only the leader tells global sessions apart by when they expire.
func (s *scene) dumped(m *ensemble.Member, id int64) string {
	s.Helper()
	text, _, _ := strings.Cut(s.word(m, "dump"), "ephemeral nodes dump:")
	local, global, _ := strings.Cut(text, "Global Session")
	switch id := fmt.Sprintf("0x%x\n", id); {
	case strings.Contains(local, id):
		return "local"
	case strings.Contains(strings.ReplaceAll(global, "\t", "\n"), id[:len(id)-1]+"\n"):
		return "global"
	default:
		return "no"
	}
}

func (s *scene) inDump(m *ensemble.Member, id int64, want string) error {
	if got := s.dumped(m, id); got != want {
		return fmt.Errorf("session %#x stands in dump of %v: %s", id, m, got)
	}
	return nil
}

// TestUpgradedSessions: local sessions that the ensemble learns of when they own
// something, and servers that are left alone and serve reads.
func TestUpgradedSessions(t *testing.T) {
	options := integration.Options{
		"localSessionsEnabled": "true", "localSessionsUpgradingEnabled": "true", "readonlymode.enabled": "true", "tickTime": "500",
	}
	all := javaAndQuorate(debian, options)
	for i := range all {
		all[i].spec.Java = []string{"-Dreadonlymode.enabled=true"}
	}
	play(t, all, []row{
		{name: "session / local session upgrade", calm: true, play: upgrades, want: `
			at the follower before: local; elsewhere no, no
			at the follower ephemeral: ok, of the same session: true, two transactions: true
			at the follower then: global; elsewhere global, global
			at the follower local_sessions 0 more, global_sessions 1 more
			at the follower attached elsewhere: alive
			at the follower silent there for its timeout: invalid, the ephemeral: -101
			at the leader before: local; elsewhere no, no
			at the leader ephemeral: ok, of the same session: true, two transactions: true
			at the leader then: global; elsewhere global, global
			at the leader local_sessions 0 more, global_sessions 1 more
			at the leader attached elsewhere: alive
			at the leader silent there for its timeout: invalid, the ephemeral: -101
			by a multi: ok, global
			by a refused create: -101, global
			closed, the ephemeral: -101, attached again: invalid`},
		{name: "upgraded sessions of stock clients", play: upgradedStock, want: `
			kazoo makes an ephemeral: ok /upgraded-sessions-of-stock-clients/e
			its server is killed, at the other it has its session: true
			the ephemeral is its own: true`},
		{name: "read-only / mode", play: readOnlyMode, want: `
			one of three is left, srvr: READ-ONLY mode; serving only read-only clients, Mode: read-only
			stat: READ-ONLY mode; serving only read-only clients, Mode: read-only
			mntr: read-only, no quorum_size; isro: ro
			kazoo that asked for it: CONNECTED_RO, get: ok 1, set: NotReadOnlyCallError, create: NotReadOnlyCallError
			getData: ok, exists: ok, getChildren2: ok, getACL: ok, whoAmI: ok, multiRead: ok, addWatch: ok, setWatches: ok
			create: -119, createContainer: -119, delete: -119, setData: -119, setACL: -119, multi: -119, check: -119, sync: -119, reconfig: -119
			the writes cost nothing: true
			close: ok
			its session: invalid
			a client that did not ask: no answer`},
		{name: "read-only / entry and exit", play: entryAndExit, want: `
			left alone, a client that is connected: closed
			its session is the ensemble's: no answer
			# A Java server forgets its local sessions when its role changes.
			[java] a local session of the same server: invalid
			[quorate] a local session of the same server: alive
			a local session of another server: invalid
			a session from here: alive
			there is a leader again, isro: rw, the client: closed
			its session from here: invalid
			the ensemble's session: alive, its ephemeral: ok
			kazoo goes from ok CONNECTED to ok CONNECTED_RO to ok CONNECTED, set: ok 1`},
	})
}

func upgrades(s *scene) {
	f, leader := s.followers(), s.leader()
	s.upgradeAt("the follower", f[0], f[1], leader)
	s.upgradeAt("the leader", leader, f[0], f[1])
	c := s.connect(f[0])
	s.see("by a multi: %s, %s", said(c.multiEphemeral(s.root)), s.dumped(f[1], c.ID))
	refused := s.connect(f[0])
	_, err := refused.Create(s.root+"/none/e", nil, wire.FlagEphemeral)
	s.must(c.sync())
	s.see("by a refused create: %s, %s", said(err), s.dumped(f[0], refused.ID))
	s.must(c.Close())
	o := s.connect(f[1])
	s.must(o.sync())
	_, err = o.Exists(s.root+"/m1", false)
	s.see("closed, the ephemeral: %s, attached again: %s", said(err), s.attached(c, f[0]))
}

// upgradeAt shows how a session of m becomes one of the ensemble.
func (s *scene) upgradeAt(name string, m *ensemble.Member, others ...*ensemble.Member) {
	s.Helper()
	see := func(format string, args ...any) { s.see("at "+name+" "+format, args...) }
	local, global := s.metric(m, "zk_local_sessions"), s.metric(m, "zk_global_sessions")
	c := s.connectWith(m, integration.ConnectOptions{TimeoutMs: timeoutMs})
	see("before: %s; elsewhere %s, %s", s.dumped(m, c.ID), s.dumped(others[0], c.ID), s.dumped(others[1], c.ID))
	path := s.root + "/" + slug(name)
	before, err := s.memberZxid(m)
	s.must(err)
	_, err = c.Create(path, nil, wire.FlagEphemeral)
	st := s.stat(c, path)
	see("ephemeral: %s, of the same session: %v, two transactions: %v", said(err), st.EphemeralOwner == c.ID, st.Czxid == before+2)
	for _, o := range others {
		s.must(func() error { d := s.connect(o); defer d.leave(); return d.sync() }())
	}
	see("then: %s; elsewhere %s, %s", s.dumped(m, c.ID), s.dumped(others[0], c.ID), s.dumped(others[1], c.ID))
	see("local_sessions %d more, global_sessions %d more", s.metric(m, "zk_local_sessions")-local, s.metric(m, "zk_global_sessions")-global)
	see("attached elsewhere: %s", s.attached(c, others[0]))
	s.must(ensemble.Await("the session to expire", func() error { return s.inDump(m, c.ID, "no") }))
	d := s.connect(m)
	_, err = d.Exists(path, false)
	see("silent there for its timeout: %s, the ephemeral: %s", s.attached(c, others[0]), said(err))
	d.leave()
}

// memberZxid returns the last zxid of a member.
func (s *scene) memberZxid(m *ensemble.Member) (int64, error) {
	st, err := m.State()
	return st.Zxid, err
}

func upgradedStock(s *scene) {
	f := s.followers()
	k := s.kazoo(false, f...)
	k.await("CONNECTED")
	id := k.say("session")
	s.see("kazoo makes an ephemeral: %s", k.say("create %s/e ephemeral", s.root))
	f[0].Kill()
	k.insist("get %s/e", s.root)
	s.see("its server is killed, at the other it has its session: %v", k.say("session") == id)
	st := s.stat(s.connect(f[1]), s.root+"/e")
	s.see("the ephemeral is its own: %v", fmt.Sprintf("ok %x", st.EphemeralOwner) == id)
}

// last returns the last zxid of a member.
func (s *scene) last(m *ensemble.Member) string {
	s.Helper()
	st, err := m.State()
	s.must(err)
	return fmt.Sprint(st.Zxid)
}

func localStock(s *scene) {
	f := s.followers()
	_, complaints, _ := s.runCli(f[0], "create", "-e", s.root+"/e")
	at := strings.LastIndex(complaints, "KeeperErrorCode")
	said, _, _ := strings.Cut(complaints[max(at, 0):], " for ")
	s.see("zkCli.sh create -e: %s", said)
	k := s.kazoo(false, f...)
	k.await("CONNECTED")
	id := k.say("session")
	f[0].Kill()
	s.must(ensemble.Await("kazoo at the other server", func() error {
		if got := k.say("session"); got == id || k.say("state") != "ok CONNECTED" {
			return fmt.Errorf("its session is %s", got)
		}
		return nil
	}))
	_ = k.say("create %s/x", s.root)
	s.see("kazoo's server is killed, at the other it has its session: %v, set: %s", k.say("session") == id, k.say("set %s/x 1", s.root))
}
