package history

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const searchPatience = time.Minute

// A znode as the model has it, with operations that take effect at their call,
// or at any moment up to their return.
type twin struct {
	version int32
	value   string
	zxid    int64
}

// honest makes the history of several clients on one correct register.
func honest(random *rand.Rand, clients, n int) []Op {
	var (
		ops    []Op
		z      twin
		now    time.Duration
		free   = make([]time.Duration, clients)
		events []func()
		at     []time.Duration
	)
	for i := range n {
		c := random.IntN(clients)
		now = max(now+1, free[c]+1)
		o := Op{Client: c, Key: "k", Action: Action(random.IntN(6)), Call: now, Value: fmt.Sprint("v", i)}
		effect := now + time.Duration(random.IntN(20))
		o.Return = effect + 1 + time.Duration(random.IntN(20))
		free[c] = o.Return
		lost := random.IntN(12) == 0
		guess := random.Int32N(3)
		at = append(at, effect)
		events = append(events, func() {
			before := z
			o.Expect = z.version - guess/2
			apply(&z, &o)
			if lost {
				o.Outcome = Unknown
				if random.IntN(2) == 0 && o.changes() {
					z = before // it never happened
				}
			}
			ops = append(ops, o)
		})
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(at[a] - at[b]) })
	for _, i := range order {
		events[i]()
	}
	return ops
}

func apply(z *twin, o *Op) {
	o.Outcome = OK
	switch o.Action {
	case Set, Swap:
		if o.Action == Swap && o.Expect != z.version {
			o.Outcome = BadVersion
			return
		}
		*z = twin{z.version + 1, o.Value, z.zxid + 7}
	case Check:
		if o.Expect != z.version {
			o.Outcome = BadVersion
		}
		return
	default:
		o.Value = z.value
	}
	o.Version, o.Zxid = z.version, z.zxid
}

