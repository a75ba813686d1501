package server

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/quorate/quorate/zab"
)

// A server that is told to stop while it leads has its successor elected before it goes, and nobody waits for a better
// vote: the wait of this test's elections is longer than any test. So they end only if every voter votes alike, the one
// that leaves among them.
func TestStopHandsOver(t *testing.T) {
	g := newTeam(t, 3, 0)
	logs := map[int64]*observer.ObservedLogs{}
	g.change = func(c *Config) {
		c.Ensemble.finalizeWait = time.Hour
		core, seen := observer.New(zap.InfoLevel)
		logs[c.Ensemble.MyID] = seen
		c.Log = c.Log.WithOptions(zap.WrapCore(func(warnings zapcore.Core) zapcore.Core { return zapcore.NewTee(warnings, core) }))
	}
	g.startAll()
	for range 3 {
		lead := g.leader()
		epoch := g.up[lead].status().CurrentEpoch
		c := g.up[g.other(lead)].client()
		c.create(name("/n%d", epoch), "x")
		g.up[lead].stop()
		delete(g.up, lead)
		next := g.leader()
		c.create(name("/n%d/m", epoch), "") // the client has kept its connection
		if st := g.up[next].status(); st.CurrentEpoch != epoch+1 {
			t.Errorf("server %d leads epoch %d after epoch %d", next, st.CurrentEpoch, epoch)
		}
		over := logs[lead].FilterMessage("handed over").All()
		if len(over) != 1 || over[0].ContextMap()["peer"] != next {
			t.Errorf("server %d says %v, and %d leads", lead, over, next)
		}
		for id, seen := range logs {
			wantOneElection(t, id, seen.TakeAll(), id == next)
		}
		g.start(lead)
	}
}

// wantOneElection checks that a server looked for a leader at most once, and that only the successor led.
func wantOneElection(t *testing.T, id int64, seen []observer.LoggedEntry, leads bool) {
	t.Helper()
	searches, led := 0, false
	for _, e := range seen {
		f := e.ContextMap()
		if e.Message != "role" {
			continue
		}
		if f["role"] == zab.Looking.String() && f["reason"] != "started" {
			searches++
		}
		led = led || searches > 0 && f["role"] == zab.Leading.String()
	}
	if searches != 1 || led != leads {
		t.Errorf("server %d looked for a leader %d times, and led: %v", id, searches, led)
	}
}
