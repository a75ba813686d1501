package znode

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/wire"
)

func acl(perms int32, scheme, id string) wire.ACL {
	return wire.ACL{Perms: perms, ID: wire.ID{Scheme: scheme, ID: id}}
}

func TestAllowed(t *testing.T) {
	bob, carol := wire.ID{Scheme: "digest", ID: "bob:h"}, wire.ID{Scheme: "digest", ID: "carol:h"}
	local := wire.ID{Scheme: "ip", ID: "127.0.0.1"}
	list := []wire.ACL{acl(wire.PermRead, "world", "anyone"), acl(wire.PermWrite, "digest", "bob:h"), acl(wire.PermCreate|wire.PermDelete, "ip", "127.0.0.0/8")}
	for _, c := range []struct {
		list []wire.ACL
		perm int32
		ids  []wire.ID
		want bool
	}{
		{nil, wire.PermAdmin, nil, true},
		{openACLList, wire.PermAdmin, nil, true},
		{list, wire.PermRead, nil, true},
		{list, wire.PermWrite, nil, false},
		{list, wire.PermWrite, []wire.ID{carol, bob}, true},
		{list, wire.PermWrite, []wire.ID{carol, local}, false},
		{list, wire.PermDelete, []wire.ID{carol, local}, true},
		{list, wire.PermAdmin, []wire.ID{bob, local}, false},
		{list, wire.PermAdmin, []wire.ID{bob, {Scheme: "super"}}, true},
		{list, wire.PermAdmin, []wire.ID{{Scheme: "super", ID: "CN=admin"}}, true},
		{list, wire.PermRead | wire.PermAdmin, nil, true}, // either will do
		{[]wire.ACL{acl(31, "world", "someone")}, wire.PermRead, []wire.ID{{Scheme: "world", ID: "someone"}}, false},
		{[]wire.ACL{acl(31, "sasl", "bob")}, wire.PermRead, []wire.ID{{Scheme: "sasl", ID: "bob"}}, false},
		{[]wire.ACL{acl(31, "auth", "")}, wire.PermRead, []wire.ID{{Scheme: "auth"}}, false},
		{[]wire.ACL{{}}, wire.PermRead, []wire.ID{bob}, false},
	} {
		if got := Allowed(c.list, c.perm, c.ids); got != c.want {
			t.Errorf("%v, permission %d, %v: %v", c.list, c.perm, c.ids, got)
		}
	}
	skip, err := NewAuth(AuthConfig{SkipACL: true})
	if err != nil {
		t.Fatal(err)
	}
	if !skip.Allowed([]wire.ACL{{}}, wire.PermAdmin, nil) {
		t.Error("skipACL refuses")
	}
}

func TestACLTableAllowed(t *testing.T) {
	table := NewACLTable()
	id := table.Intern([]wire.ACL{acl(wire.PermRead, "digest", "bob:h")})
	bob := []wire.ID{{Scheme: "digest", ID: "bob:h"}}
	if !table.Allowed(OpenACLID, wire.PermAdmin, nil) || !table.Allowed(NoACLID, wire.PermAdmin, nil) {
		t.Error("the open list or the empty one restricts")
	}
	if !table.Allowed(id, wire.PermRead, bob) || table.Allowed(id, wire.PermWrite, bob) || table.Allowed(id, wire.PermRead, nil) {
		t.Error("bob may not read, or more")
	}
	if table.Allowed(99, wire.PermRead, bob) || !table.Allowed(99, wire.PermRead, []wire.ID{{Scheme: "super"}}) {
		t.Error("an unknown list lets others in than super")
	}
	none, err := NewAuth(AuthConfig{DigestDisabled: true})
	if err != nil {
		t.Fatal(err)
	}
	table.SetAuth(none)
	if table.Allowed(id, wire.PermRead, bob) {
		t.Error("a scheme that is off matches")
	}
}

// "auth" times the ids of a connection has a bound of its own.
func TestFixACLBounds(t *testing.T) {
	var ids []wire.ID
	for i := range 100 {
		ids = append(ids, listOfUser(i)[0].ID)
	}
	var list []wire.ACL
	for i := range int32(100) {
		list = append(list, acl(i, "auth", ""))
	}
	if _, _, code := defaultAuth.FixACL(wire.AppendACLs(nil, list), ids); code != wire.ErrInvalidACL {
		t.Errorf("100 times 100 ids: %v", code)
	}
	if got, _, code := defaultAuth.FixACL(wire.AppendACLs(nil, list[:10]), ids); code != wire.OK || len(got) != 1000 {
		t.Errorf("10 times 100 ids: %v, %d entries", code, len(got))
	}
	// What counts is what is left without duplicates.
	if _, _, code := defaultAuth.FixACL(wire.AppendACLs(nil, append(slices.Repeat(list[:1], 40_000), list...)), ids); code != wire.ErrInvalidACL {
		t.Errorf("100 times 100 ids among duplicates: %v", code)
	}
	long := []wire.ID{{Scheme: "digest", ID: "u:" + strings.Repeat("x", 100_000)}}
	if _, _, code := defaultAuth.FixACL(wire.AppendACLs(nil, list), long); code != wire.ErrInvalidACL {
		t.Errorf("100 times an id of 100,000 bytes: %v", code)
	}
	if got, _, code := defaultAuth.FixACL(wire.AppendACLs(nil, list[:10]), long); code != wire.OK || len(got) != 10 {
		t.Errorf("10 times an id of 100,000 bytes: %v, %d entries", code, len(got))
	}
	// A list as long as a frame allows is fixed in no time that matters.
	list = nil
	for i := range int32(60_000) {
		list = append(list, acl(i, "ip", "::"))
	}
	v := wire.ACLVector(wire.AppendACLs(nil, list))
	if got, vec, code := defaultAuth.FixACL(v, nil); code != wire.OK || len(got) != len(list) || !bytes.Equal(vec, v) {
		t.Errorf("60000 entries: %v, %d entries", code, len(got))
	}
	if _, _, code := defaultAuth.FixACL(v[:len(v)-1], nil); code != wire.ErrMarshalling {
		t.Errorf("a vector cut short: %v", code)
	}
}

func TestMaskDigests(t *testing.T) {
	list := []wire.ACL{acl(1, "digest", "bob:secret"), acl(2, "ip", "::1"), acl(3, "digest", "a:b:c"), acl(4, "digest", "odd"), acl(5, "x509", "CN=a:b")}
	want := []wire.ACL{acl(1, "digest", "bob:x"), acl(2, "ip", "::1"), acl(3, "digest", "a:x"), acl(4, "digest", "odd"), acl(5, "x509", "CN=a:b")}
	if got := MaskDigests(list); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	if list[0].ID.ID != "bob:secret" {
		t.Error("the list itself was changed")
	}
}
