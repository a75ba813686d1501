//go:build linux

package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
)

// stormyRows stop servers.
var stormyRows = []row{
	{name: "quorum / lagging member, DIFF", play: lagging, want: `
		member behind by 100 writes, back: has them
		the leader counts 1 more DIFF, 0 more SNAP`},
	{name: "quorum / full copy, SNAP", play: wiped, want: `
		wiped and back: has all 300
		the leader counts 0 more DIFF, 1 more SNAP`},
	{name: "quorum / replicas agree", play: replicasAgree, want: `
		equal trees and digests, with a digest that all remember: true
		digest mismatches: 0`},
	{name: "quorum / election and availability", play: availability, want: `
		leaders: 1
		one voter and the observer stopped, write: ok
		not serving: srvr, stat, mntr, conf: not serving; ruok imok, isro null; a new client: no answer
		two voters stopped, a write, and they are back: closed, as by ZooKeeper: true
		or: two voters stopped, a write, and they are back: ok, as by Quorate: true
		two voters back, write: ok`},
	{name: "quorum / fail-over", play: failOver, want: `
		another leader: true
		a larger epoch: true
		acknowledged and missing: 0`},
	{name: "session / survives leader change", play: leaderChange, want: `
		the same id: true
		the ephemeral: "mine", version 0
		write: ok`},
	{name: "quorum / uncommitted tail dropped, TRUNC", play: truncated, want: `
		the leader has logged what nobody acknowledged: true
		the others show -101
		it rejoins and shows -101
		equal trees`},
	{name: "session / full restart", play: fullRestart, want: `
		the live session: attached
		its ephemeral: "mine", version 0
		the dead session's ephemeral is gone, the live one's: "mine", version 0`},
	{name: "storage / durability", play: durability, want: `
		acknowledged and missing after kill -9 of all: 0`},
}

// metric returns a counter of a member's mntr, 0 when it is not there.
func (s *scene) metric(m *ensemble.Member, key string) int {
	s.Helper()
	all, err := m.Monitor()
	s.must(err)
	n, err := strconv.ParseFloat(all[key], 64)
	if _, ok := all[key]; ok {
		s.must(err)
	}
	return int(n)
}

// write makes znodes one after another and returns how many were acknowledged
// before the connection failed.
func (c *client) write(prefix string, n int) (acknowledged int, err error) {
	for i := range n {
		if _, err := c.Create(prefix+strconv.Itoa(i), []byte(prefix), 0); err != nil {
			return i, err
		}
	}
	return n, nil
}

// missing counts the znodes of a write that a member does not show.
func (s *scene) missing(m *ensemble.Member, prefix string, n int) int {
	s.Helper()
	c := s.connect(m)
	s.must(c.sync())
	lost := 0
	for i := range n {
		if _, err := c.Exists(prefix+strconv.Itoa(i), false); errors.Is(err, wire.ErrNoNode) {
			lost++
		} else {
			s.must(err)
		}
	}
	return lost
}

// lagging: a member that was away for a while is sent what it missed.
func lagging(s *scene) {
	leader, away := s.leader(), s.followers()[0]
	diffs, snaps := s.metric(leader, "zk_diff_count"), s.metric(leader, "zk_snap_count")
	s.must(away.Stop())
	c := s.connect(leader)
	_, err := c.write(s.root+"/x", 100)
	s.must(err)
	s.must(away.Start())
	s.serves(away)
	if lost := s.missing(away, s.root+"/x", 100); lost == 0 {
		s.see("member behind by 100 writes, back: has them")
	}
	s.see("the leader counts %d more DIFF, %d more SNAP", s.metric(leader, "zk_diff_count")-diffs, s.metric(leader, "zk_snap_count")-snaps)
	_, err = s.e.Compare()
	s.must(err)
}

// wiped: a member that has lost everything but its id is sent the whole tree.
func wiped(s *scene) {
	leader, away := s.leader(), s.followers()[0]
	c := s.connect(leader)
	_, err := c.write(s.root+"/x", 300)
	s.must(err)
	diffs, snaps := s.metric(leader, "zk_diff_count"), s.metric(leader, "zk_snap_count")
	s.must(away.Stop())
	s.must(away.Empty())
	s.must(away.Start())
	s.serves(away)
	if s.missing(away, s.root+"/x", 300) == 0 {
		s.see("wiped and back: has all 300")
	}
	s.see("the leader counts %d more DIFF, %d more SNAP", s.metric(leader, "zk_diff_count")-diffs, s.metric(leader, "zk_snap_count")-snaps)
	_, err = s.e.Compare()
	s.must(err)
}

