package bench

import (
	"errors"
	"fmt"
	"time"
)

// errUnavailable: the system does not tell what a process uses.
var errUnavailable = errors.New("not available on this system")

// Usage is what some processes have used.
type Usage struct {
	CPU      time.Duration // user and system, since the processes started
	RSSBytes int64         // resident now
	// PeakBytes is the most that was resident at any time.
	PeakBytes int64
}

// ProcessUsage returns the sum of what the given processes use. It fails when
// one of them does not exist, or on systems without Linux's /proc.
func ProcessUsage(pids []int) (Usage, error) {
	var sum Usage
	for _, pid := range pids {
		u, err := processUsage(pid)
		if err != nil {
			return Usage{}, fmt.Errorf("process %d: %w", pid, err)
		}
		sum.CPU += u.CPU
		sum.RSSBytes += u.RSSBytes
		sum.PeakBytes += u.PeakBytes
	}
	return sum, nil
}
