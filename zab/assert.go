package zab

import "fmt"

// assert panics if a condition that only our own mistake can break does not hold. What peers and disks do wrong is
// answered with errors and dropped connections, never with an assertion.
func assert(ok bool, what string) {
	if !ok {
		panic(fmt.Sprintf("zab: broken invariant: %s", what))
	}
}
