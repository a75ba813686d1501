//go:build linux

package main

import (
	"context"
	"errors"

	"github.com/quorate/quorate/internal/bench"
	"github.com/quorate/quorate/internal/bench/table"
)

// The load of most rows: so many sessions, spread over all servers, each with so
// many requests in flight.
const (
	connections = 15
	inFlight    = 16
)

// wants are the targets of the workloads.
func wants() []table.Want {
	fiveTimes, sixth, half := table.AtLeast(5), table.AtMost(1.0/6), table.AtMost(1.0/2)
	cpu := "CPU of all servers per operation"
	return []table.Want{
		{Workload: bench.Get, Connections: connections, InFlight: inFlight, Title: "getData over 3 servers, 15 x 16", Throughput: fiveTimes, CPUFigure: cpu},
		{Workload: bench.Set, Connections: connections, InFlight: inFlight, Title: "setData, 15 x 16", Throughput: fiveTimes, CPU: sixth, CPUFigure: cpu},
		{Workload: bench.Create, Connections: connections, InFlight: inFlight, Title: "create, 15 x 16", Throughput: fiveTimes, CPU: sixth, CPUFigure: cpu},
		{Workload: bench.Set, Connections: servers, InFlight: 1, Title: "setData, 1 in flight, one client per server", P50: half, P99: half, CPUFigure: cpu},
		{Workload: bench.Set, Connections: connections, InFlight: 1, Title: "setData, 1 in flight, 15 clients", P50: half, P99: half, CPUFigure: cpu},
	}
}

// measureWorkloads runs the load generator on both ensembles in turns, while
// both are up: the one whose turn it is not has nothing to do but its pings.
func measureWorkloads(ctx context.Context, o options, sides []side) (*bench.Report, error) {
	q, err := sides[0].start("small")
	if err != nil {
		return nil, err
	}
	defer q.Close()
	z, err := sides[1].start("small")
	if err != nil {
		return nil, err
	}
	defer z.Close()
	all := &bench.Report{}
	for _, c := range []bench.Config{
		{Workloads: []bench.Workload{bench.Get, bench.Set, bench.Create}, Connections: connections, InFlight: []int{inFlight}},
		{Workloads: []bench.Workload{bench.Set}, Connections: servers, InFlight: []int{1}},
		{Workloads: []bench.Workload{bench.Set}, Connections: connections, InFlight: []int{1}},
	} {
		c.Servers, c.PIDs = q.Addrs(), pids(q)
		c.Against, c.AgainstPIDs = z.Addrs(), pids(z)
		c.ValueBytes, c.Rounds, c.Duration, c.Warmup, c.Progress = valueBytes, o.rounds, o.duration, o.warmup, o.Log
		rep, err := bench.Run(ctx, c)
		if rep != nil {
			all.Results = append(all.Results, rep.Results...)
			all.Against = append(all.Against, rep.Against...)
			all.Ratios = append(all.Ratios, rep.Ratios...)
		}
		if err != nil {
			return all, errors.Join(err, errors.New(q.LastLines(10)+z.LastLines(10)))
		}
	}
	o.warn(q)
	o.warn(z)
	return all, nil
}
