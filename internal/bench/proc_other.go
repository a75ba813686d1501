//go:build !linux

package bench

import "time"

func processUsage(int) (Usage, error) { return Usage{}, errUnavailable }

func ownCPU() (time.Duration, bool) { return 0, false }
