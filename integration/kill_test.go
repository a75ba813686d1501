package integration

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quorate/quorate/wire"
)

// writer is one client of the kill test. It creates nodes, counts in a node,
// and does both in multis, and knows what was acknowledged.
type writer struct {
	name string
	sess *Session
	// tried and acked count the three kinds of writes that were sent and that
	// were answered.
	tried, acked [3]int
	acks         *atomic.Int64
}

// The kinds of writes, each with its own nodes below the writer's.
const (
	kindCreate = iota // create <w>/n-<i>
	kindSet           // setData <w> "<i>", version i-1
	kindMulti         // multi: create <w>/m/<i>, setData <w>/m "<i>"
)

func (w *writer) dir() string { return "/kill/" + w.name }

// prepare makes the writer's nodes on a new server.
func (w *writer) prepare() error {
	for _, p := range []string{w.dir(), w.dir() + "/m"} {
		if _, err := w.sess.Create(p, []byte("0"), 0); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

// write sends the next request of a kind and waits for its answer.
func (w *writer) write(kind int) error {
	i := w.tried[kind] + 1
	w.tried[kind] = i
	var err error
	switch kind {
	case kindCreate:
		_, err = w.sess.Create(fmt.Sprintf("%s/n-%d", w.dir(), i), payload(i), 0)
	case kindSet:
		_, err = w.sess.Set(w.dir(), fmt.Append(nil, i), -1)
	case kindMulti:
		err = w.multi(i)
	}
	if err != nil {
		return err
	}
	w.acked[kind] = i
	w.acks.Add(1)
	return nil
}

func (w *writer) multi(i int) error {
	create := wire.CreateRequest{Path: fmt.Appendf(nil, "%s/m/%d", w.dir(), i), Data: payload(i), ACL: wire.OpenACL}
	set := wire.SetDataRequest{Path: []byte(w.dir() + "/m"), Data: fmt.Append(nil, i), Version: -1}
	body := wire.MultiHeader{Op: wire.OpCreate, Err: -1}.Append(nil)
	body = create.Append(body, wire.OpCreate)
	body = wire.MultiHeader{Op: wire.OpSetData, Err: -1}.Append(body)
	body = wire.MultiEnd.Append(set.Append(body))
	rep, err := w.sess.do(wire.OpMulti, body)
	if err != nil {
		return err
	}
	r := wire.NewReader(rep.Body)
	var h wire.MultiHeader
	if h.Decode(&r); h.Op == wire.OpError {
		return fmt.Errorf("multi %d: %w", i, wire.Code(r.Int()))
	}
	return r.Err()
}

// payload is the data of the ith node: its length and bytes follow from i.
func payload(i int) []byte {
	b := make([]byte, 16+i%200)
	for j := range b {
		b[j] = byte(i + j)
	}
	return b
}

// work writes until the server is gone. Any answer but success is a fault.
func (w *writer) work(random *rand.Rand) error {
	for {
		if err := w.write(random.IntN(3)); err != nil {
			var code wire.Code
			if errors.As(err, &code) {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			return nil // the server was killed
		}
	}
}

// check reads everything back. What was acknowledged is there; of what was
// sent last without an answer, all or nothing.
func (w *writer) check(s *Session) error {
	made, err := s.numbers(w.dir(), "n-")
	if err != nil {
		return err
	}
	if err := w.checkNodes(s, kindCreate, made, w.dir()+"/n-"); err != nil {
		return err
	}
	if err := w.checkCount(s, kindSet, w.dir(), -1); err != nil {
		return err
	}
	inMultis, err := s.numbers(w.dir()+"/m", "")
	if err != nil {
		return err
	}
	if err := w.checkNodes(s, kindMulti, inMultis, w.dir()+"/m/"); err != nil {
		return err
	}
	return w.checkCount(s, kindMulti, w.dir()+"/m", len(inMultis))
}

// numbers returns the children of path that are prefix and a number, sorted.
func (s *Session) numbers(path, prefix string) ([]int, error) {
	names, err := s.Children(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var out []int
	for _, n := range names {
		if len(n) <= len(prefix) || n[:len(prefix)] != prefix {
			continue
		}
		i, err := strconv.Atoi(n[len(prefix):])
		if err != nil {
			return nil, fmt.Errorf("%s has a child %q that nobody made", path, n)
		}
		out = append(out, i)
	}
	slices.Sort(out)
	return out, nil
}

// checkNodes: the nodes are 1..n without a gap, n is what was acknowledged or
// one more, and each holds its data.
func (w *writer) checkNodes(s *Session, kind int, got []int, prefix string) error {
	if len(got) < w.acked[kind] || len(got) > w.tried[kind] {
		return fmt.Errorf("%s*: %d nodes, acknowledged were %d of %d", prefix, len(got), w.acked[kind], w.tried[kind])
	}
	for i, n := range got {
		if n != i+1 {
			return fmt.Errorf("%s%d is missing", prefix, i+1)
		}
	}
	last := int64(0)
	for _, n := range got[max(0, len(got)-200):] { // older ones were checked before
		data, st, err := s.Get(fmt.Sprint(prefix, n), false)
		if err != nil || string(data) != string(payload(n)) {
			return fmt.Errorf("%s%d: %d bytes, %w", prefix, n, len(data), errors.Join(err, errData))
		}
		if st.Czxid <= last || st.Czxid != st.Mzxid || int(st.DataLength) != len(data) {
			return fmt.Errorf("%s%d: %+v after zxid %d", prefix, n, st, last)
		}
		last = st.Czxid
	}
	return nil
}

var errData = errors.New("not the data that was written")

// checkCount: the counter is what was acknowledged or one more; with multis it
// agrees with the nodes that came with it, and every set is one version.
func (w *writer) checkCount(s *Session, kind int, path string, nodes int) error {
	data, st, err := s.Get(path, false)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	n, err := strconv.Atoi(string(data))
	if err != nil || n < w.acked[kind] || n > w.tried[kind] {
		return fmt.Errorf("%s counts %q, acknowledged were %d of %d", path, data, w.acked[kind], w.tried[kind])
	}
	if nodes >= 0 && (n != nodes || int(st.NumChildren) != nodes || int(st.Cversion) != nodes) {
		return fmt.Errorf("%s counts %d with %d nodes: half a multi; %+v", path, n, nodes, st)
	}
	if int(st.Version) != n {
		return fmt.Errorf("%s counts %d at version %d", path, n, st.Version)
	}
	return nil
}

// settle takes what is there after a restart as the new state: the last
// unanswered write has happened or it has not.
func (w *writer) settle(s *Session) error {
	made, err := s.numbers(w.dir(), "n-")
	if err != nil {
		return err
	}
	inMultis, err := s.numbers(w.dir()+"/m", "")
	if err != nil {
		return err
	}
	data, _, err := s.Get(w.dir(), false)
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(string(data))
	w.tried = [3]int{len(made), count, len(inMultis)}
	w.acked = w.tried
	return err
}

// kills returns how often the server is killed: a few times in CI, as often as
// QUORATE_KILLS says in a long run.
func kills(t *testing.T, f Flavor) int {
	if n, err := strconv.Atoi(os.Getenv("QUORATE_KILLS")); err == nil {
		return n
	}
	if f.Java() {
		return 2 // shows that the test is right
	}
	if testing.Short() {
		return 3
	}
	return 12
}

// TestKill kills a server under write load, again and again on the same data.
// Every acknowledged write is there afterwards, nothing is half done.
// QUORATE_KILLS sets how often; the seed of the moments is printed.
func TestKill(t *testing.T) {
	eachFlavor(t, func(t *testing.T, f Flavor) {
		if f == ZooKeeper38 {
			return // 3.9 shows that the test is right
		}
		// Small logs and frequent checkpoints, so that kills meet them.
		s := newServer(t, f, Options{"snapCount": "500", "preAllocSize": "64", "autopurge.purgeInterval": "1"})
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 1))
		k := &killTest{server: s, random: random}
		for i := range 4 {
			k.writers = append(k.writers, &writer{name: fmt.Sprint("w", i), acks: &k.acks})
		}
		k.prepare(t)
		for round := range kills(t, f) {
			k.round(t, round)
		}
		t.Logf("%d writes were acknowledged, and are there", k.acks.Load())
	})
}

type killTest struct {
	server  *Server
	random  *rand.Rand
	writers []*writer
	acks    atomic.Int64
	keeper  *Session // its ephemeral must live through every kill
}

func (k *killTest) prepare(t *testing.T) {
	k.keeper = mustConnect(t, k.server.Addr, ConnectOptions{TimeoutMs: 40000})
	if _, err := k.keeper.Create("/kill", nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := k.keeper.Create("/keeper", nil, wire.FlagEphemeral); err != nil {
		t.Fatal(err)
	}
	for _, w := range k.writers {
		w.sess = mustConnect(t, k.server.Addr, ConnectOptions{TimeoutMs: 40000})
		if err := w.prepare(); err != nil {
			t.Fatal(err)
		}
		w.sess.Drop()
	}
}

// round loads the server, kills it, starts it again and checks.
func (k *killTest) round(t *testing.T, n int) {
	var wg sync.WaitGroup
	faults := make([]error, len(k.writers))
	for i, w := range k.writers {
		s, err := Connect(k.server.Addr, ConnectOptions{TimeoutMs: 40000})
		if err != nil {
			t.Fatal(err)
		}
		w.sess = s
		random := rand.New(rand.NewPCG(k.random.Uint64(), 2))
		wg.Go(func() { faults[i] = w.work(random) })
	}
	target := k.acks.Load() + 50 + k.random.Int64N(1500)
	if err := patientRetry(func() error {
		if k.acks.Load() < target && k.server.Running() {
			return fmt.Errorf("%d of %d writes", k.acks.Load(), target)
		}
		return nil
	}); err != nil || !k.server.Running() {
		t.Fatalf("round %d: before the kill: %v", n, err)
	}
	k.server.Kill()
	wg.Wait()
	if err := errors.Join(faults...); err != nil {
		t.Fatalf("round %d: %v", n, err)
	}
	if err := k.server.Start(); err != nil {
		t.Fatalf("round %d: start again: %v", n, err)
	}
	k.check(t, n)
}

func (k *killTest) check(t *testing.T, n int) {
	s, err := Connect(k.server.Addr, ConnectOptions{SessionID: k.keeper.ID, Passwd: k.keeper.Passwd, TimeoutMs: 40000})
	if err != nil {
		t.Fatalf("round %d: the keeper's session: %v", n, err)
	}
	t.Cleanup(s.Drop)
	k.keeper = s
	if st, err := s.Exists("/keeper", false); err != nil || st.EphemeralOwner != s.ID {
		t.Errorf("round %d: the keeper's node: %+v %v", n, st, err)
	}
	names, err := s.Children("/")
	want := []string{"keeper", "kill", "zookeeper"}
	if slices.Sort(names); err != nil || !slices.Equal(names, want) {
		t.Errorf("round %d: the root has %q, %v", n, names, err)
	}
	for _, w := range k.writers {
		w.sess.Drop()
		if err := w.check(s); err != nil {
			t.Errorf("round %d: %v", n, err)
		}
		if err := w.settle(s); err != nil {
			t.Fatalf("round %d: %v", n, err)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// TestKillTwin: the checks of the kill test find each fault that they are for.
func TestKillTwin(t *testing.T) {
	s := pool.borrow(t, Quorate, nil)
	c := mustConnect(t, s.Addr, ConnectOptions{})
	if _, err := c.Create("/kill", nil, 0); err != nil {
		t.Fatal(err)
	}
	defer c.DeleteTree("/kill")
	faults := map[string]func(w *writer, s *Session) error{
		"": func(*writer, *Session) error { return nil },
		"is missing": func(w *writer, s *Session) error {
			w.tried[kindCreate]++
			return errors.Join(s.Delete(w.dir()+"/n-2", -1))
		},
		"acknowledged were 4 of": func(w *writer, _ *Session) error { w.acked[kindCreate]++; w.tried[kindCreate]++; return nil },
		"half a multi": func(w *writer, s *Session) error {
			_, err := s.Set(w.dir()+"/m", []byte("2"), -1)
			w.acked[kindMulti]--
			return err
		},
		"not the data": func(w *writer, s *Session) error { _, err := s.Set(w.dir()+"/n-3", []byte("x"), -1); return err },
		"counts":       func(w *writer, s *Session) error { _, err := s.Set(w.dir(), []byte("9"), -1); return err },
	}
	for i, want := range slices.Sorted(maps.Keys(faults)) {
		w := &writer{name: strconv.Itoa(i), sess: c, acks: new(atomic.Int64)}
		if err := w.prepare(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			for kind := range 3 {
				if err := w.write(kind); err != nil {
					t.Fatal(err)
				}
			}
		}
		if want == "is missing" {
			w.acked[kindCreate] = 2
		}
		if err := faults[want](w, c); err != nil {
			t.Fatal(err)
		}
		err := w.check(c)
		if (err == nil) != (want == "") || err != nil && !containsText(err, want) {
			t.Errorf("fault %q is reported as %v", want, err)
		}
	}
}

func containsText(err error, text string) bool { return strings.Contains(err.Error(), text) }
