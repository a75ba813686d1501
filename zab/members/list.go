package members

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate/quorate/zab/quorum"
)

// List is a whole configuration of an ensemble.
type List struct {
	// Members are in the order of their ids, none twice.
	Members []Member
	// Groups maps a group id to its servers; nil for a majority quorum.
	Groups map[int64][]int64
	// Weights maps a server to its weight; 1 where it is missing.
	Weights map[int64]int64
	// Version is the zxid of the reconfiguration that made the list; 0 when it
	// was configured in a file.
	Version int64
}

// ErrNoParticipant is a list without a server that votes.
var ErrNoParticipant = errors.New("no server of the list is a participant")

// Voters are the members with a vote.
func (l *List) Voters() []Member { return l.withRole(Participant) }

// Observers are the members without one.
func (l *List) Observers() []Member { return l.withRole(Observer) }

func (l *List) withRole(r Role) []Member {
	var out []Member
	for _, m := range l.Members {
		if m.Role == r {
			out = append(out, m)
		}
	}
	return out
}

// Find returns the member with an id; nil when there is none.
func (l *List) Find(id int64) *Member {
	i, ok := slices.BinarySearchFunc(l.Members, id, func(m Member, id int64) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return nil
	}
	return &l.Members[i]
}

// Add puts a member into its place. A second one of the same id is an error.
func (l *List) Add(m Member) error {
	i, twice := slices.BinarySearchFunc(l.Members, m.ID, func(x Member, id int64) int { return cmp.Compare(x.ID, id) })
	if twice {
		return fmt.Errorf("server %d is listed twice", m.ID)
	}
	l.Members = slices.Insert(l.Members, i, m)
	return nil
}

// AddGroup takes the value of a group line, ids separated by colons.
func (l *List) AddGroup(id int64, text string) error {
	if _, twice := l.Groups[id]; twice {
		return fmt.Errorf("group %d is listed twice", id)
	}
	var sids []int64
	for part := range strings.SplitSeq(text, ":") {
		sid, err := strconv.ParseInt(strings.TrimSpace(part), 10, 64)
		if err != nil {
			return fmt.Errorf("%q in the list of servers is not a number", part)
		}
		sids = append(sids, sid)
	}
	if l.Groups == nil {
		l.Groups = map[int64][]int64{}
	}
	l.Groups[id] = sids
	return nil
}

// AddWeight takes the value of a weight line.
func (l *List) AddWeight(sid int64, text string) error {
	if _, twice := l.Weights[sid]; twice {
		return fmt.Errorf("the weight of server %d is listed twice", sid)
	}
	weight, err := strconv.ParseInt(text, 10, 64)
	if err != nil || weight < 0 {
		return fmt.Errorf("the weight %q is not a number of 0 or more", text)
	}
	if l.Weights == nil {
		l.Weights = map[int64]int64{}
	}
	l.Weights[sid] = weight
	return nil
}

// Hierarchical reports whether groups and weights decide over a quorum.
func (l *List) Hierarchical() bool { return l.Groups != nil || l.Weights != nil }

// Verifier returns how votes are counted: by majority, or by groups and
// weights if there are any. The error names every server that stands in no
// group, or in one without having a vote.
func (l *List) Verifier() (quorum.Verifier, error) {
	voters := l.Voters()
	if len(voters) == 0 {
		return nil, ErrNoParticipant
	}
	if !l.Hierarchical() {
		ids := make([]int64, len(voters))
		for i, m := range voters {
			ids[i] = m.ID
		}
		return quorum.NewMajority(ids...), nil
	}
	h, err := quorum.NewHierarchical(l.Groups, l.Weights)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, m := range l.Members {
		switch grouped := h.IsVoter(m.ID); {
		case grouped && m.Role == Observer:
			errs = append(errs, fmt.Errorf("server %d is in a group and an observer", m.ID))
		case !grouped && m.Role == Participant:
			errs = append(errs, fmt.Errorf("server %d is in no group", m.ID))
		}
	}
	return h, errors.Join(errs...)
}
