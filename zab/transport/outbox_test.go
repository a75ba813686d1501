package transport

import (
	"bytes"
	"io"
	"math/rand"
	"sync"
	"testing"

	"github.com/quorate/quorate/zab"
)

// TestOutboxKeepsOrder: whatever mixture of packets, long data and orders is added while the writer writes, it leaves in
// order, and the counts come back to nothing.
func TestOutboxKeepsOrder(t *testing.T) {
	for seed := range int64(5) {
		rnd := rand.New(rand.NewSource(seed))
		var q outbox
		q.init(false)
		var want, got []byte
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				buf, o, ok := q.take()
				switch {
				case !ok:
					return
				case buf != nil:
					got = append(got, buf...)
				case o.data != nil:
					got = append(got, o.data...)
				default:
					got = appendPacket(got, &o.m, false)
				}
				q.done(buf, len(o.data))
			}
		})
		for i := range 2000 {
			m := zab.Message{Type: zab.Proposal, Zxid: int64(i), Data: repeat("d", rnd.Intn(2000))}
			switch rnd.Intn(40) {
			case 0:
				m.Data = repeat("l", referBytes)
			case 1:
				m = zab.Message{Type: zab.Snap, Zxid: int64(i)}
			case 2:
				m = zab.Message{Type: zab.LogRange, Zxid: int64(i)}
			}
			want = appendPacket(want, &m, false)
			if !q.add(&m, false, 1<<30) {
				t.Fatal("full")
			}
			if rnd.Intn(3) == 0 {
				q.wake()
			}
		}
		q.close()
		wg.Wait()
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %d bytes left, %d were added, or in another order", seed, len(got), len(want))
		}
		if b, p, added := q.stat(); b != 0 || p != 0 || added != 2000 {
			t.Errorf("seed %d: %d bytes and %d packets of %d are left", seed, b, p, added)
		}
	}
}

// TestOutboxLimit: what is queued up to NEWLEADER does not count, and its leaving makes no room for more than the limit.
func TestOutboxLimit(t *testing.T) {
	var q outbox
	q.init(true)
	big := zab.Message{Type: zab.Proposal, Data: repeat("x", 1000)}
	const limit = 5000
	for range 20 {
		if !q.add(&big, false, limit) {
			t.Fatal("limited before NEWLEADER")
		}
	}
	q.add(&zab.Message{Type: zab.NewLeader}, false, limit)
	count := func() (n int) {
		for q.add(&big, false, limit) {
			n++
		}
		return n
	}
	if n := count(); n != 4 {
		t.Errorf("%d packets fit behind NEWLEADER", n)
	}
	buf, _, _ := q.take()
	q.done(buf, 0)
	if n := count(); n != 4 {
		t.Errorf("%d packets fit when all has left", n)
	}
	q.parked = true
	q.repay(q.borrow(), 3000)
	if n := count(); n != 2 {
		t.Errorf("%d packets fit when three thousand bytes have left", n)
	}
}

// TestSteadySendAllocatesNothing, once the buffers have grown.
func TestSteadySendAllocatesNothing(t *testing.T) {
	var q outbox
	q.init(false)
	ms := benchPackets(200)
	allocs := testing.AllocsPerRun(1000, func() {
		for range 50 {
			for i := range ms {
				q.add(&ms[i], false, 1<<30)
			}
		}
		buf, _, _ := q.take()
		q.done(buf, 0)
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestSendAllocatesNothing on a connection whose other end reads.
func TestSendAllocatesNothing(t *testing.T) {
	d := newDuo(t, 2)
	nc := dialRaw(t, d.tr[2].QuorumAddr())
	nc.Write(appendPacket(nil, &zab.Message{Type: zab.FollowerInfo, From: 1}, true))
	conn := d.rec[2].await(t, 1, ofType(zab.FollowerInfo)).Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, slabBytes)
		for {
			if _, err := nc.Read(buf); err != nil {
				return
			}
		}
	})
	ms := benchPackets(200)
	for i := range ms {
		ms[i].Conn = conn
	}
	if allocs := testing.AllocsPerRun(5000, func() { d.tr[2].Send(ms) }); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
	nc.Close()
	wg.Wait()
}

// TestOutboxGivesMemoryBack after a burst.
func TestOutboxGivesMemoryBack(t *testing.T) {
	var q outbox
	q.init(false)
	write := func(n int) {
		for range n {
			q.add(&zab.Message{Type: zab.Proposal, Data: repeat("x", 10_000)}, false, 1<<30)
		}
		buf, _, _ := q.take()
		q.done(buf, 0)
	}
	write(300)
	for range 3 * keepWrites {
		write(1)
	}
	if n := cap(q.buf) + cap(q.spare); n > 4*slabBytes {
		t.Errorf("%d bytes are kept", n)
	}
}

// TestSlabKeepsWhatWasRead: messages point into slabs for ever, however the stream was cut.
func TestSlabKeepsWhatWasRead(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	var stream []byte
	var want [][]byte
	for i := range 3000 {
		n := rnd.Intn(300)
		if rnd.Intn(200) == 0 {
			n = rnd.Intn(1 << 20)
		}
		data := bytes.Repeat([]byte{byte(i)}, n)
		want = append(want, data)
		stream = appendPacket(stream, &zab.Message{Type: zab.Proposal, Data: data}, false)
	}
	s := newSlab(&ragged{bytes.NewReader(stream), rnd})
	var got [][]byte
	for len(got) < len(want) {
		p, n, more, err := parsePacket(s.unread(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			s.take(n)
			got = append(got, p.data)
			continue
		}
		if err := s.fill(more); err != nil {
			t.Fatal(err)
		}
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("data %d has been overwritten", i)
		}
	}
}

// ragged gives as much as it likes.
type ragged struct {
	r   io.Reader
	rnd *rand.Rand
}

func (r *ragged) Read(b []byte) (int, error) { return r.r.Read(b[:min(1+r.rnd.Intn(5000), len(b))]) }

// TestSlabGrowsWithWhatArrives, not with what is announced.
func TestSlabGrowsWithWhatArrives(t *testing.T) {
	head := unhex(t, "00000002 0000000000000001 03ffffff")
	s := newSlab(io.MultiReader(bytes.NewReader(head), bytes.NewReader(make([]byte, 200_000))))
	for {
		_, _, more, err := parsePacket(s.unread(), readBytesMaxLeast)
		if err != nil {
			t.Fatal(err)
		}
		if s.fill(more) != nil {
			break
		}
		if have := len(s.unread()); len(s.buf) > max(slabBytes, 2*have) {
			t.Fatalf("%d bytes of memory for %d", len(s.buf), have)
		}
	}
	if len(s.unread()) != len(head)+200_000 {
		t.Errorf("%d bytes", len(s.unread()))
	}
}
