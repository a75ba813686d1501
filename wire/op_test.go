package wire

import (
	"slices"
	"testing"
)

// TestOpNames: every request has a name and an abbreviation of its own kind;
// what is no operation is printed as its number.
func TestOpNames(t *testing.T) {
	seen := map[string]Op{}
	for op := range requestBodies {
		name := op.String()
		if other, ok := seen[name]; ok || name == "" || name[0] < 'a' {
			t.Errorf("operation %d is called %q, as is %d", int32(op), name, other)
		}
		seen[name] = op
		if op.Short() == "NA" {
			t.Errorf("%v has no abbreviation", op)
		}
	}
	if s, short := Op(99).String(), Op(99).Short(); s != "99" || short != "NA" {
		t.Errorf("99 is called %q and %q", s, short)
	}
}

// TestIsWrite lists the operations that consume a zxid.
func TestIsWrite(t *testing.T) {
	writes := []Op{
		OpCreate, OpDelete, OpSetData, OpSetACL, OpMulti, OpCreate2, OpReconfig, OpCreateContainer,
		OpDeleteContainer, OpCreateTTL, OpCreateSession, OpCloseSession,
	}
	for op := Op(-20); op < 120; op++ {
		if got, want := op.IsWrite(), slices.Contains(writes, op); got != want {
			t.Errorf("%v: write is %v, want %v", op, got, want)
		}
	}
}

// TestCodes pins the numbers of the codes to their names.
func TestCodes(t *testing.T) {
	want := map[Code]string{
		0: "Ok", -2: "RuntimeInconsistency", -5: "MarshallingError", -6: "Unimplemented", -8: "BadArguments",
		-13: "NewConfigNoQuorum", -14: "ReconfigInProgress", -101: "NoNode", -102: "NoAuth", -103: "BadVersion",
		-108: "NoChildrenForEphemerals", -110: "NodeExists", -111: "Directory not empty", -112: "Session expired",
		-114: "InvalidACL", -115: "AuthFailed", -118: "Session moved", -119: "Not a read-only call",
		-120: "Ephemeral node on local session", -121: "No such watcher", -123: "Reconfig is disabled",
		-124: "Session closed because client failed to authenticate", -125: "Quota has exceeded",
		-127: "Op throttled due to high load",
	}
	for c := Code(-200); c <= 0; c++ {
		name, ok := want[c]
		if _, known := codeNames[c]; known != ok || ok && c.Error() != name {
			t.Errorf("%d is %q, want %q", int32(c), c.Error(), name)
		}
	}
	if got := Code(-99).Error(); got != "code -99" {
		t.Errorf("-99 is %q", got)
	}
}
