package server

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab/txnlog"
	"github.com/quorate/quorate/zab/zxids"
	"github.com/quorate/quorate/znode"
)

var storageSeeds = flag.Int("storageseeds", 3, "how many seeds TestStorageCrash runs")

// TestStorageCrash runs a whole server under load on disks that can lose power,
// at every operation on either of them. Each time the server is recovered from
// what is left: every answered write is there, nothing is there by half, the
// tree is that of a replay from the beginning, and the server goes on, also
// when the power goes once more while it recovers.
func TestStorageCrash(t *testing.T) {
	for seed := range uint64(*storageSeeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { storageCrash(t, seed) })
	}
}

func storageCrash(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	d, a := newDisks(seed), newArchive()
	cfg := Config{
		ClientAddrs: []string{"127.0.0.1:0"}, DataDir: t.TempDir(), ExtendedTypes: true,
		PreallocBytes:  []int64{-1, 8 << 10}[rng.IntN(2)],
		SnapCount:      20 + rng.IntN(40),
		LogRetainBytes: 1,
		LogRollBytes:   []int64{0, 4 << 10}[rng.IntN(2)],
		TreeBytes:      []int64{0, 1}[rng.IntN(2)],
	}
	cfg.hooks.proposed = a.add
	r := start(t, d.config(cfg))
	var wg sync.WaitGroup
	for i := range 3 {
		load := rand.New(rand.NewPCG(seed, uint64(10+i)))
		c := r.client()
		wg.Go(func() { runLoad(t, c, i, load, d) })
	}
	wg.Wait()
	r.stop()
	d.record = false
	cfg.hooks.proposed = nil
	if err := a.replay(r.s.rules.Kinds); err != nil {
		t.Fatal(err)
	}
	if len(d.crashes) < 200 {
		t.Errorf("only %d operations", len(d.crashes))
	}
	replayed := 0
	for i := range d.crashes {
		c := &d.crashes[i]
		n, err := afterPowerLoss(c, cfg, a, uint64(i), i%4 == 0)
		if err != nil {
			t.Fatalf("seed %d, crash %d at %s, up to 0x%x answered: %v", seed, i, c.at, c.acked, err)
		}
		if n > 0 {
			replayed++
		}
	}
	t.Logf("%d crashes, %d with a log to replay, up to zxid 0x%x", len(d.crashes), replayed, a.last())
}

// runLoad sends writes of all kinds, some at a time, and notes what is
// answered.
func runLoad(t *testing.T, c *rawClient, id int, rng *rand.Rand, d *disks) {
	home := name("/c%d", id)
	c.create(home, "")
	acl := wire.ACLVector(wire.AppendACLs(nil, []wire.ACL{{Perms: 31, ID: wire.ID{Scheme: "digest", ID: name("u%d:x", id)}}}))
	for range 12 {
		burst := 1 + rng.IntN(8)
		for range burst {
			path := name("%s/n%d", home, rng.IntN(12))
			var op wire.Op
			var body []byte
			data := name("%*d", rng.IntN(600), rng.Int64())
			switch rng.IntN(8) {
			case 0, 1:
				op, body = wire.OpCreate, createBody(path, data, 0)
			case 2:
				op, body = wire.OpCreate, createBody(path, data, wire.FlagEphemeral)
			case 3, 4:
				op, body = wire.OpSetData, setBody(path, data)
			case 5:
				op, body = wire.OpDelete, deleteBody(path)
			case 6:
				s := wire.SetACLRequest{Path: []byte(home), ACL: wire.OpenACL, Version: -1}
				if rng.IntN(2) == 0 {
					s.Path, s.ACL = []byte(path), acl
				}
				op, body = wire.OpSetACL, s.Append(nil)
			case 7:
				op, body = wire.OpMulti, multiBody(home, path, data, rng.IntN(2) == 0)
			}
			if _, err := c.send(op, body); err != nil {
				t.Error(err)
				return
			}
		}
		for range burst {
			h, _, err := c.recv()
			if err != nil {
				t.Error(err)
				return
			}
			d.answered(h.Zxid)
		}
	}
	if id == 0 { // this session ends in good order, the others with the server
		if code, _ := c.call(wire.OpCloseSession, nil); code != wire.OK {
			t.Error(code)
		}
	}
}

// answered notes that a client has been told of a zxid.
func (d *disks) answered(zxid int64) {
	for {
		was := d.acked.Load()
		if zxid <= was || d.acked.CompareAndSwap(was, zxid) {
			return
		}
	}
}

// multiBody makes a znode, changes another, and, if it shall fail, checks
// something impossible.
func multiBody(home, path, data string, fails bool) []byte {
	c := wire.CreateRequest{Path: []byte(home + "/m-"), Data: []byte(data), ACL: wire.OpenACL, Flags: wire.FlagPersistentSequential}
	s := wire.SetDataRequest{Path: []byte(home), Data: []byte(path), Version: -1}
	b := c.Append(wire.MultiHeader{Op: wire.OpCreate, Err: -1}.Append(nil), wire.OpCreate)
	b = s.Append(wire.MultiHeader{Op: wire.OpSetData, Err: -1}.Append(b))
	if fails {
		b = wire.PathVersion{Path: []byte(home), Version: 1 << 20}.Append(wire.MultiHeader{Op: wire.OpCheck, Err: -1}.Append(b))
	}
	return wire.MultiEnd.Append(b)
}

