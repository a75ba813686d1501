package zabtest

import "testing"

// breaks are the mistakes that the simulation must find, each within so many seeds.
var breaks = []struct {
	name   string
	what   Break
	within int64
	tune   func(*rates)
}{
	{"AckBeforeSync", AckBeforeSync, 20, asDrawn},
	{"LyingDisk", LyingDisk, 20, asDrawn},
	{"CommitWithoutQuorum", CommitWithoutQuorum, 20, asDrawn},
	{"EpochBeforeLog", EpochBeforeLog, 1000, asDrawn},
	{"InstallInTwo", InstallInTwo, 5000, restless},
	{"NoSyncMark", NoSyncMark, 200, asDrawn},
	{"LoseOrder", LoseOrder, 20, asDrawn},
}

func asDrawn(*rates) {}

// restless makes servers restart with old trees and logs that part ways: the state in which a leader that is not
// established sends a snapshot that is behind what its follower has acknowledged.
func restless(r *rates) {
	r.crash, r.crashMidSync, r.purge, r.cut, r.part, r.heal, r.sync = 0.05, 0.5, 0, 0.05, 0.02, 0.2, 0.2
}

func TestMistakesAreFound(t *testing.T) {
	for _, b := range breaks {
		if testing.Short() && b.within > 1000 {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			for seed := int64(1); seed <= b.within; seed++ {
				if r := simulate(seed, b.what, nil, b.tune); len(r.Faults) > 0 {
					t.Logf("found by seed %d: %.300s", seed, r.Faults[0])
					return
				}
			}
			t.Errorf("not found by %d seeds", b.within)
		})
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	for seed := int64(1); seed <= 20; seed++ {
		if a, b := Simulate(seed, Sound, nil), Simulate(seed, Sound, nil); a.Hash != b.Hash || a.Steps != b.Steps {
			t.Errorf("seed %d: trace %x, then %x", seed, a.Hash, b.Hash)
		}
	}
	if Simulate(1, Sound, nil).Hash == Simulate(2, Sound, nil).Hash {
		t.Error("two seeds, one trace")
	}
}
