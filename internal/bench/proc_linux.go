package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// clockTick is the unit of /proc/<pid>/stat: USER_HZ, 100 on every Linux.
const clockTick = time.Second / 100

// processUsage reads /proc. CPU time is exact to 10 ms.
func processUsage(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) {
		return Usage{}, errors.New("no such process")
	}
	if err != nil {
		return Usage{}, err
	}
	ticks, err := cpuTicks(stat)
	if err != nil {
		return Usage{}, err
	}
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return Usage{}, err
	}
	pages, err := field(statm, 1)
	if err != nil {
		return Usage{}, err
	}
	peak, err := peakBytes(pid)
	return Usage{CPU: time.Duration(ticks) * clockTick, RSSBytes: pages * int64(os.Getpagesize()), PeakBytes: peak}, err
}

// peakBytes reads VmHWM, which status gives in kilobytes. A process that is
// exiting has none.
func peakBytes(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kb, err := field(rest, 0)
			return kb << 10, err
		}
	}
	return 0, nil
}

// cpuTicks returns utime + stime, the 14th and 15th field of a stat line. The
// second field is a name in parentheses that may itself hold any character.
func cpuTicks(stat []byte) (int64, error) {
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	user, err := field(rest, 11)
	if err != nil {
		return 0, err
	}
	system, err := field(rest, 12)
	return user + system, err
}

// field returns the i-th number of a line, from 0.
func field(line []byte, i int) (int64, error) {
	fields := bytes.Fields(line)
	if i >= len(fields) {
		return 0, fmt.Errorf("/proc: a line of %d fields, field %d is wanted", len(fields), i)
	}
	return strconv.ParseInt(string(fields[i]), 10, 64)
}

// ownCPU returns the user and system time this process has used.
func ownCPU() (time.Duration, bool) {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0, false
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano()), true
}
