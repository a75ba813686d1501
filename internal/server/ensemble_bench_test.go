package server

import (
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
