package server

import (
	"bufio"
	"io"
	"sync"
	"testing"

	"github.com/quorate/quorate/wire"
)

// BenchmarkEnsembleSet is a setData at a time through three servers of this process,
// with real sockets and disks.
func BenchmarkEnsembleSet(b *testing.B) {
	g := newTeam(b, 3, 0)
	g.startAll()
	lead := g.leader()
	for _, at := range []string{"leader", "follower"} {
		id := lead
		if at == "follower" {
			id = g.other(lead)
		}
		b.Run("at="+at, func(b *testing.B) {
			c := g.up[id].client()
			c.create("/bench-"+at, "")
			body := setBody("/bench-"+at, string(make([]byte, 128)))
			for b.Loop() {
				c.must(wire.OpSetData, body)
			}
		})
	}
}

// BenchmarkEnsembleFlood is setData from five clients of each of three servers, 16 in
// flight each.
func BenchmarkEnsembleFlood(b *testing.B) {
	const perServer, flight = 5, 16
	g := newTeam(b, 3, 0)
	g.startAll()
	g.leader()
	var clients []*rawClient
	var frames [][]byte
	for _, m := range g.list.Members {
		for i := range perServer {
			c := g.up[m.ID].client()
			path := name("/flood-%d-%d", m.ID, i)
			c.create(path, "")
			body := append(wire.RequestHeader{Xid: 1, Op: wire.OpSetData}.Append(nil), setBody(path, string(make([]byte, 128)))...)
			frame := append(wire.AppendInt(nil, int32(len(body))), body...) //nolint:gosec // short
			clients, frames = append(clients, c), append(frames, frame)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	each := b.N/len(clients) + 1
	for i, c := range clients {
		wg.Go(func() {
			in := bufio.NewReaderSize(c.nc, 1<<16)
			for sent, got := 0, 0; got < each; {
				var out []byte
				for sent < each && sent-got < flight {
					out = append(out, frames[i]...)
					sent++
				}
				if _, err := c.nc.Write(out); err != nil {
					b.Error(err)
					return
				}
				for first := true; got < sent && (first || in.Buffered() > 0); first = false {
					var head [4]byte
					if _, err := io.ReadFull(in, head[:]); err != nil {
						b.Error(err)
						return
					}
					_, _ = in.Discard(int(wire.FrameLength(head[:])))
					got++
				}
			}
		})
	}
	wg.Wait()
}