// afterPowerLoss recovers a server and compares. It returns how much was
// replayed.
func afterPowerLoss(c *crash, cfg Config, a *archive, seed uint64, again bool) (replayed int64, err error) {
	d := c.disks(seed)
	d.record = again
	replayed, err = recovered(d, cfg, a)
	if err != nil || !again {
		return replayed, err
	}
	// The recovery itself, and what followed, is hit once more.
	for _, i := range d.rng.Perm(len(d.crashes))[:min(2, len(d.crashes))] {
		h := &d.crashes[i]
		if _, err := recovered(h.disks(seed+1), cfg, a); err != nil {
			return replayed, fmt.Errorf("hit again at %s: %w", h.at, err)
		}
	}
	return replayed, nil
}

// recovered recovers from what is on the disks, compares it with the archive,
// writes a checkpoint and another transaction, and looks at both.
func recovered(d *disks, cfg Config, a *archive) (replayed int64, err error) {
	s, err := recoverOn(d, cfg)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("recovery: %w", err), s.closeStorage())
	}
	zxid := s.tree.LastZxid()
	err = compare(s, a, d.acked.Load())
	if err == nil && zxid <= a.last() && !d.record {
		err = goOn(s, zxid)
	}
	if err := errors.Join(err, s.closeStorage()); err != nil {
		return 0, err
	}
	return s.recovered.Replayed, nil
}

// recoverOn opens the storage as a start does.
func recoverOn(d *disks, cfg Config) (*Server, error) {
	cfg = d.config(cfg)
	cfg.fillDefaults()
	s := newServer(cfg)
	return s, s.recover()
}

func compare(s *Server, a *archive, acked int64) error {
	zxid := s.tree.LastZxid()
	want, known := a.states[zxid]
	if zxid < acked || !known {
		return fmt.Errorf("the tree is at 0x%x; 0x%x was answered and 0x%x the last", zxid, acked, a.last())
	}
	if log := s.txns.LastZxid(); log > zxid {
		return fmt.Errorf("the log goes to 0x%x, the tree to 0x%x", log, zxid)
	}
	if n := s.tree.DigestMismatches(); n != 0 {
		return fmt.Errorf("%d digests differ", n)
	}
	if err := checkpointNow(s.tree); err != nil {
		return err
	}
	got, err := restingState(s.tree, s.store)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("at 0x%x the tree is\n%s\nwant\n%s", zxid, got, want)
	}
	return nil
}

// goOn writes the next transaction to the log and the tree, and starts again.
func goOn(s *Server, zxid int64) error {
	next := zxid + 1
	if zxids.Counter(next) == 0 {
		next++
	}
	var b txnlog.Batch
	h := znode.TxnHeader{ClientID: 99, Zxid: next, Type: wire.OpCreateSession}
	b.End(znode.CreateSessionTxn{TimeOut: 5000}.Append(h.Append(b.Begin())), next)
	if err := errors.Join(s.txns.Append(&b), s.txns.Sync()); err != nil {
		return fmt.Errorf("going on: %w", err)
	}
	_, payload := b.Entry(0)
	if err := applyAll(s.tree, payload); err != nil {
		return err
	}
	if got := s.tree.Sessions()[99]; got != 5000 || s.tree.LastZxid() != next {
		return fmt.Errorf("going on: the session has a timeout of %d", got)
	}
	it, err := s.txns.Read(zxid)
	if err != nil {
		return err
	}
	if !it.Next() {
		return fmt.Errorf("going on: the log has nothing after 0x%x: %w", zxid, it.Err())
	}
	return it.Close()
}

// TestLogFailureStopsTheServer fails the n-th write or sync of the log: the
// server stops and says why, and whatever it had answered is there afterwards.
func TestLogFailureStopsTheServer(t *testing.T) {
	for kind, fault := range map[txnlog.OpKind]error{txnlog.OpWrite: syscall.ENOSPC, txnlog.OpSync: syscall.EIO} {
		for _, nth := range []int{1, 2, 5, 9} {
			t.Run(fmt.Sprintf("%s/%d", kind, nth), func(t *testing.T) { failLog(t, kind, nth, fault) })
		}
	}
}

func failLog(t *testing.T, kind txnlog.OpKind, nth int, fault error) {
	d, a := newDisks(1), newArchive()
	d.record = false
	cfg := Config{ClientAddrs: []string{"127.0.0.1:0"}, DataDir: t.TempDir(), PreallocBytes: -1}
	cfg.hooks.proposed = a.add
	r := start(t, d.config(cfg))
	c := r.client()
	d.answered(1)
	d.gate.Lock()
	d.fail = func(op txnlog.Op) error {
		if op.Kind != kind {
			return nil
		}
		if nth--; nth <= 0 {
			return fault
		}
		return nil
	}
	d.gate.Unlock()
	for i := 0; ; i++ {
		if _, err := c.send(wire.OpCreate, createBody(name("/n%d", i), "x", 0)); err != nil {
			break
		}
		h, _, err := c.recv()
		if err != nil {
			break
		}
		d.answered(h.Zxid)
	}
	err := r.wait(false)
	if !errors.Is(err, fault) || errors.Is(err, ErrStopped) {
		t.Fatalf("the server ended with %v", err)
	}
	d.fail = nil
	if err := a.replay(znode.OwnerKinds{}); err != nil {
		t.Fatal(err)
	}
	cfg.hooks.proposed = nil
	for seed := range int64(8) {
		c := crash{log: d.log.Crash(seed), store: d.store, acked: d.acked.Load()}
		if _, err := recovered(c.disks(1), cfg, a); err != nil {
			t.Fatal(err)
		}
	}
}
