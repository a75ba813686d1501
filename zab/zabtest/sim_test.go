package zabtest

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var (
	seeds = flag.Int("seeds", 2000, "number of seeds to simulate; a tenth with -short")
	seed  = flag.Int64("seed", 0, "the one seed to replay, with every step printed")
	first = flag.Int64("first", 1, "first of the seeds")
)

func TestSimulation(t *testing.T) {
	if *seed != 0 {
		r := Simulate(*seed, Sound, os.Stdout)
		t.Logf("%+v", r)
		if len(r.Faults) > 0 {
			t.Fail()
		}
		return
	}
	if testing.Short() {
		*seeds /= 10
	}
	sum := Result{Syncs: map[string]int{}}
	bad := 0
	for i := range int64(*seeds) {
		r := Simulate(*first+i, Sound, nil)
		sum.Steps += r.Steps
		sum.Committed += r.Committed
		sum.Epochs += r.Epochs
		sum.Crashes += r.Crashes
		for how, n := range r.Syncs {
			sum.Syncs[how] += n
		}
		if len(r.Faults) > 0 {
			t.Errorf("seed %d: %q", r.Seed, r.Faults)
			if bad++; bad > 10 {
				break
			}
		}
	}
	fmt.Printf("%d seeds: %d rounds, %d transactions, %d epochs, %d crashes, synchronized by %v\n",
		*seeds, sum.Steps, sum.Committed, sum.Epochs, sum.Crashes, sum.Syncs)
}
