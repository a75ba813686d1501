package znode

import (
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/wire"
)

func listOfUser(n int) []wire.ACL {
	return []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "digest", ID: fmt.Sprintf("user%d:hash", n)}}}
}

func TestACLTable(t *testing.T) {
	table := NewACLTable()
	if id := table.Intern(openACLList); id != OpenACLID {
		t.Errorf("the open list has id %d", id)
	}
	if id, err := table.InternVector(wire.OpenACL); id != OpenACLID || err != nil {
		t.Errorf("the open vector has id %d, %v", id, err)
	}
	for _, empty := range []wire.ACLVector{wire.AppendInt(nil, 0), wire.AppendInt(nil, -1)} {
		if id, err := table.InternVector(empty); id != NoACLID || err != nil {
			t.Errorf("an empty list has id %d, %v", id, err)
		}
	}
	if id := table.Intern(nil); id != NoACLID {
		t.Errorf("no list has id %d", id)
	}
	if _, err := table.InternVector(wire.ACLVector{0, 0, 0, 9}); err == nil {
		t.Error("a vector cut short was taken")
	}
	a, b := table.Intern(listOfUser(1)), table.Intern(listOfUser(2))
	if again := table.Intern(listOfUser(1)); a == b || again != a || a <= OpenACLID || b <= OpenACLID {
		t.Errorf("ids %d, %d, again %d", a, b, again)
	}
	table.Ref(b)
	table.Unref(a)
	entries := table.Entries()
	if len(entries) != 2 || entries[a].Refs != 1 || entries[b].Refs != 2 || entries[a].ACL[0] != listOfUser(1)[0] {
		t.Errorf("entries %+v", entries)
	}
	table.Unref(a)
	if _, used := table.Entries()[a]; used {
		t.Error("a list nobody uses is in the checkpoint")
	}
	if got := table.Get(a); len(got) != 1 {
		t.Error("a list just given back is forgotten")
	}
	if again := table.Intern(listOfUser(1)); again != a {
		t.Errorf("an idle list comes back as %d, was %d", again, a)
	}
	if table.Get(99) != nil || table.Get(1<<30) != nil || table.Get(NoACLID) != nil {
		t.Error("ids without a list have one")
	}
}

func TestACLTableLoad(t *testing.T) {
	table := NewACLTable()
	table.Intern(listOfUser(7))
	table.Load(map[ACLID]ACLEntry{5: {listOfUser(1), 3}, 900: {listOfUser(2), 1}, OpenACLID: {openACLList, 12}})
	if e := table.Entries(); len(e) != 2 || e[5].Refs != 3 || e[900].Refs != 1 {
		t.Errorf("entries %+v", e)
	}
	if id := table.Intern(listOfUser(1)); id != 5 {
		t.Errorf("a loaded list has id %d", id)
	}
	seen := map[ACLID]bool{OpenACLID: true, NoACLID: true, 5: true, 900: true}
	for n := range 2000 {
		id := table.Intern(listOfUser(1000 + n))
		if seen[id] {
			t.Fatalf("id %d is given out twice", id)
		}
		seen[id] = true
	}
	if id := table.Intern(openACLList); id != OpenACLID {
		t.Errorf("the open list has id %d", id)
	}
}

// Lists that come and go must not fill the memory.
func TestACLTableForgets(t *testing.T) {
	table := NewACLTable()
	kept := table.Intern(listOfUser(-1))
	hot := table.Intern(listOfUser(-2))
	for n := range 100_000 {
		table.Unref(table.Intern(listOfUser(n)))
		table.Ref(hot)
		table.Unref(hot)
	}
	if n := len(table.byBytes); n > 40_000 {
		t.Errorf("%d lists are kept", n)
	}
	if n := len(*table.slots.Load()); n > 80_000 {
		t.Errorf("%d ids are in use", n)
	}
	if table.Get(kept) == nil || table.Get(hot) == nil {
		t.Error("a list in use is gone")
	}
	for range 3 * 100_000 {
		table.Unref(table.Intern(listOfUser(5)))
	}
	if n := len(table.idle); n > 40_000 {
		t.Errorf("%d idle entries", n)
	}
}

func TestACLTableMisuse(t *testing.T) {
	table := NewACLTable()
	id := table.Intern(listOfUser(1))
	table.Unref(id)
	for name, f := range map[string]func(){
		"given back twice": func() { table.Unref(id) },
		"no such list":     func() { table.Ref(77) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	table.Ref(OpenACLID)
	table.Unref(OpenACLID)
	table.Unref(NoACLID)
}

// Against a twin that never forgets, by the lists themselves.
func TestACLTableRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, refs := NewACLTable(), map[int]int64{}
		ids := map[int]ACLID{}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			n := rapid.IntRange(0, 4).Draw(t, "list")
			switch {
			case refs[n] > 0 && rapid.Bool().Draw(t, "unref"):
				table.Unref(ids[n])
				refs[n]--
			default:
				id, err := table.InternVector(wire.AppendACLs(nil, listOfUser(n)))
				if err != nil || refs[n] > 0 && id != ids[n] {
					t.Fatalf("list %d: id %d, was %d, %v", n, id, ids[n], err)
				}
				ids[n] = id
				refs[n]++
			}
			if rapid.IntRange(0, 9).Draw(t, "reload") == 0 {
				table.Load(table.Entries())
			}
			for n, r := range refs {
				if r > 0 && (table.Get(ids[n])[0] != listOfUser(n)[0] || table.Entries()[ids[n]].Refs != r) {
					t.Fatalf("list %d, id %d: %v, %+v", n, ids[n], table.Get(ids[n]), table.Entries())
				}
			}
		}
	})
}

// Readers look lists up while the writer adds and forgets others.
func TestACLTableConcurrent(t *testing.T) {
	table := NewACLTable()
	fixed := table.Intern(listOfUser(-1))
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !table.Allowed(fixed, wire.PermRead, []wire.ID{{Scheme: "digest", ID: "user-1:hash"}}) {
					t.Error("the list in use is gone")
					return
				}
			}
		})
	}
	for n := range 20_000 {
		table.Unref(table.Intern(listOfUser(n)))
	}
	close(stop)
	readers.Wait()
}

func TestACLTableAllocs(t *testing.T) {
	table := NewACLTable()
	v := wire.ACLVector(wire.AppendACLs(nil, listOfUser(1)))
	id, _ := table.InternVector(v)
	ids := []wire.ID{{Scheme: "ip", ID: "10.0.0.1"}, {Scheme: "digest", ID: "user1:hash"}}
	if n := testing.AllocsPerRun(100, func() {
		if got, err := table.InternVector(v); got != id || err != nil {
			t.Fatal(got, err)
		}
		if !table.Allowed(id, wire.PermRead, ids) || !table.Allowed(OpenACLID, wire.PermRead, nil) {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkACLTable(b *testing.B) {
	table := NewACLTable()
	v := wire.ACLVector(wire.AppendACLs(nil, listOfUser(1)))
	id, _ := table.InternVector(v)
	ids := []wire.ID{{Scheme: "ip", ID: "10.0.0.1"}, {Scheme: "digest", ID: "user1:hash"}}
	b.Run("op=intern", func(b *testing.B) {
		for b.Loop() {
			_, _ = table.InternVector(v)
		}
	})
	b.Run("op=allowed/list=open", func(b *testing.B) {
		for b.Loop() {
			table.Allowed(OpenACLID, wire.PermRead, ids)
		}
	})
	b.Run("op=allowed/list=digest", func(b *testing.B) {
		for b.Loop() {
			table.Allowed(id, wire.PermRead, ids)
		}
	})
}
