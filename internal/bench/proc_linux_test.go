package bench

import (
	"os"
	"strings"
	"testing"
)

func TestCPUTicks(t *testing.T) {
	line := "12 (a ) (b) 7) S 1 12 12 0 -1 4194304 100 0 0 0 250 30 0 0 20 0 1 0 5 1000 10"
	if n, err := cpuTicks([]byte(line)); err != nil || n != 280 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := cpuTicks([]byte("12 (x) S 1")); err == nil {
		t.Error("a cut line is accepted")
	}
}

func TestProcessUsage(t *testing.T) {
	one, err := ProcessUsage([]int{os.Getpid()})
	if err != nil || one.RSSBytes < 1<<20 || one.PeakBytes < one.RSSBytes/2 {
		t.Errorf("own usage: %+v, %v", one, err)
	}
	if _, err := ProcessUsage([]int{1 << 30}); err == nil || !strings.Contains(err.Error(), "process 1073741824: no such process") {
		t.Errorf("a process that is not there: %v", err)
	}
}
