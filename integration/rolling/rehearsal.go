//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/integration/history"
	"github.com/quorate/quorate/integration/witness"
)

// Orders in which servers are replaced.
const (
	orderLeaderLast  = "leader-last" // as operators are told to
	orderLeaderFirst = "leader-first"
	orderByID        = "by-id"
)

// plan says what is rehearsed.
type plan struct {
	java                   ensemble.Kind
	dir, order             string
	servers, nodes, writes int
	seed                   uint64
	out                    io.Writer
}

// sessionTimeout is what the clients ask for: far longer than any step should
// take, so that an expired session is the servers' fault.
const sessionTimeout = 20 * time.Second

// patience is a guard against hanging.
const patience = 3 * time.Minute

// javaLeaves is what a Java follower prints when its leader goes while it has
// something to acknowledge: the thread falls over the closed socket, and the server
// begins anew with the next leader.
var javaLeaves = regexp.MustCompile(`Severe unrecoverable error, from thread : SyncThread`)

// rehearsal is one under way.
type rehearsal struct {
	plan
	e     *ensemble.Ensemble
	crowd *witness.Crowd
	locks []*witness.Locker
}

func newRehearsal(p plan) (*rehearsal, error) {
	s := ensemble.Spec{Voters: slices.Repeat([]ensemble.Kind{p.java}, p.servers), Expected: javaLeaves}
	if err := s.Available(); err != nil {
		return nil, err
	}
	e, err := ensemble.New(p.dir, s)
	if err != nil {
		return nil, err
	}
	return &rehearsal{plan: p, e: e}, nil
}

func (r *rehearsal) close() {
	for _, l := range r.locks {
		l.Kill()
	}
	if r.crowd != nil {
		r.crowd.Stop()
	}
	r.e.Close()
}

func (r *rehearsal) say(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

// run replaces all servers and puts them back.
func (r *rehearsal) run(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	for _, to := range []ensemble.Kind{integration.Quorate, r.java} {
		for done := []int{}; len(done) < r.servers; {
			m, err := r.next(done)
			if err != nil {
				return err
			}
			if err := r.step(ctx, m, to); err != nil {
				return fmt.Errorf("server %d to %s: %w\n%s", m.ID, to, err, r.e.LastLines(12))
			}
			done = append(done, m.ID)
		}
		if err := r.compare(to); err != nil {
			return err
		}
	}
	return r.judge(ctx)
}

// begin starts the Java ensemble, fills it and lets clients loose on it.
func (r *rehearsal) begin(ctx context.Context) error {
	if err := r.e.Start(); err != nil {
		return err
	}
	if err := fill(r.e.Addrs(), r.nodes); err != nil {
		return fmt.Errorf("the data set: %w", err)
	}
	r.say("%d servers of Java %s, %d znodes", r.servers, r.java, r.nodes)
	p := witness.Everyone(r.e.Addrs())
	p.Seed, p.SessionTimeout = r.seed, sessionTimeout
	var err error
	if r.crowd, err = witness.Gather(ctx, p); err != nil {
		return err
	}
	if err := r.startLockers(); err != nil {
		return err
	}
	r.say("clients: %v; two of kazoo with a lock; and two of Curator with another", p)
	return r.progress(ctx)
}

// startLockers starts the clients in other languages.
func (r *rehearsal) startLockers() error {
	for range 2 {
		l, err := witness.StartKazoo(r.dir, r.e.Addrs(), sessionTimeout, false)
		if err != nil {
			return err
		}
		r.locks = append(r.locks, l)
	}
	l, err := witness.StartCurator(r.dir, r.e.Addrs(), sessionTimeout)
	if err == nil {
		r.locks = append(r.locks, l)
	}
	return err
}

// next chooses the server whose turn it is.
func (r *rehearsal) next(done []int) (*ensemble.Member, error) {
	leader, err := r.e.AwaitLeader()
	if err != nil {
		return nil, err
	}
	var left []*ensemble.Member
	for _, m := range r.e.Members {
		if !slices.Contains(done, m.ID) && m != leader {
			left = append(left, m)
		}
	}
	leads := !slices.Contains(done, leader.ID)
	switch {
	case leads && (len(left) == 0 || r.order == orderLeaderFirst):
		return leader, nil
	case leads && r.order == orderByID && leader.ID < left[0].ID:
		return leader, nil
	default:
		return left[0], nil
	}
}

// step replaces one server: stop it, start the other implementation on the same
// directories, wait until it follows and answers a sync.
func (r *rehearsal) step(ctx context.Context, m *ensemble.Member, to ensemble.Kind) error {
	leader, err := r.e.AwaitLeader()
	if err != nil {
		return err
	}
	role := "follower"
	if leader == m {
		role = "leader"
	}
	from, begun, expired := m.Kind(), r.crowd.Log.Now(), r.crowd.Expired()
	if err := r.exchange(m, to); err != nil {
		return err
	}
	if err := m.AwaitSynced(); err != nil {
		return err
	}
	took := r.crowd.Log.Now() - begun
	if err := r.progress(ctx); err != nil {
		return err
	}
	pause := history.Pause(r.crowd.Log.Ops(), begun, r.crowd.Log.Now())
	r.say("server %d, %s: %s -> %s, synchronized after %v; longest time without an acknowledged write %v; sessions expired %d",
		m.ID, role, from, to, took.Round(time.Millisecond), pause.Round(time.Millisecond), r.crowd.Expired()-expired)
	return nil
}

// exchange stops a server and starts another in its place. A directory goes back to
// Java by an export in place.
func (r *rehearsal) exchange(m *ensemble.Member, to ensemble.Kind) error {
	from := m.Kind()
	if err := m.Stop(); err != nil {
		return err
	}
	if from == integration.Quorate && to.Java() {
		if err := exportInPlace(m); err != nil {
			return err
		}
	}
	if err := m.Replace(to); err != nil {
		return err
	}
	return m.Start()
}

// exportInPlace runs quorate export --in-place.
func exportInPlace(m *ensemble.Member) error {
	cfg := filepath.Join(m.Dir, "zoo.cfg")
	server, err := integration.ServerCommand(integration.Quorate, cfg)
	if err != nil {
		return err
	}
	cmd := exec.Command(server.Path, "export", "--in-place", cfg) //nolint:gosec // our own binary
	cmd.Env, cmd.Dir = server.Env, server.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("quorate export --in-place: %w: %s", err, out)
	}
	return nil
}

