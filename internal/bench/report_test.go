package bench

import (
	"testing"
	"time"
)

func TestDurationsAreShort(t *testing.T) {
	for us, want := range map[float64]string{
		0: "0.00 us", 1.234: "1.23 us", 12.34: "12.3 us", 123.4: "123 us", 999.4: "999 us", 999.6: "1.00 ms",
		12345: "12.3 ms", 1e6: "1.00 s", 12e6: "12.0 s",
	} {
		if got := duration(us); got != want {
			t.Errorf("%v us is written %q, want %q", us, got, want)
		}
	}
}

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999.4: "999", 1000: "1,000", 1234567.8: "1,234,568"} {
		if got := thousands(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

func TestErrorListIsOrdered(t *testing.T) {
	got := errorList(map[string]int64{"NoNode": 3, "BadVersion": 3, "NoAuth": 10})
	if want := "10 NoAuth, 3 BadVersion, 3 NoNode"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Spread
	}{
		{nil, Spread{}},
		{[]float64{2}, Spread{2, 2, 2}},
		{[]float64{3, 1, 2}, Spread{2, 1, 3}},
		{[]float64{4, 1, 2, 3}, Spread{2.5, 1, 4}},
	} {
		if got := spreadOf(c.in); got != c.want {
			t.Errorf("spread of %v is %v, want %v", c.in, got, c.want)
		}
	}
}

// The ratio of each round is taken first, the median of the ratios afterwards.
func TestRatiosAreByRound(t *testing.T) {
	res := func(throughput float64, cpu float64) *Result { return &Result{Throughput: throughput, ServerCPU: &cpu} }
	r := compareRounds(
		[]*Result{res(100, 1), res(900, 1), res(200, 1)},
		[]*Result{res(50, 4), res(100, 2), res(200, 8)})
	if want := (Spread{2, 1, 9}); r.Throughput != want {
		t.Errorf("throughput ratio %v, want %v", r.Throughput, want)
	}
	if want := (Spread{0.25, 0.125, 0.5}); r.ServerCPU == nil || *r.ServerCPU != want {
		t.Errorf("CPU ratio %v, want %v", r.ServerCPU, want)
	}
}

func TestMergedRoundsAddUp(t *testing.T) {
	a := &Result{Ops: 100, elapsed: time.Second, Errors: map[string]int64{"x": 1}, haveCPU: true, serverCPU: time.Second, rss: 5}
	b := &Result{Ops: 298, elapsed: 3 * time.Second, Errors: map[string]int64{"x": 1}, haveCPU: true, serverCPU: time.Second, rss: 4}
	a.hist.Record(time.Millisecond)
	b.hist.Record(time.Second)
	sum := mergeRounds([]*Result{a, b})
	if sum.Ops != 398 || sum.Throughput != 99.5 || sum.Errors["x"] != 2 || *sum.ServerCPU != 5000 || *sum.RSSBytes != 5 {
		t.Errorf("sum: %+v, CPU %v", sum, *sum.ServerCPU)
	}
	if sum.Latency.Max != 1e6 || sum.Latency.P50 > 1020 || a.Errors["x"] != 1 {
		t.Errorf("latency %+v; first round's errors %v", sum.Latency, a.Errors)
	}
}
