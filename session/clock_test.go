package session

import (
	"testing"

	"pgregory.net/rapid"
)

// TestClockStandsStill: a pause costs a session no more than the clock goes on by
// itself, whoever looks at it and when.
func TestClockStandsStill(t *testing.T) {
	c := NewClock(100, 1000)
	for _, step := range []struct {
		mono, at, tick int64 // tick 0: there is none
	}{
		{mono: 1050, at: 1050, tick: 1050},
		{mono: 1140, at: 1140, tick: 1140},
		{mono: 9000, at: 1240}, // it stands
		{mono: 9140, at: 1240, tick: 1240},
		{mono: 9150, at: 1250},
		{mono: 1130, at: 1140}, // read before the pause, used after it
		{mono: 9200, at: 1300, tick: 1300},
	} {
		if got := c.At(step.mono); got != step.at {
			t.Errorf("at %d it shows %d, want %d", step.mono, got, step.at)
		}
		if step.tick == 0 {
			continue
		}
		if got := c.Tick(step.mono); got != step.tick {
			t.Errorf("the tick of %d is %d, want %d", step.mono, got, step.tick)
		}
	}
	if got := c.Mono(1300); got != 9200 {
		t.Errorf("it shows 1300 at %d, want 9200", got)
	}
}

// TestClockModel: the clock is the sum of what passed between ticks, each at most so
// much, and never goes back.
func TestClockModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Int64Range(1, 500).Draw(t, "most")
		mono := rapid.Int64Range(-1<<40, 1<<40).Draw(t, "start")
		c := NewClock(most, mono)
		want, shown := mono, mono
		for _, gap := range rapid.SliceOf(rapid.Int64Range(0, 2000)).Draw(t, "gaps") {
			early := c.At(mono + gap/2)
			if early < shown {
				t.Fatalf("it goes back from %d to %d", shown, early)
			}
			mono += gap
			want += min(gap, most)
			if got := c.At(mono); got != want || got < early {
				t.Fatalf("before the tick of %d: %d, want %d", mono, got, want)
			}
			if shown = c.Tick(mono); shown != want {
				t.Fatalf("the tick of %d: %d, want %d", mono, shown, want)
			}
		}
	})
}
