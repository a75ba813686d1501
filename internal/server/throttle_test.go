package server

import (
	"errors"
	"testing"
	"time"
)

func TestConnBucket(t *testing.T) {
	b := newConnBucket(&ConnThrottle{Tokens: 6, FillTime: 10 * time.Millisecond, FillCount: 2, GlobalWeight: 3, RenewWeight: 2}, false, 1000)
	steps := []struct {
		now     int64
		renewed bool
		want    bool
	}{
		{1000, false, true},  // 3 are left
		{1000, true, true},   // 1
		{1009, true, false},  // not filled yet
		{1010, true, true},   // 3 came to 1
		{1010, false, false}, // 1
		{1025, false, true},  // 3, and half a step on its way
		{1029, true, false},
		{1030, true, true},
		{99_000, false, true}, // full, not fuller
		{99_000, false, true},
		{99_000, false, false},
	}
	for i, s := range steps {
		if got := b.admit(s.renewed, s.now); got != s.want {
			t.Fatalf("step %d at %d: %v, %d tokens", i, s.now, got, b.tokens)
		}
	}
	local := newConnBucket(&ConnThrottle{Tokens: 2, GlobalWeight: 3}, true, 0)
	for i, want := range []bool{true, true, false} {
		if local.admit(false, 0) != want {
			t.Errorf("local session %d: admitted is not %v: it costs one", i, want)
		}
	}
	if newConnBucket(&ConnThrottle{}, false, 0) != nil || newConnBucket(nil, false, 0) != nil {
		t.Error("no tokens are no throttle")
	}
}

// TestConnBucketDropsAtRandom: the probability rises while the bucket is empty and
// falls while it is full.
func TestConnBucketDropsAtRandom(t *testing.T) {
	b := newConnBucket(&ConnThrottle{
		Tokens: 1, FillTime: time.Hour, FreezeTime: 10 * time.Millisecond, DropIncrease: 0.5, DropDecrease: 0.25, DecreaseRatio: 0.5,
	}, false, 0)
	roll := 0.0
	b.chance = func() float64 { return roll }
	if !b.admit(false, 0) {
		t.Fatal("the first is turned away")
	}
	b.admit(false, 20)
	b.admit(false, 25) // too soon for a change
	if b.drop != 0.5 {
		t.Errorf("probability %v after one period, want 0.5", b.drop)
	}
	b.admit(false, 40)
	b.admit(false, 60)
	if b.drop != 1 {
		t.Errorf("probability %v, want 1", b.drop)
	}
	b.tokens = 1
	roll = 0.7
	if b.admit(false, 80) {
		t.Error("admitted at a probability of 0.75 by 0.7")
	}
	if !b.admit(false, 100) {
		t.Error("not admitted at a probability of 0.5 by 0.7")
	}
}

func TestSessionsAreThrottled(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.ConnThrottle = &ConnThrottle{Tokens: 2, FillTime: time.Hour}
	r := start(t, cfg)
	r.client()
	c := r.client()
	if err := r.dial().connect(30_000); err == nil || errors.Is(err, errRefused) {
		t.Errorf("a third session: %v", err)
	}
	c.create("/a", "") // the others go on
	got := r.figures()
	if got["zk_connection_rejected"] != "1" || got["zk_cnt_connection_token_deficit"] != "3" || got["zk_max_connection_token_deficit"] != "2" {
		t.Errorf("rejected %s, looks at the bucket %s, deficit at most %s",
			got["zk_connection_rejected"], got["zk_cnt_connection_token_deficit"], got["zk_max_connection_token_deficit"])
	}
}
