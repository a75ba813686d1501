//go:build linux

package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/zab"
	"github.com/quorate/quorate/znode"
)

// TestHistoryReceivesFromJava is an observer of Java leaders that asks for a
// snapshot while clients write, so that the znodes in it are of many zxids. Once
// the transactions behind it are applied the tree has the digest that Java's has.
func TestHistoryReceivesFromJava(t *testing.T) {
	for _, kind := range []ensemble.Kind{integration.ZooKeeper38, integration.ZooKeeper39} {
		t.Run(string(kind), func(t *testing.T) {
			e := ensemble.ForTest(t, ensemble.Spec{Voters: []ensemble.Kind{kind, kind}, Options: integration.Options{"extendedTypesEnabled": "true"}})
			leader, err := e.AwaitLeader()
			if err != nil {
				t.Fatal(err)
			}
			w := newJavaWriter(t, e.Addrs())
			w.fill(3000)
			stop := w.keepWriting()
			o := dialAsObserver(t, fmt.Sprintf("%s:%d", leader.Address.Host, leader.Address.Quorum))
			h := mustHistory(t, memHistory(t.TempDir()))
			h.o.Rules.Digest = true
			o.join(h)
			for o.txns < 20 { // some that were under way meanwhile
				o.follow(h)
			}
			last := stop()
			for h.tree().LastZxid() < last {
				o.follow(h)
			}
			t.Logf("%d znodes at %s, snapshot of %d bytes stamped %s, %d transactions behind it", h.tree().NodeCount(),
				zab.FormatZxid(last), o.snapBytes, zab.FormatZxid(o.stamp), o.txns)
			if got := h.tree().Digest(); got != o.digest {
				t.Errorf("the digest is %x, Java's %x", got, o.digest)
			}
			compareWithJava(t, h, w.conn)
		})
	}
}

