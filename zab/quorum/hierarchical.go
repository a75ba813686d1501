package quorum

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Errors of NewHierarchical; compare with errors.Is.
var (
	// ErrTwoGroups: a server is listed in more than one group, or twice in one.
	ErrTwoGroups = errors.New("server is in more than one group")
	// ErrNoGroup: a weight is given for a server that is in no group.
	ErrNoGroup = errors.New("server with a weight is in no group")
	// ErrWeight: a weight is negative, or the weights of one group overflow 64 bits.
	ErrWeight = errors.New("weight is out of range")
	// ErrNoWeight: no group has any weight, so no quorum could ever form.
	ErrNoWeight = errors.New("no group has a weight above 0")
)

// Hierarchical is ZooKeeper's QuorumHierarchical: servers stand in groups and have weights. A set is a quorum if, in
// more than half of the groups that have any weight, it holds strictly more than half of the group's weight.
type Hierarchical struct {
	voters []int64
	groups []group // ascending by id, groups without weight left out
	weight map[int64]int64
}

type group struct {
	members []int64
	total   int64
}

// NewHierarchical returns the quorums of groups (group id to its members) and weights (server id to weight; a server
// without an entry weighs 1). Each server stands in exactly one group. The maps are copied. The error names the
// server or group at fault.
func NewHierarchical(groups map[int64][]int64, weights map[int64]int64) (Hierarchical, error) {
	h := Hierarchical{weight: map[int64]int64{}}
	for _, gid := range sortedKeys(groups) {
		g, err := h.admit(groups[gid], weights)
		if err != nil {
			return Hierarchical{}, fmt.Errorf("group %d: %w", gid, err)
		}
		if g.total > 0 {
			h.groups = append(h.groups, g)
		}
	}
	for _, id := range sortedKeys(weights) {
		if _, ok := h.weight[id]; !ok {
			return Hierarchical{}, fmt.Errorf("server %d: %w", id, ErrNoGroup)
		}
	}
	if len(h.groups) == 0 {
		return Hierarchical{}, ErrNoWeight
	}
	h.voters = sortedKeys(h.weight)
	return h, nil
}

// admit takes the members of one group into h.
func (h *Hierarchical) admit(members []int64, weights map[int64]int64) (group, error) {
	g := group{members: slices.Clone(members)}
	for _, id := range members {
		if _, twice := h.weight[id]; twice {
			return group{}, fmt.Errorf("server %d: %w", id, ErrTwoGroups)
		}
		w, given := weights[id]
		if !given {
			w = 1
		}
		if w < 0 || g.total > math.MaxInt64-w {
			return group{}, fmt.Errorf("server %d: %w", id, ErrWeight)
		}
		h.weight[id] = w
		g.total += w
	}
	return g, nil
}

// Voters implements Verifier. Servers of weight 0 are among them.
func (h Hierarchical) Voters() []int64 { return h.voters }

// IsVoter implements Verifier.
func (h Hierarchical) IsVoter(id int64) bool { return contains(h.voters, id) }

// Weight implements Verifier.
func (h Hierarchical) Weight(id int64) int64 { return h.weight[id] }

// IsQuorum implements Verifier.
func (h Hierarchical) IsQuorum(in func(id int64) bool) bool {
	won := 0
	for _, g := range h.groups {
		var w int64
		for _, id := range g.members {
			if in(id) {
				w += h.weight[id]
			}
		}
		if w > g.total/2 {
			won++
		}
	}
	return won > len(h.groups)/2
}

func sortedKeys[V any](m map[int64]V) []int64 {
	keys := make([]int64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
