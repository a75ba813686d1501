package zab

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/quorate/quorate/zab/quorum"
)

// Ensemble is one configuration of the ensemble as the core sees it. Addresses are the runtime's: it knows them by sid.
type Ensemble struct {
	// Version is the zxid of the reconfiguration that made it; 0 is the static configuration.
	Version int64
	// Quorum decides; its voters are the participants.
	Quorum quorum.Verifier
	// Observers are the members without a vote, in any order. What others claim to have promised does not count for a new
	// epoch, nor does anything else, so one that the list lacks is led all the same.
	Observers []int64
	// Text is the configuration as ZooKeeper writes it (reference: server.N lines and version=), sent in NEWLEADER and
	// notifications. Java servers die of a text they cannot parse: give the real one.
	Text []byte
}

// Run is a stretch of history: all zxids from First to Last, which are of one epoch.
type Run struct {
	First, Last int64
}

// Boot is what the disk held when the process started, or what a Core knew when another takes its place.
type Boot struct {
	// AcceptedEpoch and CurrentEpoch are the epoch files.
	AcceptedEpoch, CurrentEpoch int64
	// SyncMark tells that the mark of WriteSyncMark was on disk: a synchronization was cut short, and a CurrentEpoch
	// below the epoch of the last transaction is to be raised.
	SyncMark bool
	// Base is the zxid before the first run: the oldest state from which the log on disk leads to its end without a
	// hole. Logs from before a snapshot that came from a leader do not count (ZOOKEEPER-2846).
	Base int64
	// Runs is what the log on disk holds after Base, ascending, without overlap. Epochs may be skipped, counters not.
	Runs []Run
	// Applied is the zxid of the tree: all up to it is committed (or came as a snapshot). At least Base.
	Applied int64
	// Tail is every entry of the log after Applied; it may begin earlier, to serve learners from memory.
	Tail []Entry
	// Blank tells that this server never had data and must not vote until it has been synchronized, because it may
	// stand in for one that had acknowledged writes (ZooKeeper: no file "initialize", autocreate off).
	Blank bool
}

// Rand is the only source of randomness: Intn returns a number from 0 to n-1.
type Rand interface{ Intn(n int) int }

// LearnerOptions is how the leader treats one learner.
type LearnerOptions struct {
	// SnapForTrunc sends SNAP stamped newEpoch<<32 where TRUNC would do. For Java followers: one that has a snapshot of
	// the transactions to be cut brings them back after TRUNC (ZOOKEEPER-1549).
	SnapForTrunc bool
}

