package zab

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/zab/quorum"
)

// pipe carries messages between cores whose disks are done at once.
type pipe struct {
	cores []*Core // sid 1, 2, ...
	conns map[ConnID][2]int64
	next  ConnID
	count int // transactions delivered at the leader
}

func newPipe(b *testing.B, n int) *pipe {
	b.Helper()
	p := &pipe{conns: map[ConnID][2]int64{}}
	var ids []int64
	for id := range n {
		ids = append(ids, int64(id+1))
	}
	for _, id := range ids {
		c, err := New(Config{ID: id, Ensemble: Ensemble{Quorum: quorum.NewMajority(ids...)}, OutstandingMax: 1 << 20})
		if err != nil {
			b.Fatal(err)
		}
		p.cores = append(p.cores, c)
	}
	p.settle()
	return p
}

func (p *pipe) settle() {
	for progress := true; progress; {
		progress = false
		for _, c := range p.cores {
			for c.HasReady() {
				progress = true
				p.handle(c)
			}
		}
	}
}

func (p *pipe) handle(c *Core) {
	r := c.Ready()
	c.Advance()
	if c.leading != nil {
		for _, d := range r.Deliver {
			if d.Kind == DeliverCommit {
				p.count++
			}
		}
	}
	for _, m := range r.Send {
		p.cores[m.To-1].Step(m)
	}
	for _, d := range r.SendAfterSync {
		p.cores[d.To-1].Step(d.Message)
	}
	if n := len(r.Writes); n > 0 {
		c.Durable(r.Writes[n-1].Seq)
	}
	for _, to := range r.Connect {
		p.next++
		c.Step(Message{Type: Connected, From: to, Conn: p.next})
	}
}

// BenchmarkPropose is the whole ensemble's work for one transaction, in rounds of so many.
func BenchmarkPropose(b *testing.B) {
	for _, voters := range []int{1, 3, 5} {
		for _, batch := range []int{1, 100} {
			b.Run(fmt.Sprintf("voters=%d/batch=%d", voters, batch), func(b *testing.B) {
				p := newPipe(b, voters)
				leader := p.cores[voters-1]
				if leader.NextZxid() == 0 {
					b.Fatalf("%+v", leader.Status())
				}
				data := make([]byte, 100)
				b.ReportAllocs()
				for b.Loop() {
					for range batch {
						if _, err := leader.Propose(data); err != nil {
							b.Fatal(err)
						}
					}
					p.settle()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(p.count), "ns/txn")
			})
		}
	}
}
