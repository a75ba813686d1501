//go:build linux

package faults

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/integration/netns"
	"github.com/quorate/quorate/integration/witness"
)

// TestSeveralAddresses: members that have an address in each of two networks go on when
// either network fails, also those that start then, and stop when both have.
func TestSeveralAddresses(t *testing.T) {
	netns.Need(t)
	var all sync.WaitGroup
	const java, quorate = integration.ZooKeeper38, integration.Quorate
	for name, kinds := range map[string][]ensemble.Kind{
		"java": {java, java, java}, "quorate": {quorate, quorate, quorate}, "mixed": {quorate, java, quorate},
	} {
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				w := inTwoNetworks(t, kinds)
				w.writes("both networks")
				w.net.CutPlane(0, true)
				w.writes("the first network has failed")
				w.restart()
				w.writes("a member was restarted meanwhile")
				w.net.CutPlane(0, false)
				w.net.CutPlane(1, true)
				w.writes("the second has failed, the first is back")
				w.net.CutPlane(0, true)
				w.standsStill()
				w.net.CutPlane(1, false)
				w.writes("the second is back")
				if _, err := w.e.Compare(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
	all.Wait()
}

// twoNetworks is an ensemble of three in two networks, and a stock client of it, which
// reaches it by a third.
type twoNetworks struct {
	t      *testing.T
	net    *netns.Network
	e      *ensemble.Ensemble
	client *witness.Client
	n      int
}

func inTwoNetworks(t *testing.T, kinds []ensemble.Kind) *twoNetworks {
	t.Helper()
	network, err := netns.NewNetwork(3, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := network.Planes(2); err != nil {
		network.Close()
		t.Fatal(err)
	}
	e := ensemble.ForTest(t, ensemble.Spec{
		// Java 3.8 reads the list of servers before it believes the line in zoo.cfg.
		Java:  []string{"-Dzookeeper.multiAddress.enabled=true"},
		Place: network, Voters: kinds,
		Options: integration.Options{"multiAddress.enabled": "true", "tickTime": "500", "syncLimit": "3", "initLimit": "20"},
	})
	client, err := witness.NewClient(1, e.Addrs(), 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &twoNetworks{t: t, net: network, e: e, client: client}
}

// writes has the client write, until it can, and sees that all members have it.
func (w *twoNetworks) writes(when string) {
	w.t.Helper()
	w.n++
	began := time.Now()
	path := fmt.Sprintf("/x-%d", w.n)
	err := ensemble.Await(when, func() error {
		_, err := w.client.Create(path, nil, 0, zk.WorldACL(zk.PermAll))
		if errors.Is(err, zk.ErrNodeExists) { // by a try whose answer was lost
			err = nil
		}
		return err
	})
	wrote := time.Since(began)
	if err = errors.Join(err, w.e.AwaitSynced()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Logf("%s: written after %v, all follow after %v", when, wrote.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if n := w.client.Expired.Load(); n > 0 {
		w.t.Errorf("%s: %d sessions have expired", when, n)
	}
}

// restart kills a follower and starts it again.
func (w *twoNetworks) restart() {
	w.t.Helper()
	m, err := w.e.Follower()
	if err != nil {
		w.t.Fatal(err)
	}
	m.Kill()
	if err := m.Start(); err != nil {
		w.t.Fatal(err)
	}
}

// standsStill waits until nobody leads.
func (w *twoNetworks) standsStill() {
	w.t.Helper()
	err := ensemble.Await("the leader to give up", func() error {
		if m, err := w.e.Leader(); err == nil {
			return fmt.Errorf("member %v leads", m)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
