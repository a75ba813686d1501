package server

import (
	"io"

	"github.com/quorate/quorate/zab/transport"
)

// gates are a member's storage with a bound on how many learners are sent a snapshot,
// or a stretch of the log on disk, at one time (LearnerSyncThrottler). Those beyond it
// wait for their turn; the leader gives up who waits for longer than initLimit.
type gates struct {
	transport.Storage
	snaps, diffs chan struct{}
}

func newGates(s transport.Storage, snaps, diffs int) *gates {
	return &gates{Storage: s, snaps: make(chan struct{}, snaps), diffs: make(chan struct{}, diffs)}
}

// SendSnapshot implements [transport.Storage].
func (g *gates) SendSnapshot(w io.Writer, through int64, begin func(zxid int64) error) error {
	g.snaps <- struct{}{}
	defer func() { <-g.snaps }()
	return g.Storage.SendSnapshot(w, through, begin)
}

// LogRange implements [transport.Storage].
func (g *gates) LogRange(after, through int64, fn func(zxid int64, data []byte) error) error {
	g.diffs <- struct{}{}
	defer func() { <-g.diffs }()
	return g.Storage.LogRange(after, through, fn)
}
