package sim

import "testing"

// breaks are the mistakes that the simulation must find, each within so many seeds.
var breaks = []struct {
	name   string
	what   Break
	within int64
}{
	{"AckBeforeSync", AckBeforeSync, 20},
	{"CommitWithoutQuorum", CommitWithoutQuorum, 20},
	{"EpochBeforeLog", EpochBeforeLog, 2000},
	{"CheckpointAhead", CheckpointAhead, 100},
	{"KeepOldTree", KeepOldTree, 50},
	{"EventAfterData", EventAfterData, 20},
	{"PongWithoutLeader", PongWithoutLeader, 100},
	{"ReportAll", ReportAll, 50},
	{"RequestTwice", RequestTwice, 20},
	{"LoseAnswer", LoseAnswer, 50},
	{"SyncAtOnce", SyncAtOnce, 50},
	{"AgeStalled", AgeStalled, 50},
	{"ExpireUnread", ExpireUnread, 2000},
	{"ExpireUnreported", ExpireUnreported, 200},
	{"VoteBlank", VoteBlank, 2000},
}

func TestMistakesAreFound(t *testing.T) {
	for _, b := range breaks {
		if testing.Short() && b.within > 100 {
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
	if n := len(breaks); breaks[n-1].what != VoteBlank || int(VoteBlank) != n {
		t.Errorf("%d mistakes are looked for, there are %d", n, VoteBlank)
	}
}

// TestSameSeedSameTrace: a run depends on nothing but its seed, so a failure can be
// looked at again.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := int64(1); seed <= 20; seed++ {
		a, b := Simulate(seed, Sound, nil), Simulate(seed, Sound, nil)
		if a.Hash != b.Hash || a.Events != b.Events {
			t.Errorf("seed %d: trace %x, then %x", seed, a.Hash, b.Hash)
		}
	}
	if Simulate(1, Sound, nil).Hash == Simulate(2, Sound, nil).Hash {
		t.Error("two seeds, one trace")
	}
}
