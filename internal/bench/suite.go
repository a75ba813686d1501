package bench

import (
	"context"
	"errors"
	"slices"

	"github.com/quorate/quorate/internal/sysmon"
)

// Report is everything one run measured.
type Report struct {
	// Root is the parent of everything that Config.Keep left in place.
	Root string `json:"root,omitempty"`
	// Results has one entry for each workload and number of requests in
	// flight, all rounds taken together.
	Results []*Result `json:"results"`
	// Against has the same rows for the other side, and Ratios compares them;
	// both are empty without one.
	Against []*Result `json:"against,omitempty"`
	Ratios  []Ratio   `json:"ratios,omitempty"`
}

// Spread is the median of the rounds' figures with the lowest and highest.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Ratio says how the servers compare with those they run against: each figure
// is theirs divided by the other side's, round by round.
type Ratio struct {
	Workload   Workload `json:"workload"`
	InFlight   int      `json:"in_flight,omitempty"`
	Throughput Spread   `json:"throughput"`
	P50        Spread   `json:"p50"`
	P99        Spread   `json:"p99"`
	P999       Spread   `json:"p99_9"`
	// ServerCPU compares the CPU time per operation; absent unless both sides'
	// process ids are known.
	ServerCPU *Spread `json:"server_cpu,omitempty"`
}

// Run measures what c asks for. When it fails or is cancelled midway it returns
// the rows that are complete along with the error. Everything it created is
// removed before it returns, unless c.Keep is set.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	sides := []side{{c.Servers, c.PIDs}}
	if len(c.Against) > 0 {
		sides = append(sides, side{c.Against, c.AgainstPIDs})
	}
	b := newBench(c)
	// Whatever the generator takes, both sides of a comparison lack. Where the monitor cannot be slowed, it takes more.
	_ = sysmon.Relax(sysmon.Slack)
	rep, err := b.suite(ctx, sides)
	if b.Keep {
		b.say("kept: %s", b.root)
		rep.Root = b.root
		return rep, err
	}
	for _, on := range sides {
		if !errors.Is(err, ErrRefused) {
			err = errors.Join(err, b.cleanup(ctx, on, b.root))
		}
	}
	return rep, err
}

// specs lists the rows of the suite.
func (b *bench) specs() []spec {
	var out []spec
	for _, w := range b.Workloads {
		if !w.usesWindow() {
			out = append(out, spec{w, 0})
			continue
		}
		for _, n := range b.InFlight {
			out = append(out, spec{w, n})
		}
	}
	return out
}

// suite runs every row on every side in turns: A B, A B, ... for one row, then
// the next row.
func (b *bench) suite(ctx context.Context, sides []side) (*Report, error) {
	rep := &Report{}
	for _, s := range b.specs() {
		rounds := make([][]*Result, len(sides))
		for n := range b.Rounds {
			for i, on := range sides {
				b.say("%s%s on %s, round %d of %d", s.workload, windowNote(s.inFlight), on.servers, n+1, b.Rounds)
				r, err := b.one(ctx, on, s)
				if err != nil {
					return rep, err
				}
				rounds[i] = append(rounds[i], r)
			}
		}
		rep.add(rounds)
	}
	return rep, nil
}

// add appends a finished row.
func (rep *Report) add(rounds [][]*Result) {
	rep.Results = append(rep.Results, mergeRounds(rounds[0]))
	if len(rounds) > 1 {
		rep.Against = append(rep.Against, mergeRounds(rounds[1]))
		rep.Ratios = append(rep.Ratios, compareRounds(rounds[0], rounds[1]))
	}
}

// compareRounds divides round by round.
func compareRounds(a, b []*Result) Ratio {
	over := func(figure func(*Result) float64) Spread {
		var all []float64
		for i := range a {
			if d := figure(b[i]); d > 0 {
				all = append(all, figure(a[i])/d)
			}
		}
		return spreadOf(all)
	}
	r := Ratio{
		Workload: a[0].Workload, InFlight: a[0].InFlight,
		Throughput: over(func(r *Result) float64 { return r.Throughput }),
		P50:        over(func(r *Result) float64 { return r.Latency.P50 }),
		P99:        over(func(r *Result) float64 { return r.Latency.P99 }),
		P999:       over(func(r *Result) float64 { return r.Latency.P999 }),
	}
	if a[0].ServerCPU != nil && b[0].ServerCPU != nil {
		r.ServerCPU = ptr(over(func(r *Result) float64 {
			if r.ServerCPU == nil {
				return 0
			}
			return *r.ServerCPU
		}))
	}
	return r
}

// spreadOf returns the zero Spread for no figures.
func spreadOf(all []float64) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	slices.Sort(all)
	mid := len(all) / 2
	median := all[mid]
	if len(all)%2 == 0 {
		median = (all[mid-1] + all[mid]) / 2
	}
	return Spread{Median: median, Min: all[0], Max: all[len(all)-1]}
}
