package replica_test

import (
	"testing"

	"github.com/quorate/quorate/wire"
)

// BenchmarkEnsembleSet is a setData through three members, 16 at a time, from the
// bytes of the request to those of the answer, without sockets and disks.
func BenchmarkEnsembleSet(b *testing.B) {
	for _, at := range []string{"leader", "follower"} {
		b.Run("at="+at, func(b *testing.B) {
			e := newEnsemble(b, 3, 0, nil)
			lead := e.leader()
			id := lead
			if at == "follower" {
				id = e.other(lead)
			}
			g := e.guest(id)
			g.call(1, wire.OpCreate, create("/bench", "", 0))
			const flight = 16
			var reqs []byte
			for range flight {
				reqs = append(reqs, request(2, wire.OpSetData, setData("/bench", string(make([]byte, 128))))...)
			}
			b.ReportAllocs()
			for i := 0; i < b.N; i += flight {
				g.feed(reqs)
				e.settle()
				g.take()
			}
		})
	}
}