// Config is what a Core is made of. Ticks are calls of Tick; the runtime decides how long one lasts. The defaults
// fit a tick of 50 ms and ZooKeeper's sample configuration (tickTime 2000, initLimit 10, syncLimit 5).
type Config struct {
	// ID is this server's sid (myid).
	ID int64
	// Observer is peerType=observer.
	Observer bool
	// Ensemble is the committed configuration; LastSeen, if its version is higher, a proposed one, whose quorums are
	// needed too.
	Ensemble Ensemble
	LastSeen *Ensemble
	Boot     Boot
	// Rand spreads the resending of notifications; nil spreads nothing.
	Rand Rand
	// Check says what is wrong with a transaction of a leader's that the log could not hold; nil is nothing. A core that
	// orders none of these loses a connection, and not its disk, to a leader that is not in its right mind.
	Check func(Entry) error

	// FinalizeWaitTicks is how long a decided election waits for a better vote; it does not wait when every voter has
	// voted alike. 0 is 4 (200 ms).
	FinalizeWaitTicks int
	// NotifyMinTicks and NotifyMaxTicks bound the interval after which votes are sent again, doubling. 0 is 4 and 40: a
	// server that has been cut off asks nobody for as long as NotifyMaxTicks after it could. ZooKeeper's is a minute.
	NotifyMinTicks, NotifyMaxTicks int
	// ConnectRetryTicks lies between two attempts to reach the leader, ConnectTriesMax is their number. 0 is 2 and 5.
	ConnectRetryTicks, ConnectTriesMax int
	// InitLimitTicks bounds each wait of discovery and synchronization (initLimit x tickTime). 0 is 400.
	InitLimitTicks int
	// SyncLimitTicks bounds silence in broadcast, the age of an unacknowledged proposal, and how long a leader's own disk
	// may do nothing of what it was ordered (syncLimit x tickTime). 0 is 200.
	SyncLimitTicks int
	// PingTicks is the interval of the leader's pings (tickTime / 2). 0 is 20.
	PingTicks int
	// HandOverTicks bounds a graceful hand-over, after which the leader leaves anyway. 0 is 40.
	HandOverTicks int

	// WindowTxns is how many committed transactions stay in memory for learners (commitLogCount). 0 is 500.
	WindowTxns int
	// HeldTxnsMax and HeldBytesMax are how many transactions beyond WindowTxns, and how many bytes of them, stay in memory
	// for a learner that is being synchronized; one further behind is dropped and starts again. 0 is 100000 and 256 MiB.
	HeldTxnsMax, HeldBytesMax int
	// DiffTxnsMax is how many transactions a learner may lack and still get them one by one from the log on disk,
	// rather than a snapshot; it also bounds what that learner holds in memory. 0 is 100000, negative is memory only.
	DiffTxnsMax int
	// DiffBytesMax is how many bytes these may have, and those from memory. Of what is on disk alone the core knows no
	// sizes and takes the average of what it has in memory; a learner that is sent more, by whatever leader, asks for a
	// snapshot. 0 is 256 MiB.
	DiffBytesMax int
	// OutstandingMax is how many proposals, and OutstandingBytesMax how many bytes of them, may wait for their commit
	// before Propose refuses. One may always. 0 is 10000 and 64 MiB.
	OutstandingMax, OutstandingBytesMax int
	// EpochTxnsMax is the last counter of an epoch. 0 is CounterMax; tests set less.
	EpochTxnsMax uint32
	// Learners has options by sid, DefaultLearner those of all others.
	Learners       map[int64]LearnerOptions
	DefaultLearner LearnerOptions
}

// Errors of New; all faults found are reported at once.
var (
	// ErrConfig: a Config field is out of its range.
	ErrConfig = errors.New("bad configuration of the protocol core")
	// ErrBoot: what the disk held contradicts itself. The server must not start: ask an operator.
	ErrBoot = errors.New("data on disk contradict each other")
)

func orDefault(v *int, d int) {
	if *v == 0 {
		*v = d
	}
}

func (c Config) withDefaults() Config {
	orDefault(&c.FinalizeWaitTicks, 4)
	orDefault(&c.NotifyMinTicks, 4)
	orDefault(&c.NotifyMaxTicks, 40)
	orDefault(&c.ConnectRetryTicks, 2)
	orDefault(&c.ConnectTriesMax, 5)
	orDefault(&c.InitLimitTicks, 400)
	orDefault(&c.SyncLimitTicks, 200)
	orDefault(&c.PingTicks, 20)
	orDefault(&c.HandOverTicks, 40)
	orDefault(&c.WindowTxns, 500)
	orDefault(&c.HeldTxnsMax, 100_000)
	orDefault(&c.HeldBytesMax, 256<<20)
	orDefault(&c.DiffTxnsMax, 100_000)
	orDefault(&c.DiffBytesMax, 256<<20)
	orDefault(&c.OutstandingMax, 10_000)
	orDefault(&c.OutstandingBytesMax, 64<<20)
	if c.EpochTxnsMax == 0 {
		c.EpochTxnsMax = CounterMax
	}
	return c
}

// Validate reports every field that is out of range, wrapped in ErrConfig or ErrBoot.
func (c Config) Validate() error {
	errs := append(c.rangeErrors(), c.Boot.errors()...)
	if c.Ensemble.Quorum == nil {
		errs = append(errs, fmt.Errorf("%w: Ensemble.Quorum is missing", ErrConfig))
	} else if c.Observer && c.Ensemble.Quorum.IsVoter(c.ID) {
		errs = append(errs, fmt.Errorf("%w: server %d is an observer and a voter", ErrConfig, c.ID))
	}
	if c.LastSeen != nil && c.LastSeen.Quorum == nil {
		errs = append(errs, fmt.Errorf("%w: LastSeen.Quorum is missing", ErrConfig))
	}
	return errors.Join(errs...)
}

