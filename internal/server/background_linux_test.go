package server

import (
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// niceOfThread is the nice value of the calling goroutine's thread.
func niceOfThread(t *testing.T) int {
	t.Helper()
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Error(err)
	}
	return 20 - raw
}

// TestStandBackEndsWithItsGoroutine: the thread of a goroutine that stands back
// serves no other one afterwards, nor do threads that it started.
func TestStandBackEndsWithItsGoroutine(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	usual := niceOfThread(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			standBack()
			if got, want := niceOfThread(t), min(usual+niceBehind, 19); got != want {
				t.Errorf("nice %d, want %d", got, want)
			}
			var inner sync.WaitGroup
			for range 8 {
				inner.Go(func() {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					if got := niceOfThread(t); got != usual {
						t.Errorf("a goroutine started by one that stands back: nice %d, want %d", got, usual)
					}
				})
			}
			inner.Wait()
		})
	}
	wg.Wait()
	for range 64 {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if got := niceOfThread(t); got != usual {
				t.Errorf("nice %d afterwards, want %d", got, usual)
			}
		})
	}
	wg.Wait()
}
