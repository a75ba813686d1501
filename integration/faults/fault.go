//go:build linux

package faults

import (
	"slices"
	"time"

	"github.com/quorate/quorate/integration/ensemble"
	"github.com/quorate/quorate/integration/netns"
)

// fault is one way to disturb an ensemble.
type fault struct {
	name string
	// inflict does it and returns how to end it.
	inflict inflictor
	// quorum tells that a quorum can work meanwhile, so that writes must go
	// on while the fault lasts.
	quorum bool
	// holds is the longest that the fault lasts, the shortest is a fifth.
	holds time.Duration
	// pause is how long an ensemble of Quorate alone may acknowledge no write; 0: not
	// bounded. The others notice after syncLimit, two seconds.
	pause time.Duration
	// fits tells whether an ensemble can suffer the fault; nil: any can.
	fits func(w *world) bool
}

// brief is how long a fault lasts where there is little time: long enough for
// the others to notice, which takes syncLimit.
func (f fault) brief() time.Duration { return f.holds * 2 / 5 }

// ofFive tells that two voters can be missed.
func ofFive(w *world) bool { return len(w.voters()) >= 5 }

func hasObserver(w *world) bool { return len(w.observers()) > 0 }

// kills are faults of processes.
var kills = []fault{
	{name: "kill -9 of the leader", inflict: kill(leader), quorum: true, holds: 3 * time.Second},
	{name: "kill -9 of a follower", inflict: kill(follower), quorum: true, holds: 3 * time.Second},
	{name: "kill -9 of all at once", inflict: kill(all), holds: time.Second},
	{name: "kill -9 of two", inflict: kill(two), quorum: true, holds: 3 * time.Second, fits: ofFive},
	{name: "kill -9 of the leader and a follower", inflict: kill(leaderAndFollower), quorum: true, holds: 3 * time.Second, fits: ofFive},
	{name: "kill -9 of an observer", inflict: kill(observer), quorum: true, holds: 3 * time.Second, fits: hasObserver},
	{name: "restart of all, one by one", inflict: rollingRestart, quorum: true, holds: time.Second},
	{name: "SIGSTOP of the leader", inflict: stop(leader), quorum: true, holds: 8 * time.Second},
	{name: "SIGSTOP of a follower", inflict: stop(follower), quorum: true, holds: 8 * time.Second},
	{name: "SIGSTOP of two", inflict: stop(two), quorum: true, holds: 8 * time.Second, fits: ofFive},
	{name: "SIGSTOP of the leader and a follower", inflict: stop(leaderAndFollower), quorum: true, holds: 8 * time.Second, fits: ofFive},
	{name: "SIGSTOP of an observer", inflict: stop(observer), quorum: true, holds: 8 * time.Second, fits: hasObserver},
	{name: "a moment's SIGSTOP of all", inflict: stop(all), holds: 2 * time.Second},
}

// cuts are faults of the network.
var cuts = []fault{
	{name: "leader alone", inflict: isolate(leader), quorum: true, holds: 8 * time.Second},
	{name: "leader alone with its clients cut off", inflict: isolate(leader, netns.Clients), quorum: true, holds: 8 * time.Second},
	{name: "an observer alone", inflict: isolate(observer), quorum: true, holds: 8 * time.Second, fits: hasObserver},
	{name: "halves", inflict: halves, quorum: true, holds: 8 * time.Second},
	{name: "two halves joined by one member", inflict: bridge, quorum: true, holds: 8 * time.Second},
	{name: "two members cannot talk", inflict: separate, quorum: true, holds: 8 * time.Second},
	{name: "everyone alone", inflict: everyLink(netns.Link{Cut: true}), holds: 6 * time.Second},
	{name: "leader hears nobody", inflict: deafen(leader), quorum: true, holds: 8 * time.Second, pause: 8 * time.Second},
	{name: "nobody hears the leader", inflict: mute(leader), quorum: true, holds: 8 * time.Second},
	{name: "a follower hears nobody", inflict: deafen(follower), quorum: true, holds: 8 * time.Second},
	{name: "nobody hears a follower", inflict: mute(follower), quorum: true, holds: 8 * time.Second},
	{
		name: "slow links", quorum: true, holds: 5 * time.Second,
		inflict: everyLink(netns.Link{Delay: 30 * time.Millisecond, Jitter: 30 * time.Millisecond}),
	},
	{name: "lossy links", inflict: everyLink(netns.Link{Loss: 0.05}), holds: 5 * time.Second},
	{name: "flapping links", inflict: flap, holds: 3 * time.Second},
}

// fills are faults of disks.
var fills = []fault{
	{name: "full disk of a follower", inflict: fill(follower), quorum: true, holds: 4 * time.Second, fits: hasDisks},
	{name: "full disk of the leader", inflict: fill(leader), quorum: true, holds: 4 * time.Second, fits: hasDisks},
}