func judge(ops []Op) error {
	for _, err := range []error{Linearizable(ops, searchPatience), Ordered(ops), Sessions(ops)} {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestHonestHistories(t *testing.T) {
	for seed := range uint64(200) {
		if err := judge(honest(rand.New(rand.NewPCG(seed, 1)), 5, 60)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// plant changes an honest history so that it becomes impossible, or reports
// that it has no place for the fault.
type plant func(ops []Op) bool

func index(ops []Op, from int, want func(Op) bool) int {
	i := slices.IndexFunc(ops[from:], want)
	if i < 0 {
		return i
	}
	return from + i
}

func succeeded(a ...Action) func(Op) bool {
	return func(o Op) bool { return o.Outcome == OK && slices.Contains(a, o.Action) }
}

// Every fault that is planted into an honest history is found.
func TestPlantedFaults(t *testing.T) {
	plants := map[string]plant{
		"an acknowledged write is lost": func(ops []Op) bool {
			// Everything from some write on is as if it had not been.
			i := index(ops, 10, succeeded(Set, Swap))
			if i < 0 {
				return false
			}
			for j := i + 1; j < len(ops); j++ {
				if ops[j].saw() && ops[j].Action != Read {
					ops[j].Version--
				}
			}
			return index(ops, i+1, func(o Op) bool { return o.saw() && o.Action != Read && o.Call > ops[i].Return }) >= 0
		},
		"a write happens twice": func(ops []Op) bool {
			i := index(ops, 10, succeeded(Set))
			if i < 0 || index(ops, 0, func(o Op) bool { return o.Outcome == Unknown && o.changes() }) >= 0 {
				return false // an unanswered write would explain it
			}
			ops[i].Version++
			return true
		},
		"a swap succeeds with another version": func(ops []Op) bool {
			i := index(ops, 10, succeeded(Swap))
			if i < 0 {
				return false
			}
			ops[i].Expect--
			return true
		},
		"a synced read shows an old value": func(ops []Op) bool {
			w := index(ops, 0, succeeded(Set, Swap))
			if w < 0 {
				return false
			}
			next := index(ops, w+1, func(o Op) bool { return succeeded(Set, Swap)(o) })
			if next < 0 {
				return false
			}
			r := index(ops, next, func(o Op) bool { return succeeded(ReadSynced, ReadFresh)(o) && o.Call > ops[next].Return })
			if r < 0 {
				return false
			}
			ops[r].Value, ops[r].Version, ops[r].Zxid = ops[w].Value, ops[w].Version, ops[w].Zxid
			return true
		},
		"a client is taken back in time": func(ops []Op) bool {
			w := index(ops, 0, succeeded(Set, Swap))
			if w < 0 {
				return false
			}
			next := index(ops, w+1, succeeded(Set, Swap))
			if next < 0 {
				return false
			}
			r := index(ops, next+1, func(o Op) bool { return succeeded(Read)(o) && o.Client == ops[next].Client })
			if r < 0 {
				return false
			}
			ops[r].Value, ops[r].Version, ops[r].Zxid = ops[w].Value, ops[w].Version, ops[w].Zxid
			return true
		},
		"a read shows what nobody wrote": func(ops []Op) bool {
			r := index(ops, 10, func(o Op) bool { return succeeded(Read)(o) && o.Version > 0 })
			if r < 0 {
				return false
			}
			ops[r].Value = "ghost"
			return true
		},
		"zxids against real time": func(ops []Op) bool {
			a := index(ops, 0, succeeded(Set, Swap))
			if a < 0 {
				return false
			}
			b := index(ops, a+1, func(o Op) bool { return succeeded(Set, Swap)(o) && o.Call > ops[a].Return })
			if b < 0 {
				return false
			}
			ops[a].Zxid, ops[b].Zxid = ops[b].Zxid, ops[a].Zxid
			return true
		},
	}
	for name, fault := range plants {
		planted := 0
		for seed := range uint64(400) {
			ops := honest(rand.New(rand.NewPCG(seed, 2)), 4, 60)
			if !fault(ops) {
				continue
			}
			planted++
			if err := judge(ops); err == nil {
				t.Errorf("%s: seed %d: not found", name, seed)
			}
		}
		if planted < 10 {
			t.Errorf("%s: planted %d times only", name, planted)
		}
	}
}

// The error of an impossible history names the operation that makes it so.
func TestFaultIsShown(t *testing.T) {
	ops := []Op{
		{Key: "k", Action: Set, Value: "a", Call: 1, Return: 2, Outcome: OK, Version: 1, Zxid: 1},
		{Key: "k", Action: Set, Value: "b", Call: 3, Return: 4, Outcome: OK, Version: 2, Zxid: 2},
		{Key: "k", Action: ReadSynced, Value: "a", Call: 5, Return: 6, Outcome: OK, Version: 1, Zxid: 1},
		{Key: "k", Action: Set, Value: "c", Call: 7, Return: 8, Outcome: OK, Version: 3, Zxid: 3},
	}
	err := Linearizable(ops, searchPatience)
	if err == nil || !strings.Contains(err.Error(), `synced read k: "a", version 1`) || strings.Contains(err.Error(), `to "c"`) {
		t.Errorf("%v", err)
	}
}

func wantError(t *testing.T, what string, err error, text string) {
	t.Helper()
	if (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v, want %q", what, err, text)
	}
}

func TestPause(t *testing.T) {
	write := func(at time.Duration) Op { return Op{Action: Set, Outcome: OK, Call: at - 1, Return: at} }
	ops := []Op{write(5), write(10), {Action: Read, Outcome: OK, Return: 15}, {Action: Set, Return: 18}, write(30), write(31)}
	for _, c := range [][3]time.Duration{{0, 40, 20}, {6, 12, 4}, {30, 100, 69}, {50, 60, 10}} {
		if got := Pause(ops, c[0], c[1]); got != c[2] {
			t.Errorf("from %d to %d: %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

func TestCounted(t *testing.T) {
	wantError(t, "all", Counted(5, 5, 0), "")
	wantError(t, "some unanswered", Counted(6, 5, 2), "")
	wantError(t, "lost", Counted(4, 5, 2), "1 lost")
	wantError(t, "twice", Counted(8, 5, 2), "twice")
}

func TestEphemerals(t *testing.T) {
	type m = map[string]int64
	wantError(t, "right", Ephemerals(m{"/a": 1, "/b": 2}, m{"/a": 1}, m{"/b": 2, "/c": 2}), "")
	wantError(t, "gone", Ephemerals(m{}, m{"/a": 1}, nil), "/a of the live session 0x1 is gone")
	wantError(t, "left", Ephemerals(m{"/a": 7}, nil, nil), "/a of the session 0x7 is there")
	wantError(t, "another's", Ephemerals(m{"/a": 7}, m{"/a": 1}, nil), "/a of the session 0x7 is there")
}

func TestWatched(t *testing.T) {
	armed := func(v int32) WatchStep { return WatchStep{Armed: true, Version: v} }
	read := func(v int32) WatchStep { return WatchStep{Version: v} }
	fired := WatchStep{Fired: true}
	other := WatchStep{Version: 3, Connection: 1}
	wantError(t, "right", Watched([]WatchStep{armed(1), read(1), fired, read(2), armed(2), fired, armed(5)}, 5), "")
	wantError(t, "missing", Watched([]WatchStep{armed(1), fired, armed(2)}, 3), "never came")
	wantError(t, "late", Watched([]WatchStep{armed(1), read(2), fired}, 2), "before the event")
	wantError(t, "twice", Watched([]WatchStep{armed(1), fired, fired}, 2), "without a watch")
	wantError(t, "over a reconnect", Watched([]WatchStep{armed(1), other, fired}, 3), "")
	wantError(t, "from the future", Watched([]WatchStep{read(4)}, 3), "ends with 3")
}

func TestStreamed(t *testing.T) {
	made := []string{"a", "b", "c", "d"}
	// stream reads "ab2": events of a and b, then a read that shows 2.
	stream := func(text string) (steps []StreamStep) {
		for _, r := range text {
			if r >= '0' && r <= '9' {
				steps = append(steps, StreamStep{Shown: int(r - '0')})
			} else {
				steps = append(steps, StreamStep{Event: string(r)})
			}
		}
		return steps
	}
	for text, want := range map[string]string{
		"0ab2cd4": "", "bc": "", "bc3d": "", "22c3": "", "": "", "c344": "shows 4, but behind the first 2 only 1",
		"ac": "event 1 is of c and not of b", "ba": "event 1 is of a and not of c", "x": "nobody made",
		"0b2": "shows 2, but behind the first 0 only 1", "aa": "event 1 is of a and not of b", "0a0": "shows 0, but",
		"5": "only 4 were made", "d4e": "nobody made", "0b": "event 0 is of b and not of a", "bb2": "event 0 is of b and not of a",
	} {
		_, _, err := Streamed(stream(text), made)
		wantError(t, text, err, want)
	}
	for _, c := range []struct {
		connections []string
		complete    bool
		want        string
	}{
		{[]string{"0a1", "c3", "", "d4"}, true, ""},
		{[]string{"0ab", "1b2"}, false, ""}, // nothing had shown b to be behind
		{[]string{"0ab2", "1b"}, false, "connection 1 begins behind 1 of the stream, but 2 had been shown"},
		{[]string{"0a1", "bc"}, false, ""},
		{[]string{"0a1", "c3"}, true, "shown 3 of the 4"},
		{[]string{"0ac2"}, false, "connection 0: event 1 is of c"},
	} {
		var all [][]StreamStep
		for _, text := range c.connections {
			all = append(all, stream(text))
		}
		wantError(t, fmt.Sprint(c.connections), Resumed(all, made, c.complete), c.want)
	}
}
