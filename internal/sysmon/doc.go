// Package sysmon has the monitor of Go's scheduler look less often.
//
// The monitor, runtime.sysmon, is a thread that takes the place of a processor away from a goroutine that
// stays in the kernel, and interrupts one that runs for more than 10 ms. In a process that sleeps and wakes thousands of
// times a second, as a server does whose requests wait for a disk and for other servers, it hardly ever gets to sleep
// longer than 20 us at a time, and each time costs a timer, an interrupt and two changes of threads: a fifth to a third
// of all that a write costs in a quiet ensemble.
//
// Linux may end a sleep later than asked for, by the thread's timer slack (PR_SET_TIMERSLACK of prctl(2)). A thread can only
// set its own, and no Go code ever runs on the monitor's: a signal does.
package sysmon

import "time"

// Slack is what Relax is given by this project's processes: a hundred times the monitor's shortest sleep, and a fifth of the
// time after which it interrupts a goroutine.
const Slack = 2 * time.Millisecond
