package transport

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/zab"
)

func benchPackets(size int) []zab.Message {
	return []zab.Message{
		{Type: zab.Proposal, Zxid: 1, Data: repeat("x", size)},
		{Type: zab.Ack, Zxid: 1},
		{Type: zab.Commit, Zxid: 1},
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprint("data=", size), func(b *testing.B) {
			ms := benchPackets(size)
			buf := make([]byte, 0, 64<<10)
			b.ReportAllocs()
			for i := range b.N {
				if len(buf) > 60<<10 {
					buf = buf[:0]
				}
				buf = appendPacket(buf, &ms[i%len(ms)], false)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprint("data=", size), func(b *testing.B) {
			var buf []byte
			ms := benchPackets(size)
			for i := range ms {
				buf = appendPacket(buf, &ms[i], false)
			}
			b.ReportAllocs()
			rest := buf
			for range b.N {
				p, n, _, err := parsePacket(rest, 1<<20)
				if err != nil || n == 0 {
					b.Fatal(n, err)
				}
				if _, _, err := p.message(); err != nil {
					b.Fatal(err)
				}
				if rest = rest[n:]; len(rest) == 0 {
					rest = buf
				}
			}
		})
	}
}

// echo acknowledges proposals in batches, as a follower does, and counts commits.
type echo struct {
	tr   *Transport
	conn zab.ConnID
	acks []zab.Message
}

func (e *echo) Step(ms []zab.Message) time.Duration {
	e.acks = e.acks[:0]
	for i := range ms {
		switch ms[i].Type {
		case zab.Connected:
			e.conn = ms[i].Conn
			e.acks = append(e.acks, zab.Message{Type: zab.FollowerInfo, From: 1, Conn: e.conn})
		case zab.Proposal:
			e.acks = append(e.acks, zab.Message{Type: zab.Ack, Conn: e.conn, Zxid: ms[i].Zxid})
		default:
		}
	}
	e.tr.Send(e.acks)
	return 0
}

func (e *echo) Settle() {}

// counter commits what is acknowledged, and tells how far that is.
type counter struct {
	tr      *Transport
	conn    chan zab.ConnID
	acked   atomic.Int64
	news    chan struct{}
	commits []zab.Message
}

func (c *counter) Step(ms []zab.Message) time.Duration {
	c.commits = c.commits[:0]
	for i := range ms {
		switch ms[i].Type {
		case zab.FollowerInfo:
			c.conn <- ms[i].Conn
		case zab.Ack:
			c.commits = append(c.commits, zab.Message{Type: zab.Commit, Conn: ms[i].Conn, Zxid: ms[i].Zxid})
			c.acked.Store(ms[i].Zxid)
		default:
		}
	}
	c.tr.Send(c.commits)
	select {
	case c.news <- struct{}{}:
	default:
	}
	return 0
}

func (c *counter) Settle() {}

// BenchmarkLoopback: one follower over TCP on this machine; PROPOSAL there, ACK back, COMMIT there. One operation is all
// three.
func BenchmarkLoopback(b *testing.B) {
	for _, c := range []struct{ size, window int }{{100, 1}, {100, 1000}, {100, 10_000}, {1000, 1000}} {
		b.Run(fmt.Sprintf("data=%d/window=%d", c.size, c.window), func(b *testing.B) {
			book := newBook()
			leader := &counter{conn: make(chan zab.ConnID, 1), news: make(chan struct{}, 1)}
			follower := &echo{}
			leader.tr = start(b, testOptions(2, leader, book), book)
			follower.tr = start(b, testOptions(1, follower, book), book)
			follower.tr.Connect(2)
			conn := <-leader.conn
			data := repeat("x", c.size)
			batch := make([]zab.Message, 0, 100)
			b.ReportAllocs()
			b.ResetTimer()
			for sent := int64(0); leader.acked.Load() < int64(b.N); {
				batch = batch[:0]
				for sent < int64(b.N) && sent-leader.acked.Load() < int64(c.window) && len(batch) < cap(batch) {
					sent++
					batch = append(batch, zab.Message{Type: zab.Proposal, Conn: conn, Zxid: sent, Data: data})
				}
				if len(batch) == 0 {
					<-leader.news
					continue
				}
				leader.tr.Send(batch)
			}
		})
	}
}
