package sysmon

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRelax(t *testing.T) {
	tid, err := monitor()
	if err != nil {
		t.Fatal(err)
	}
	for _, slack := range []time.Duration{2 * time.Millisecond, 50 * time.Microsecond} {
		if err := Relax(slack); err != nil {
			t.Fatalf("Relax(%v): %v", slack, err)
		}
		// Who may not look at other threads has the handler's word for it, which Relax compares.
		b, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/timerslack_ns")
		if err != nil {
			t.Logf("reading the slack of thread %d: %v", tid, err)
			continue
		}
		if got := strings.TrimSpace(string(b)); got != strconv.FormatInt(slack.Nanoseconds(), 10) {
			t.Errorf("the monitor's slack is %s ns after Relax(%v)", got, slack)
		}
	}
	var own syscall.Errno
	n, _, own := syscall.RawSyscall(syscall.SYS_PRCTL, 30, 0, 0)
	if own != 0 || n != uintptr((50*time.Microsecond).Nanoseconds()) {
		t.Errorf("this thread's slack is %d ns (errno %d)", n, own)
	}
}

// A thread that is asked must not notice: all of the process goes on, and the signal is Go's again.
func TestRelaxBesideWork(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	for range 8 {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					time.Sleep(time.Microsecond)
				}
			}
		}()
	}
	var before, after sigaction
	if err := setAction(nil, &before); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if err := Relax(50 * time.Microsecond); err != nil {
			t.Fatal(err)
		}
	}
	if err := setAction(nil, &after); err != nil {
		t.Fatal(err)
	}
	if before != after {
		t.Errorf("the signal's action was %+v, and is %+v", before, after)
	}
}
