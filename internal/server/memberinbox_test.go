package server

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/quorate/quorate/zab"
)

func bareMember() *member {
	w := &member{s: &Server{log: zap.NewNop()}}
	w.room.L = &w.mu
	w.l = endedLoop(w.s)
	return w
}

// A few large messages of peers are as much as a lot of small ones: whoever brings more waits for the loop.
func TestPeersWaitAtTheBytesOfTheInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bareMember()
		w.Step([]zab.Message{{Type: zab.Proposal, Data: make([]byte, peerInboxBytesMax)}, {Type: zab.Request, Auth: []byte{1}}})
		came := false
		go func() {
			w.Step([]zab.Message{{Type: zab.Ping}})
			came = true
		}()
		synctest.Wait()
		if came {
			t.Error("there was room for another message")
		}
		w.takeInbox()
		synctest.Wait()
		if !came || len(w.taken) != 2 {
			t.Errorf("the loop took %d messages, and the next one came: %v", len(w.taken), came)
		}
		w.Step([]zab.Message{{Type: zab.Ping}}) // it has forgotten the bytes
	})
}

// A leader on which too many requests of members wait reads more slowly from those who send them.
func TestRequestsAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bareMember()
		for _, c := range []struct {
			forwarded int64
			m         zab.Type
			want      time.Duration
		}{
			{forwardedBytesMax - 1, zab.Request, 0},
			{forwardedBytesMax, zab.Request, forwardPause},
			{3*forwardedBytesMax + 1, zab.Request, 3 * forwardPause},
			{3*forwardedBytesMax + 1, zab.Ack, 0},
			{1000 * forwardedBytesMax, zab.Request, forwardPauseMax},
		} {
			w.forwarded.Store(c.forwarded)
			if pause := w.Step([]zab.Message{{Type: zab.Ack}, {Type: c.m}}); pause != c.want {
				t.Errorf("%s with %d bytes waiting makes a pause of %v, want %v", c.m, c.forwarded, pause, c.want)
			}
		}
	})
}