// replicasAgree: members have equal trees, and the digests that they note at
// every 128th transaction are equal too.
func replicasAgree(s *scene) {
	c := s.connect(s.followers()[0])
	_, err := c.write(s.root+"/x", 300)
	s.must(err)
	_, err = s.e.AwaitEqual()
	s.must(err)
	_, err = s.e.Compare()
	s.must(err)
	noted, mismatches := map[int64]int{}, 0
	for _, m := range s.e.Members {
		digests, err := m.Digests()
		s.must(err)
		for zxid := range digests {
			noted[zxid]++
		}
		mismatches += s.metric(m, "zk_digest_mismatches_count")
	}
	common := 0
	for _, n := range noted {
		if n == len(s.e.Members) {
			common++
		}
	}
	s.see("equal trees and digests, with a digest that all remember: %v", common > 0)
	s.see("digest mismatches: %d", mismatches)
}

// availability: a majority of the voters serves, and nothing less.
func availability(s *scene) {
	leaders := 0
	for _, m := range s.e.Members {
		st, err := m.State()
		s.must(err)
		if st.Mode == "leader" {
			leaders++
		}
	}
	s.see("leaders: %d", leaders)
	leader, f := s.leader(), s.followers()
	s.must(errors.Join(f[0].Stop(), s.observer().Stop()))
	c := s.connect(leader)
	_, err := c.Create(s.root+"/one", nil, 0)
	s.see("one voter and the observer stopped, write: %s", said(err))
	f[1].Kill()
	s.must(s.observer().Start()) // its voice does not count
	s.must(ensemble.Await("the last voter not to serve", func() error {
		if st, err := leader.State(); err == nil {
			return fmt.Errorf("it is %s", st.Mode)
		}
		return nil
	}))
	s.see("not serving: %s; a new client: %s", s.wordsWithoutQuorum(leader), s.greeting(leader))
	two := wire.CreateRequest{Path: []byte(s.root + "/two"), ACL: wire.OpenACL}
	_, sent := c.Send(wire.OpCreate, two.Append(nil, wire.OpCreate))
	s.must(s.e.Start())
	rep, err := c.Next()
	if err = errors.Join(sent, err); err == nil {
		err = codeOf(rep)
	}
	// Quorate keeps its clients while it looks for a leader (quorate.ensemble.holdClientsMs).
	if leader.Kind().Java() {
		s.see("two voters stopped, a write, and they are back: closed, as by ZooKeeper: %v", closed(err))
	} else {
		s.see("two voters stopped, a write, and they are back: ok, as by Quorate: %v", err == nil)
	}
	c = s.connect(leader)
	_, err = c.Create(s.root+"/three", nil, 0)
	s.see("two voters back, write: %s", said(err))
}

// wordsWithoutQuorum tells what a server says that serves nobody.
func (s *scene) wordsWithoutQuorum(m *ensemble.Member) string {
	var refused []string
	for _, w := range []string{"srvr", "stat", "mntr", "conf"} {
		if strings.TrimSpace(s.word(m, w)) == "This ZooKeeper instance is not currently serving requests" {
			refused = append(refused, w)
		}
	}
	return fmt.Sprintf("%s: not serving; ruok %s, isro %s", strings.Join(refused, ", "), s.word(m, "ruok"), s.word(m, "isro"))
}

// failOver: the leader is killed while a client writes through a follower.
func failOver(s *scene) {
	leader, f := s.leader(), s.followers()[0]
	before, err := leader.State()
	s.must(err)
	c := s.connect(f)
	stop, written := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { written <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := c.Create(s.root+"/x"+strconv.Itoa(n), nil, 0); err != nil {
				return // ZooKeeper closes the connection
			}
			n++
		}
	}()
	s.must(ensemble.Await("some writes", func() error {
		if st, err := f.State(); err != nil || st.Zxid < before.Zxid+50 {
			return fmt.Errorf("%+v, %w", st, err)
		}
		return nil
	}))
	leader.Kill()
	s.serves(s.followers()...)
	now := s.leader()
	after, err := now.State()
	s.must(err)
	close(stop)
	n := <-written
	s.Logf("%d writes were acknowledged", n)
	s.see("another leader: %v", now != leader)
	s.see("a larger epoch: %v", after.Zxid>>32 > before.Zxid>>32)
	s.must(s.e.Start())
	lost := 0
	for _, m := range s.e.Members {
		lost += s.missing(m, s.root+"/x", n)
	}
	s.see("acknowledged and missing: %d", lost)
}

