package sim

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var (
	seeds = flag.Int("seeds", 2000, "number of seeds to simulate; a tenth with -short")
	seed  = flag.Int64("seed", 0, "the one seed to replay, with every step printed")
	first = flag.Int64("first", 1, "first of the seeds")
)

func TestSimulation(t *testing.T) {
	if *seed != 0 {
		r := Simulate(*seed, Sound, os.Stdout)
		t.Log(r)
		if len(r.Faults) > 0 {
			t.Fail()
		}
		return
	}
	if testing.Short() {
		*seeds /= 10
	}
	sum := Result{Syncs: map[string]int{}, Done: map[string]int{}}
	bad := 0
	began := time.Now()
	for i := range int64(*seeds) {
		r := Simulate(*first+i, Sound, nil)
		sum.add(r)
		if len(r.Faults) > 0 {
			t.Errorf("seed %d: %.2000q", r.Seed, r.Faults)
			if bad++; bad > 10 {
				break
			}
		}
	}
	took := time.Since(began)
	fmt.Printf("%d seeds, %.1f/s: %d events, %d transactions, %d epochs, %d crashes, %d answers, %d sessions expired\nsynchronized by %v\ndone %v\n",
		sum.Seed, float64(sum.Seed)/took.Seconds(), sum.Events, sum.Committed, sum.Epochs, sum.Crashes, sum.Answers, sum.Expired, sum.Syncs, sum.Done)
}

// add adds up what seeds did.
func (r *Result) add(o Result) {
	r.Seed++ // their number
	r.Events += o.Events
	r.Committed += o.Committed
	r.Epochs += o.Epochs
	r.Crashes += o.Crashes
	r.Answers += o.Answers
	r.Expired += o.Expired
	for k, n := range o.Syncs {
		r.Syncs[k] += n
	}
	for k, n := range o.Done {
		r.Done[k] += n
	}
}