func (r *rehearsal) progress(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return r.crowd.AwaitProgress(ctx, r.writes)
}

// compare looks whether the servers have the same digests while all run to.
func (r *rehearsal) compare(to ensemble.Kind) error {
	if err := r.e.Check(); err != nil {
		return err
	}
	r.say("all servers are %s now; nothing in their logs and metrics that must not be", to)
	return nil
}

// judge ends the work and says what the clients saw.
func (r *rehearsal) judge(ctx context.Context) error {
	var errs []error
	for _, l := range r.locks {
		turns, err := l.Finish()
		errs = append(errs, err)
		r.say("%s: %d times in the lock", l.Name, turns)
	}
	found, err := r.crowd.Judge(ctx)
	errs = append(errs, err)
	r.say("clients: %v", found)
	if found.Expired > 0 {
		errs = append(errs, fmt.Errorf("%d sessions expired", found.Expired))
	}
	nodes, err := r.e.Compare()
	errs = append(errs, err, r.e.Check())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.say("trees: %d znodes, equal on all servers", nodes)
	r.say("acknowledged writes lost: 0; sessions lost: 0; locks held twice: 0; histories linearizable")
	return nil
}

// fill makes n znodes below /data, in requests of many.
func fill(addrs []string, n int) error {
	c, _, err := zk.Connect(addrs, sessionTimeout, zk.WithLogInfo(false))
	if err != nil {
		return err
	}
	defer c.Close()
	acl := zk.WorldACL(zk.PermAll)
	if _, err := c.Create("/data", nil, 0, acl); err != nil {
		return err
	}
	value := []byte(strings.Repeat("x", 100))
	for i := 0; i < n; {
		var ops []any
		for ; i < n && len(ops) < 500; i++ {
			ops = append(ops, &zk.CreateRequest{Path: fmt.Sprintf("/data/n%07d", i), Data: value, Acl: acl})
		}
		if _, err := c.Multi(ops...); err != nil {
			return err
		}
	}
	return nil
}