// leaderChange: a session and its ephemeral do not notice who leads.
func leaderChange(s *scene) {
	leader, f := s.leader(), s.followers()[0]
	a := s.connect(f)
	_, err := a.Create(s.root+"/e", []byte("mine"), wire.FlagEphemeral)
	s.must(err)
	leader.Kill()
	s.serves(f)
	b := a.attach(f)
	s.see("the same id: %v", a.ID == b.ID)
	s.see("the ephemeral: %s", b.shown(s.root+"/e"))
	_, err = b.Set(s.root+"/e", nil, 0)
	s.see("write: %s", said(err))
}

// truncated: a leader that logs a write alone and dies must give it up when it
// comes back. The followers are stopped before they can read the proposal and
// killed before they go on.
func truncated(s *scene) {
	leader, f := s.leader(), s.followers()
	s.must(s.observer().Stop())
	c := s.connect(leader)
	for _, m := range f {
		s.must(m.Pause())
	}
	const marker = "nobody acknowledges this"
	lost := wire.CreateRequest{Path: []byte(s.root + "/lost"), Data: []byte(marker), ACL: wire.OpenACL}
	_, err := c.Send(wire.OpCreate, lost.Append(nil, wire.OpCreate))
	s.must(err)
	s.must(ensemble.Await("the leader to log a write", func() error { return logged(leader, marker) }))
	s.see("the leader has logged what nobody acknowledged: true")
	for _, m := range append(f, leader) {
		m.Kill()
	}
	for _, m := range f {
		s.must(m.Start())
	}
	s.serves(f...)
	d := s.connect(f[0])
	s.see("the others show %s", d.shown(s.root+"/lost"))
	_, err = d.write(s.root+"/x", 3)
	s.must(err)
	s.must(s.e.Start())
	back := s.connect(leader)
	s.must(back.sync())
	s.see("it rejoins and shows %s", back.shown(s.root+"/lost"))
	_, err = s.e.Compare()
	s.must(err)
	s.see("equal trees")
}

// logged looks for data in the files of a member's log.
func logged(m *ensemble.Member, data string) error {
	logs, err := filepath.Glob(filepath.Join(m.DataDir(), "version-2", "log.*"))
	for _, path := range logs {
		text, bad := os.ReadFile(path)
		if err = errors.Join(err, bad); bytes.Contains(text, []byte(data)) {
			return nil
		}
	}
	return errors.Join(err, fmt.Errorf("%q is in none of %d files", data, len(logs)))
}

// fullRestart: all servers are killed and started. A client that comes back
// within its timeout finds its session, and one that does not loses it.
func fullRestart(s *scene) {
	f := s.followers()
	live := s.connectWith(f[0], integration.ConnectOptions{TimeoutMs: 60000})
	dead := s.connectWith(f[1], integration.ConnectOptions{TimeoutMs: 3 * timeoutMs})
	_, err := live.Create(s.root+"/live", []byte("mine"), wire.FlagEphemeral)
	s.must(err)
	_, err = dead.Create(s.root+"/dead", nil, wire.FlagEphemeral)
	s.must(err)
	for _, m := range s.e.Members {
		m.Kill()
	}
	s.must(s.e.Start())
	back := live.attach(s.observer())
	s.see("the live session: attached")
	s.see("its ephemeral: %s", back.shown(s.root+"/live"))
	s.must(ensemble.Await("the end of the dead session", func() error {
		if _, err := back.Exists(s.root+"/dead", false); err == nil {
			return errors.New("its ephemeral is there")
		} else if !errors.Is(err, wire.ErrNoNode) {
			return err
		}
		return nil
	}))
	s.see("the dead session's ephemeral is gone, the live one's: %s", back.shown(s.root+"/live"))
}

// durability: what was acknowledged outlives the servers.
func durability(s *scene) {
	c := s.connect(s.followers()[0])
	n, err := c.write(s.root+"/x", 200)
	s.must(err)
	for _, m := range s.e.Members {
		m.Kill()
	}
	s.must(s.e.Start())
	lost := 0
	for _, m := range s.e.Members {
		lost += s.missing(m, s.root+"/x", n)
	}
	s.see("acknowledged and missing after kill -9 of all: %d", lost)
}
