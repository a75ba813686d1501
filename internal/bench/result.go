package bench

import (
	"maps"
	"time"
)

// Latency holds percentiles in microseconds, from the moment a request was
// handed to the kernel until its answer was read.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Result is what one workload did on one server or ensemble.
type Result struct {
	Servers     []string `json:"servers"`
	Workload    Workload `json:"workload"`
	Connections int      `json:"connections"`
	// InFlight is 0 where it has no meaning.
	InFlight   int `json:"in_flight,omitempty"`
	ValueBytes int `json:"value_bytes"`
	// Ops counts operations that succeeded, Errors the others by the name of
	// their code.
	Ops        int64            `json:"ops"`
	Errors     map[string]int64 `json:"errors,omitempty"`
	Seconds    float64          `json:"seconds"`
	Throughput float64          `json:"ops_per_second"`
	Latency    Latency          `json:"latency_us"`
	// ServerCPU is the servers' user and system time per operation in
	// microseconds, RSSBytes their resident memory at the end; both absent
	// without process ids.
	ServerCPU *float64 `json:"server_cpu_us_per_op,omitempty"`
	RSSBytes  *int64   `json:"server_rss_bytes,omitempty"`
	// GeneratorCPU is what an operation cost this process, in microseconds.
	GeneratorCPU *float64 `json:"generator_cpu_us_per_op,omitempty"`

	hist      Histogram
	elapsed   time.Duration
	serverCPU time.Duration
	ownCPU    time.Duration
	haveCPU   bool
	haveOwn   bool
	rss       int64
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// complete computes the published figures from the counted ones.
func (r *Result) complete() {
	r.Seconds = r.elapsed.Seconds()
	if r.elapsed > 0 {
		r.Throughput = float64(r.Ops) / r.Seconds
	}
	r.Latency = Latency{
		P50: micros(r.hist.Quantile(0.5)), P90: micros(r.hist.Quantile(0.9)), P99: micros(r.hist.Quantile(0.99)),
		P999: micros(r.hist.Quantile(0.999)), Max: micros(r.hist.Max()),
	}
	answered := r.Ops + r.failures()
	if r.haveCPU && answered > 0 {
		r.ServerCPU = ptr(micros(r.serverCPU) / float64(answered))
	}
	if r.haveCPU {
		r.RSSBytes = ptr(r.rss)
	}
	if r.haveOwn && answered > 0 {
		r.GeneratorCPU = ptr(micros(r.ownCPU) / float64(answered))
	}
}

func ptr[T any](v T) *T { return &v }

func (r *Result) failures() int64 {
	var n int64
	for _, v := range r.Errors {
		n += v
	}
	return n
}

// addTally takes over what one lane measured.
func (r *Result) addTally(t *tally) {
	r.Ops += t.ok
	r.hist.Merge(&t.hist)
	r.elapsed = max(r.elapsed, time.Duration(t.last))
	for code, n := range t.errors {
		r.addErrors(map[string]int64{code.Error(): n})
	}
}

func (r *Result) addErrors(more map[string]int64) {
	if r.Errors == nil && len(more) > 0 {
		r.Errors = map[string]int64{}
	}
	for name, n := range more {
		r.Errors[name] += n
	}
}

// mergeRounds sums up the rounds of one workload on one side.
func mergeRounds(rounds []*Result) *Result {
	sum := *rounds[0]
	sum.Errors = maps.Clone(sum.Errors)
	for _, r := range rounds[1:] {
		sum.Ops += r.Ops
		sum.hist.Merge(&r.hist)
		sum.elapsed += r.elapsed
		sum.serverCPU += r.serverCPU
		sum.ownCPU += r.ownCPU
		sum.rss = max(sum.rss, r.rss)
		sum.addErrors(r.Errors)
	}
	sum.complete()
	return &sum
}
