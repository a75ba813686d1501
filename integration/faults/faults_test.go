//go:build linux

package faults

import (
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/integration/netns"
)

func TestMain(m *testing.M) {
	os.Exit(netns.Sandboxed(func() int {
		defer integration.RemoveBuild()
		return m.Run()
	}))
}

// of returns n members of one kind, or what QUORATE_MEMBERS says.
func of(k ensemble.Kind, n int) []ensemble.Kind {
	if list := os.Getenv("QUORATE_MEMBERS"); list != "" {
		var kinds []ensemble.Kind
		for name := range strings.SplitSeq(list, ",") {
			kinds = append(kinds, ensemble.Kind(name))
		}
		return kinds
	}
	return slices.Repeat([]ensemble.Kind{k}, n)
}

// seed returns a new one, or QUORATE_SEED.
func seed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("QUORATE_SEED"), 10, 64); err == nil {
		return n
	}
	return rand.Uint64()
}

// trial is a fault and how long it is to last.
type trial struct {
	fault
	last time.Duration
}

// endure inflicts faults one after another.
func (w *world) endure(trials []trial) {
	w.t.Helper()
	for _, f := range trials {
		if err := w.suffer(f.fault, f.last); err != nil {
			w.t.Fatal(err)
		}
	}
	w.finish()
}

// all returns the faults that the world can suffer. QUORATE_FAULTS is a pattern
// of the names of those that it is to suffer.
func (w *world) all() []fault {
	names := regexp.MustCompile(os.Getenv("QUORATE_FAULTS"))
	return slices.DeleteFunc(slices.Concat(kills, cuts, fills), func(f fault) bool {
		return !names.MatchString(f.name) || f.fits != nil && !f.fits(w)
	})
}

// trials returns the faults of a run: those of the names for a brief time each,
// in a random order, and then more of the others, drawn at random, for a random
// time. A long run draws all of its faults.
func (w *world) trials(names []string, more int) []trial {
	var brief, drawn []trial
	for _, f := range w.all() {
		if long() == 0 && slices.Contains(names, f.name) {
			brief = append(brief, trial{f, f.brief()})
		} else {
			drawn = append(drawn, trial{f, w.lasting(f)})
		}
	}
	switch {
	case long() > 0:
		more = len(drawn)
	case len(brief) != len(names) && os.Getenv("QUORATE_FAULTS") == "":
		w.t.Fatalf("of the faults %q this ensemble has %d", names, len(brief))
	}
	shuffle := func(all []trial) {
		w.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	shuffle(brief)
	shuffle(drawn)
	return append(brief, drawn[:min(more, len(drawn))]...)
}

// long is how long to go on, zero for once: QUORATE_TORTURE, such as 30m.
func long() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("QUORATE_TORTURE"))
	return d
}

// again runs a test once, or in new worlds until the time is over. Each world
// ends with its own subtest.
func again(t *testing.T, run func(t *testing.T)) {
	netns.Need(t)
	end := time.Now().Add(long())
	for n := 1; n == 1 || time.Now().Before(end) && !t.Failed(); n++ {
		t.Run(strconv.Itoa(n), run)
	}
}

// TestFaults: three members survive the faults that every ensemble meets, a full
// disk of the leader, and another one.
func TestFaults(t *testing.T) {
	again(t, func(t *testing.T) {
		w := newWorld(t, setup{voters: of(integration.Quorate, 3), disks: true}, seed())
		w.endure(w.trials(append([]string{"full disk of the leader"}, everywhere...), 2))
	})
}

// TestFaultsOfFive: five members survive those that only they can, and more.
func TestFaultsOfFive(t *testing.T) {
	again(t, func(t *testing.T) {
		w := newWorld(t, setup{voters: of(integration.Quorate, 5), disks: true}, seed())
		w.endure(w.trials([]string{
			"kill -9 of the leader and a follower", "SIGSTOP of the leader and a follower", "halves",
			"two halves joined by one member", "nobody hears a follower",
		}, 2))
	})
}

// TestFaultsBesideObserver: three members and an observer survive faults, and with
// quorate.ensemble.linearizableReads every read stays linearizable. In a long run
// half of the worlds are without that setting.
func TestFaultsBesideObserver(t *testing.T) {
	again(t, func(t *testing.T) {
		seed := seed()
		w := newWorld(t, setup{
			voters: slices.Repeat([]ensemble.Kind{integration.Quorate}, 3), observers: []ensemble.Kind{integration.Quorate},
			fresh: long() == 0 || seed%2 == 0,
		}, seed)
		w.endure(w.trials([]string{"kill -9 of the leader", "SIGSTOP of the leader", "leader alone", "an observer alone", "slow links"}, 1))
	})
}

// TestFaultsOnJava shows that the faults and the judgement are right: a Java
// ensemble survives the plain ones as well. Flapping and one-way links are not
// among them: with those, releases up to 3.8.0 at least lose acknowledged writes.
func TestFaultsOnJava(t *testing.T) {
	w := newWorld(t, setup{voters: slices.Repeat([]ensemble.Kind{integration.ZooKeeper39}, 3)}, seed())
	var plain []trial
	for _, f := range w.all() {
		if slices.Contains([]string{"kill -9 of the leader", "SIGSTOP of a follower", "leader alone", "slow links"}, f.name) {
			plain = append(plain, trial{f, f.brief()})
		}
	}
	w.endure(plain)
}
