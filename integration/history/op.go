package history

import (
	"fmt"
	"sync"
	"time"
)

// Action is what an operation on a register did.
type Action int

// The actions. A register is a znode: a value and a version, both known from
// the beginning, the version counting every change.
const (
	Set   Action = iota // setData with any version
	Swap                // setData with an expected version
	Check               // the version is the expected one, asked in a transaction
	Read                // getData
	// ReadSynced is getData behind a sync. Quorate's leader asks a quorum whether
	// it leads before it answers a sync, so that the read is linearizable.
	// ZooKeeper's does not, and a sync of its own clients does not even wait until
	// it has applied what is committed: such a read may show the past.
	ReadSynced
	// ReadFresh is getData of servers that promise linearizable reads without a
	// sync, as Quorate does with quorate.ensemble.linearizableReads.
	ReadFresh
)

// Outcome is how an operation ended for its client.
type Outcome int

// The outcomes.
const (
	Unknown Outcome = iota // no answer: it happened, will happen or never happens
	OK
	BadVersion // refused, the version was another one
)

// Op is one operation of one client on one register.
type Op struct {
	Client int
	Key    string
	Action Action
	// Value is what was written, or read.
	Value string
	// Expect is the version that a Swap or Check asks for.
	Expect int32
	// Call and Return are moments since the history began. Return has no
	// meaning when the outcome is Unknown.
	Call, Return time.Duration
	Outcome      Outcome
	// Version and Zxid (the mzxid of the Stat) are of the register behind a
	// successful Set, Swap or read.
	Version int32
	Zxid    int64
}

func (a Action) String() string {
	return [...]string{"set", "swap", "check", "read", "synced read", "fresh read"}[a]
}

func (o Op) String() string {
	s := fmt.Sprintf("client %d %v..%v: %v %s", o.Client, o.Call, o.Return, o.Action, o.Key)
	switch o.Action {
	case Set:
		s += fmt.Sprintf(" to %q", o.Value)
	case Swap:
		s += fmt.Sprintf(" to %q if version %d", o.Value, o.Expect)
	case Check:
		s += fmt.Sprintf(" for version %d", o.Expect)
	case Read, ReadSynced, ReadFresh:
	}
	switch o.Outcome {
	case Unknown:
		return s + ": no answer"
	case BadVersion:
		return s + ": another version"
	default:
		return s + fmt.Sprintf(": %q, version %d, mzxid %#x", o.Value, o.Version, o.Zxid)
	}
}

// changes reports whether the operation may have changed the register.
func (o Op) changes() bool {
	return (o.Action == Set || o.Action == Swap) && o.Outcome != BadVersion
}

// saw reports whether the operation tells a state of the register.
func (o Op) saw() bool {
	return o.Outcome == OK && o.Action != Check
}

// Log gathers operations. Any goroutine may add to it.
type Log struct {
	began        time.Time
	mu           sync.Mutex
	ops          []Op
	acknowledged int
}

// NewLog returns a log that begins now.
func NewLog() *Log { return &Log{began: time.Now()} }

// Now returns the moment since the log began.
func (l *Log) Now() time.Duration { return time.Since(l.began) }

// Add records an operation that has ended.
func (l *Log) Add(o Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops = append(l.ops, o)
	if o.changes() && o.Outcome == OK {
		l.acknowledged++
	}
}

// Acknowledged returns how many writes were acknowledged so far.
func (l *Log) Acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acknowledged
}

// Ops returns what was recorded so far, in the order of the ends.
func (l *Log) Ops() []Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Op(nil), l.ops...)
}

// Pause returns the longest time between two acknowledged writes of the log
// from one moment to another, the borders counting as writes.
func Pause(ops []Op, from, to time.Duration) time.Duration {
	last, longest := from, time.Duration(0)
	for _, o := range ops { // in the order of returns, almost
		if o.Outcome != OK || (o.Action != Set && o.Action != Swap) || o.Return < last || o.Return > to {
			continue
		}
		longest = max(longest, o.Return-last)
		last = o.Return
	}
	return max(longest, to-last)
}
