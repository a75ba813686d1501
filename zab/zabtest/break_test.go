package zabtest

import "testing"

// breaks are the mistakes that the simulation must find, each within so many seeds.
var breaks = []struct {
	name   string
	what   Break
	within int64
}{
	{"AckBeforeSync", AckBeforeSync, 20},
	{"LyingDisk", LyingDisk, 20},
	{"CommitWithoutQuorum", CommitWithoutQuorum, 20},
	{"EpochBeforeLog", EpochBeforeLog, 1000},
	{"NoSyncMark", NoSyncMark, 200},
	{"LoseOrder", LoseOrder, 20},
}

func TestMistakesAreFound(t *testing.T) {
	for _, b := range breaks {
		if testing.Short() && b.within > 1000 {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			for seed := int64(1); seed <= b.within; seed++ {
				if r := Simulate(seed, b.what, nil); len(r.Faults) > 0 {
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
