package quorum

import (
	"slices"
)

// Verifier says which sets of servers are quorums. Server ids are ZooKeeper's sids. Implementations are immutable
// values, safe to share.
type Verifier interface {
	// Voters returns the ids of all servers that vote, ascending and without duplicates. The caller must not change it.
	Voters() []int64
	// IsVoter reports whether id is one of Voters.
	IsVoter(id int64) bool
	// Weight returns how much the vote of id counts: 0 for a server that does not vote or has weight 0 (it may
	// acknowledge, but never lead).
	Weight(id int64) int64
	// IsQuorum reports whether the servers for which in returns true are a quorum. in is asked for voters only.
	IsQuorum(in func(id int64) bool) bool
}

// Majority is the default of ZooKeeper: strictly more than half of the voters.
type Majority struct {
	voters []int64
}

// NewMajority returns the majority quorums of the voters given, in any order; duplicates count once. Without voters
// no set is a quorum.
func NewMajority(voters ...int64) Majority {
	return Majority{voters: sortedSet(voters)}
}

// Voters implements Verifier.
func (m Majority) Voters() []int64 { return m.voters }

// IsVoter implements Verifier.
func (m Majority) IsVoter(id int64) bool { return contains(m.voters, id) }

// Weight implements Verifier: 1 for a voter.
func (m Majority) Weight(id int64) int64 {
	if m.IsVoter(id) {
		return 1
	}
	return 0
}

// IsQuorum implements Verifier.
func (m Majority) IsQuorum(in func(id int64) bool) bool {
	n := 0
	for _, id := range m.voters {
		if in(id) {
			n++
		}
	}
	return n > len(m.voters)/2
}

// both is the conjunction of two quorum systems.
type both struct {
	a, b   Verifier
	voters []int64
}

// Both returns the system in which a set is a quorum if it is one of a and one of b: what decides while the ensemble
// is between two configurations.
func Both(a, b Verifier) Verifier {
	return both{a: a, b: b, voters: sortedSet(append(slices.Clone(a.Voters()), b.Voters()...))}
}

// Voters implements Verifier: those of either configuration.
func (j both) Voters() []int64 { return j.voters }

// IsVoter implements Verifier.
func (j both) IsVoter(id int64) bool { return contains(j.voters, id) }

// Weight implements Verifier: the weight under the first configuration, which is the committed one, and under the
// second for servers that only it knows.
func (j both) Weight(id int64) int64 {
	if j.a.IsVoter(id) {
		return j.a.Weight(id)
	}
	return j.b.Weight(id)
}

// IsQuorum implements Verifier.
func (j both) IsQuorum(in func(id int64) bool) bool { return j.a.IsQuorum(in) && j.b.IsQuorum(in) }

// sortedSet returns ids ascending and without duplicates, in memory of its own.
func sortedSet(ids []int64) []int64 {
	s := slices.Clone(ids)
	slices.Sort(s)
	return slices.Compact(s)
}

func contains(sorted []int64, id int64) bool {
	_, found := slices.BinarySearch(sorted, id)
	return found
}
