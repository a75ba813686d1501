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

// TestRehearsal replaces three Java servers and puts them back.
func TestRehearsal(t *testing.T) {
	spec := ensemble.Spec{Voters: []ensemble.Kind{integration.ZooKeeper38}}
	integration.NeedPeer(t, "Debian's ZooKeeper", spec.Available())
	integration.NeedPeer(t, "Debian's python3-kazoo", witness.KazooMissing())
	var out strings.Builder
	err := rehearse(t.Context(), plan{
		java: integration.ZooKeeper38, dir: t.TempDir(), order: orderLeaderLast,
		servers: 3, nodes: 2000, writes: 200, seed: 1, out: &out,
	})
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
}