// compareWithJava reads znodes through Java and at rest.
func compareWithJava(t *testing.T, h *history, c *zk.Conn) {
	if err := checkpointNow(h.tree()); err != nil {
		t.Fatal(err)
	}
	snap, err := h.current.store.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	err = snap.Walk(func(path []byte, rec *znode.Record) error {
		if len(path) < 2 || bytes.HasPrefix(path, []byte("/zookeeper")) {
			return nil
		}
		data, st, err := c.Get(string(path))
		if err != nil && !errors.Is(err, zk.ErrNoAuth) {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err == nil && (string(data) != string(rec.Data) || st.NumChildren != rec.NumChildren || st.Pzxid != rec.Stat.Pzxid ||
			st.EphemeralOwner != max(0, rec.Stat.EphemeralOwner)) { // clients see 0 for containers and TTL nodes
			return fmt.Errorf("%s: Java has %+v and %q, the snapshot %+v and %q", path, st, data, rec.Info, rec.Data)
		}
		compared++
		return nil
	})
	if err := errors.Join(err, snap.Close()); err != nil {
		t.Error(err)
	}
	t.Logf("%d znodes compared", compared)
}

// javaWriter is a client of a Java ensemble.
type javaWriter struct {
	t    *testing.T
	conn *zk.Conn
	rng  *rand.Rand
}

func newJavaWriter(t *testing.T, addrs []string) *javaWriter {
	c, events, err := zk.Connect(addrs, 30*time.Second, zk.WithLogger(zkSilence{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for ev := range events {
		if ev.State == zk.StateHasSession {
			break
		}
	}
	go func() {
		for range events { // so that the client never waits for its listener
		}
	}()
	return &javaWriter{t: t, conn: c, rng: rand.New(rand.NewPCG(1, 9))}
}

type zkSilence struct{}

func (zkSilence) Printf(string, ...any) {}

// fill creates znodes of all kinds, a batch in each transaction.
func (w *javaWriter) fill(n int) {
	open := zk.WorldACL(zk.PermAll)
	for i := range 20 {
		acl := append(zk.DigestACL(zk.PermAll, fmt.Sprint("user", i), "pw"), zk.WorldACL(zk.PermRead|zk.PermCreate|zk.PermDelete)...)
		if _, err := w.conn.Create(fmt.Sprintf("/dir%d-ä", i), nil, 0, acl); err != nil {
			w.t.Fatal(err)
		}
	}
	for i := 0; i < n; i += 100 {
		var ops []any
		for range 100 {
			flags := []int32{0, 0, 0, zk.FlagEphemeral, zk.FlagSequence}[w.rng.IntN(5)]
			path := fmt.Sprintf("/dir%d-ä/n%d-", w.rng.IntN(20), w.rng.Int64())
			ops = append(ops, &zk.CreateRequest{Path: path, Data: w.data(), Acl: open, Flags: flags})
		}
		if _, err := w.conn.Multi(ops...); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.conn.CreateContainer("/container", nil, zk.FlagContainer, open); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.conn.CreateTTL("/ttl", nil, zk.FlagTTL, open, time.Hour); err != nil {
		w.t.Fatal(err)
	}
}

func (w *javaWriter) data() []byte {
	b := make([]byte, w.rng.IntN(2000))
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	return b
}

// keepWriting writes until the function it returns is called, which returns the
// zxid of the last transaction.
func (w *javaWriter) keepWriting() (stop func() int64) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 3 {
		rng := rand.New(rand.NewPCG(uint64(i), 4))
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				path := fmt.Sprintf("/dir%d-ä/live%d-%d", rng.IntN(20), i, rng.IntN(50))
				acl := zk.WorldACL(zk.PermAll)
				if n%7 == 0 {
					acl = append(acl, zk.DigestACL(zk.PermRead, fmt.Sprint("late", i, n), "pw")...)
				}
				_, err := w.conn.Create(path, fmt.Append(nil, n), 0, acl)
				if errors.Is(err, zk.ErrNodeExists) {
					if n%3 == 0 {
						err = w.conn.Delete(path, -1)
					} else {
						_, err = w.conn.Set(path, fmt.Append(nil, n), -1)
					}
				}
				if err != nil {
					w.t.Error(err)
					return
				}
			}
		})
	}
	return func() int64 {
		close(done)
		wg.Wait()
		st, err := w.conn.Set("/dir0-ä/live0-0", nil, -1)
		if errors.Is(err, zk.ErrNoNode) {
			_, err = w.conn.Create("/dir0-ä/live0-0", nil, 0, zk.WorldACL(zk.PermAll))
			_, st, _ = w.conn.Get("/dir0-ä/live0-0")
		}
		if err != nil {
			w.t.Fatal(err)
		}
		return st.Mzxid
	}
}

// rawObserver speaks to a leader's quorum port.
type rawObserver struct {
	t         *testing.T
	c         net.Conn
	r         *bufio.Reader
	epoch     int64
	stamp     int64
	last      int64
	snapBytes int64
	proposed  []zab.Entry
	txns      int
	digest    uint64 // of the last transaction
}

type quorumPacket struct {
	typ  zab.Type
	zxid int64
	data []byte
}

func dialAsObserver(t *testing.T, addr string) *rawObserver {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &rawObserver{t: t, c: c, r: bufio.NewReader(c)}
}

func (o *rawObserver) send(typ zab.Type, zxid int64, data []byte) {
	b := wire.AppendBuffer(wire.AppendLong(wire.AppendInt(nil, int32(typ)), zxid), data)
	if _, err := o.c.Write(wire.AppendInt(b, -1)); err != nil {
		o.t.Fatal(err)
	}
}

func (o *rawObserver) read(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(o.r, b); err != nil {
		o.t.Fatal(err)
	}
	return b
}

func (o *rawObserver) int() int32 { return int32(binary.BigEndian.Uint32(o.read(4))) }

func (o *rawObserver) packet() (p quorumPacket) {
	p.typ = zab.Type(o.int())
	p.zxid = int64(binary.BigEndian.Uint64(o.read(8)))
	if n := o.int(); n > 0 {
		p.data = o.read(int(n))
	}
	for n := 2 * o.int(); n > 0; n-- {
		o.read(int(o.int()))
	}
	return p
}

// want reads up to a packet of this type, and takes what comes before.
func (o *rawObserver) want(typ zab.Type) quorumPacket {
	for {
		p := o.packet()
		if p.typ == typ {
			return p
		}
		o.take(p)
	}
}

// take remembers transactions, whose digest is in their last bytes. Java repeats
// some behind a snapshot, which the core ignores.
func (o *rawObserver) take(p quorumPacket) {
	switch p.typ {
	case zab.Proposal, zab.Inform:
		if p.zxid <= o.last {
			return
		}
		o.last = p.zxid
		o.proposed = append(o.proposed, zab.Entry{Zxid: p.zxid, Data: p.data})
		o.digest = binary.BigEndian.Uint64(p.data[len(p.data)-8:])
		o.txns++
	case zab.Ping:
		o.send(zab.Ping, p.zxid, []byte{})
	case zab.Commit:
	default:
		o.t.Fatalf("unexpected %v", p.typ)
	}
}

// join goes through discovery and synchronization, and asks for a snapshot by
// claiming what no history contains.
func (o *rawObserver) join(h *history) {
	info := wire.AppendLong(wire.AppendInt(wire.AppendLong(nil, 9), 0x10000), 0)
	o.send(zab.ObserverInfo, 0, info)
	o.epoch = zab.Epoch(o.want(zab.LeaderInfo).zxid)
	o.send(zab.AckEpoch, zx(o.epoch+5, 0), wire.AppendInt(nil, -1))
	snap := o.want(zab.Snap)
	o.stamp, o.last = snap.zxid, snap.zxid
	counted := &countedReader{r: o.r}
	if err := h.ReceiveSnapshot(counted, 9, o.stamp); err != nil {
		o.t.Fatal(err)
	}
	o.snapBytes = counted.n
	o.want(zab.NewLeader)
	old := h.tree()
	mustWriteHistory(o.t, h,
		zab.Write{Kind: zab.WriteAcceptedEpoch, Epoch: o.epoch}, zab.Write{Kind: zab.WriteSyncMark},
		zab.Write{Kind: zab.WriteInstall, Conn: 9, Zxid: o.stamp, Entries: o.proposed},
		zab.Write{Kind: zab.WriteCurrentEpoch, Epoch: o.epoch})
	if err := h.retire(old); err != nil {
		o.t.Fatal(err)
	}
	o.apply(h)
	o.send(zab.Ack, zx(o.epoch, 0), nil)
	o.want(zab.UpToDate)
	o.send(zab.Ack, zx(o.epoch, 0), nil)
}

func (o *rawObserver) apply(h *history) {
	if err := applyEntries(h.tree(), o.proposed); err != nil {
		o.t.Fatal(err)
	}
	o.proposed = nil
}

// follow takes one more packet.
func (o *rawObserver) follow(h *history) {
	o.take(o.packet())
	if len(o.proposed) > 0 {
		mustWriteHistory(o.t, h, zab.Write{Kind: zab.WriteAppend, Entries: o.proposed})
		o.apply(h)
	}
}

type countedReader struct {
	r io.Reader
	n int64
}

func (c *countedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