func (c Config) rangeErrors() (errs []error) {
	for _, f := range []struct {
		name string
		v    int
	}{
		{"FinalizeWaitTicks", c.FinalizeWaitTicks},
		{"NotifyMinTicks", c.NotifyMinTicks},
		{"NotifyMaxTicks", c.NotifyMaxTicks},
		{"ConnectRetryTicks", c.ConnectRetryTicks},
		{"ConnectTriesMax", c.ConnectTriesMax},
		{"InitLimitTicks", c.InitLimitTicks},
		{"SyncLimitTicks", c.SyncLimitTicks},
		{"PingTicks", c.PingTicks},
		{"HandOverTicks", c.HandOverTicks},
		{"WindowTxns", c.WindowTxns},
		{"HeldTxnsMax", c.HeldTxnsMax},
		{"HeldBytesMax", c.HeldBytesMax},
		{"DiffBytesMax", c.DiffBytesMax},
		{"OutstandingMax", c.OutstandingMax},
		{"OutstandingBytesMax", c.OutstandingBytesMax},
	} {
		if f.v < 0 {
			errs = append(errs, fmt.Errorf("%w: %s is %d, below 0", ErrConfig, f.name, f.v))
		}
	}
	return errs
}

func (b Boot) last() int64 {
	if n := len(b.Runs); n > 0 {
		return b.Runs[n-1].Last
	}
	return b.Base
}

func (b Boot) errors() (errs []error) {
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrBoot}, args...)...))
	}
	prev := b.Base
	for _, r := range b.Runs {
		if !Follows(prev, r.First) || r.Last < r.First || Epoch(r.Last) != Epoch(r.First) {
			bad("run %s..%s does not follow %s", FormatZxid(r.First), FormatZxid(r.Last), FormatZxid(prev))
		}
		prev = r.Last
	}
	if b.CurrentEpoch < 0 || b.AcceptedEpoch >= math.MaxInt32 {
		bad("epochs %d and %d are not between 0 and 2^31-2", b.AcceptedEpoch, b.CurrentEpoch)
	}
	if b.AcceptedEpoch < b.CurrentEpoch {
		bad("acceptedEpoch %d is below currentEpoch %d", b.AcceptedEpoch, b.CurrentEpoch)
	}
	if Epoch(b.last()) > b.CurrentEpoch && !b.SyncMark {
		bad("last zxid %s is of a later epoch than currentEpoch %d", FormatZxid(b.last()), b.CurrentEpoch)
	}
	if Epoch(b.last()) > b.AcceptedEpoch {
		bad("last zxid %s is of a later epoch than acceptedEpoch %d", FormatZxid(b.last()), b.AcceptedEpoch)
	}
	if b.Applied < b.Base || b.Applied > b.last() {
		bad("the tree is at %s, the log covers %s to %s", FormatZxid(b.Applied), FormatZxid(b.Base), FormatZxid(b.last()))
	}
	if b.Blank && b.last() != 0 {
		bad("a blank server holds %s", FormatZxid(b.last()))
	}
	return errs
}

// isVoter reports whether id votes in the committed configuration or in a proposed one.
func (c *Config) isVoter(id int64) bool {
	return c.Ensemble.Quorum.IsVoter(id) || c.LastSeen != nil && c.LastSeen.Quorum.IsVoter(id)
}

// decider is the quorum system of votes, NEWLEADER and proposals: the committed configuration and, while it is
// newer, the proposed one.
func (c *Config) decider() quorum.Verifier {
	if c.LastSeen != nil && c.LastSeen.Version > c.Ensemble.Version {
		return quorum.Both(c.Ensemble.Quorum, c.LastSeen.Quorum)
	}
	return c.Ensemble.Quorum
}

// lastSeenText is what NEWLEADER carries.
func (c *Config) lastSeenText() []byte {
	if c.LastSeen != nil && c.LastSeen.Version > c.Ensemble.Version {
		return c.LastSeen.Text
	}
	return slices.Clone(c.Ensemble.Text)
}

// learner returns the options of the learner with that sid.
func (c *Config) learner(sid int64) LearnerOptions {
	if o, ok := c.Learners[sid]; ok {
		return o
	}
	return c.DefaultLearner
}
