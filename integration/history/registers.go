package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// register is the state of the model: what the znode holds.
type register struct {
	version int32
	value   string
}

// model says what a znode may do. Its keys are independent of each other.
var model = porcupine.Model{
	Init:  func() any { return register{} },
	Step:  func(state, input, _ any) (bool, any) { return step(state.(register), input.(Op)) },
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(input, _ any) string {
		return input.(Op).String()
	},
}

// step applies an operation. One without an answer stands at the end of the
// history when it never happened, where it harms nobody.
func step(r register, o Op) (bool, any) {
	fits := o.Expect == r.version
	switch o.Action {
	case Set, Swap:
		if o.Action == Swap && (!fits || o.Outcome == BadVersion) {
			return o.Outcome != OK && (o.Outcome == Unknown || !fits), r
		}
		next := register{r.version + 1, o.Value}
		return o.Outcome == Unknown || o.Version == next.version, next
	case Check:
		return o.Outcome == Unknown || fits == (o.Outcome == OK), r
	default:
		return o.Outcome == Unknown || r == register{o.Version, o.Value}, r
	}
}

// Linearizable checks every register's history, beginning with version 0 and
// an empty value. Plain reads are left out: ZooKeeper's clients may read the
// past. The error shows the operations around the first fault; patience bounds
// the search, and no answer within it is an error too.
func Linearizable(ops []Op, patience time.Duration) error {
	byKey := map[string][]porcupine.Operation{}
	for _, o := range ops {
		if o.Action == Read || o.Outcome == Unknown && !o.changes() {
			continue
		}
		end := int64(o.Return)
		if o.Outcome == Unknown {
			end = math.MaxInt64
		}
		byKey[o.Key] = append(byKey[o.Key], porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(o.Call), Return: end})
	}
	for key, list := range byKey {
		switch res := porcupine.CheckOperationsTimeout(model, list, patience); res {
		case porcupine.Ok:
		case porcupine.Unknown:
			return fmt.Errorf("register %s: whether %d operations are linearizable was not found out in %v", key, len(list), patience)
		default:
			return fmt.Errorf("register %s is not linearizable:\n%s", key, firstFault(list))
		}
	}
	return nil
}

// firstFault returns the operations up to the first whose end makes the
// history impossible, the last ones of them.
func firstFault(list []porcupine.Operation) string {
	ends := slices.Clone(list)
	slices.SortFunc(ends, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	bad, _ := slices.BinarySearchFunc(ends, struct{}{}, func(o porcupine.Operation, _ struct{}) int {
		if porcupine.CheckOperations(model, until(list, o.Return)) {
			return -1
		}
		return 1
	})
	var b strings.Builder
	upTo := ends[:min(bad+1, len(ends))]
	for _, o := range upTo[max(0, len(upTo)-12):] {
		fmt.Fprintln(&b, " ", o.Input)
	}
	for _, o := range list {
		if in := o.Input.(Op); in.Outcome == Unknown {
			fmt.Fprintln(&b, "  unanswered:", in)
		}
	}
	return b.String()
}

// until cuts a history after a moment: what ended later counts as unanswered,
// what began later is gone.
func until(list []porcupine.Operation, end int64) []porcupine.Operation {
	var out []porcupine.Operation
	for _, o := range list {
		if o.Call > end {
			continue
		}
		if o.Return > end {
			in := o.Input.(Op)
			in.Outcome, o.Return = Unknown, math.MaxInt64
			if !in.changes() {
				continue
			}
			o.Input = in
		}
		out = append(out, o)
	}
	return out
}
