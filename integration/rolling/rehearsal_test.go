//go:build linux

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/integration/witness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	integration.RemoveBuild()
	os.Exit(code)
}

// TestRehearsal replaces three Java servers and puts them back: Debian's, and with
// QUORATE_MIXED=all those of every release.
func TestRehearsal(t *testing.T) {
	releases := ensemble.Releases
	if os.Getenv("QUORATE_MIXED") != "all" {
		releases = releases[:1]
	}
	for _, java := range releases {
		t.Run(string(java), func(t *testing.T) { testRehearsal(t, java) })
	}
}

func testRehearsal(t *testing.T, java ensemble.Kind) {
	spec := ensemble.Spec{Voters: []ensemble.Kind{java}}
	integration.NeedPeer(t, "ZooKeeper "+string(java), spec.Available())
	integration.NeedPeer(t, "Debian's python3-kazoo", witness.KazooMissing())
	integration.NeedPeer(t, "Debian's Curator", witness.CuratorMissing())
	var out strings.Builder
	err := rehearse(t.Context(), plan{
		java: java, dir: t.TempDir(), order: orderLeaderLast,
		servers: 3, nodes: 2000, writes: 200, seed: 1, out: &out,
	})
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
}