// everywhere are the faults that every run of every ensemble suffers.
var everywhere = []string{
	"kill -9 of the leader", "kill -9 of a follower", "kill -9 of all at once", "SIGSTOP of the leader",
	"halves", "nobody hears the leader", "two halves joined by one member", "slow links", "lossy links",
}

// whom chooses the members that suffer a fault.
type whom func(w *world) []*ensemble.Member

func leader(w *world) []*ensemble.Member { return []*ensemble.Member{w.leader()} }

func follower(w *world) []*ensemble.Member { return []*ensemble.Member{w.follower()} }

func leaderAndFollower(w *world) []*ensemble.Member {
	return []*ensemble.Member{w.leader(), w.follower()}
}

func observer(w *world) []*ensemble.Member { return []*ensemble.Member{w.oneOf(w.observers())} }

func two(w *world) []*ensemble.Member { return w.shuffled()[:2] }

func all(w *world) []*ensemble.Member { return w.e.Members }

// inflictor is what a fault does: see there.
type inflictor func(w *world) (undo func() error, err error)

// kill kills members together; the undo starts them together.
func kill(who whom) inflictor {
	return func(w *world) (func() error, error) {
		for _, m := range who(w) {
			m.Kill()
		}
		return w.startAll, nil
	}
}

func (w *world) startAll() error {
	for _, m := range w.e.Members {
		if m.Running() {
			continue
		}
		if err := m.Start(); err != nil {
			return err
		}
	}
	return nil
}

// stop stops members with SIGSTOP.
func stop(who whom) inflictor {
	return func(w *world) (func() error, error) {
		stopped := who(w)
		for _, m := range stopped {
			if err := m.Pause(); err != nil {
				return nil, err
			}
		}
		return func() error {
			for _, m := range stopped {
				if err := m.Resume(); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
}

// isolate cuts a member off from all others, and from more hosts.
func isolate(who whom, more ...int) inflictor {
	return func(w *world) (func() error, error) {
		m := who(w)[0]
		w.net.Partition([]int{m.ID}, append(w.others(m), more...))
		return w.heal, nil
	}
}

// deafen lets a member hear no other.
func deafen(who whom) inflictor {
	return func(w *world) (func() error, error) {
		m := who(w)[0]
		for _, id := range w.others(m) {
			w.net.Set(id, m.ID, netns.Link{Cut: true})
		}
		return w.heal, nil
	}
}

// mute lets no other member hear one.
func mute(who whom) inflictor {
	return func(w *world) (func() error, error) {
		m := who(w)[0]
		for _, id := range w.others(m) {
			w.net.Set(m.ID, id, netns.Link{Cut: true})
		}
		return w.heal, nil
	}
}

func everyLink(l netns.Link) inflictor {
	return func(w *world) (func() error, error) {
		w.net.SetAll(l)
		return w.heal, nil
	}
}

// halves cuts a minority of the voters off. Observers fall to either side.
func halves(w *world) (func() error, error) {
	voters := ids(w.shuffled())
	n := (len(voters) - 1) / 2
	few, many := slices.Clone(voters[:n]), slices.Clone(voters[n:])
	for _, id := range ids(w.observers()) {
		if w.random.IntN(2) == 0 {
			few = append(few, id)
		} else {
			many = append(many, id)
		}
	}
	w.net.Partition(few, many)
	return w.heal, nil
}

// bridge cuts the voters but one in two: of three it joins two members, of five
// two pairs. Observers talk to all.
func bridge(w *world) (func() error, error) {
	ends := ids(w.shuffled()[1:])
	w.net.Partition(ends[:len(ends)/2], ends[len(ends)/2:])
	return w.heal, nil
}

// separate cuts one link between any two members, of which one follows.
func separate(w *world) (func() error, error) {
	f := w.follower()
	others := w.others(f)
	w.net.Partition([]int{f.ID}, []int{others[w.random.IntN(len(others))]})
	return w.heal, nil
}

// rollingRestart restarts every member as an operator does, each when the one
// before serves again.
func rollingRestart(w *world) (func() error, error) {
	for _, m := range w.e.Members {
		if err := m.Stop(); err != nil {
			return nil, err
		}
		if err := m.Start(); err != nil {
			return nil, err
		}
		if err := m.AwaitSynced(); err != nil {
			return nil, err
		}
	}
	return func() error { return nil }, nil
}

// flap cuts and heals random links many times.
func flap(w *world) (func() error, error) {
	n := len(w.e.Members)
	for range 20 {
		w.net.Set(1+w.random.IntN(n), 1+w.random.IntN(n), netns.Link{Cut: w.random.IntN(3) > 0})
		if err := w.sleep(time.Duration(w.random.Int64N(int64(300 * time.Millisecond)))); err != nil {
			return nil, err
		}
	}
	return w.heal, nil
}

func (w *world) heal() error {
	w.net.Heal()
	return nil
}
