package replica_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/replica"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/znode"
)

// countedBackend counts how often a znode is read.
type countedBackend struct {
	znode.Backend
	gets int
}

func (b *countedBackend) Get(path, buf []byte, rec *znode.Record) (bool, []byte, error) {
	b.gets++
	return b.Backend.Get(path, buf, rec)
}

// smallWorld is a world whose tree has n znodes of 1 KB, and memory for a few hundred of
// them: what is read beyond that is dropped at once.
func smallWorld(t *testing.T, n int) (w *world, disk *countedBackend, paths []string) {
	t.Helper()
	disk = &countedBackend{Backend: znode.NewMemBackend()}
	w = newWorld(t, func(o *replica.Options) {
		tree, err := znode.Open(znode.Options{Backend: disk, Digest: true, BudgetBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		o.Tree, o.Crowded = tree, func() { w.evict() }
	})
	p := w.connected(40000)
	for i := range n {
		paths = append(paths, fmt.Sprintf("/node%06d", i))
		p.must(wire.OpCreate, create(paths[i], dataOf(paths[i]), 0))
	}
	c := w.r.Tree().BeginCheckpoint()
	w.r.Tree().EndCheckpoint(c, c.Write())
	w.evict()
	disk.gets = 0
	return w, disk, paths
}

func dataOf(path string) string { return strings.Repeat(path[1:2], 1000) + path }

// evict drops nodes as the loop does when there are too many.
func (w *world) evict() {
	tree := w.r.Tree()
	tree.Lock()
	defer tree.Unlock()
	for tree.OverBudget() && (tree.Evict(100) > 0 || !tree.Pinned()) {
	}
}

// sendLong sends a request that may be carried out in pieces, and counts them. between
// is called before each but the first.
func (p *peer) sendLong(b []byte, between func()) (pieces int) {
	p.w.t.Helper()
	status, err := p.send(b)
	for pieces = 1; err == nil && status == replica.Blocked; pieces++ {
		if pieces > 5000 {
			p.w.t.Fatal("no progress")
		}
		between()
		if err = p.c.Unblock(); err == nil {
			status, err = p.send(nil)
		}
	}
	if err != nil {
		p.w.t.Fatal(err)
	}
	return pieces
}

// TestMultiReadOfMoreThanFitsIntoMemory: every znode is read about once.
func TestMultiReadOfMoreThanFitsIntoMemory(t *testing.T) {
	w, disk, paths := smallWorld(t, 3000)
	p := w.connected(4000)
	pieces := p.sendLong(request(7, wire.OpMultiRead, readList(wire.OpGetData, paths...)), func() {})
	list := p.answers()
	if len(list) != 1 || list[0].Xid != 7 || list[0].Err != wire.OK {
		t.Fatalf("%d answers: %+v", len(list), list)
	}
	for i, got := range readResults(t, list[0].body) {
		if got != dataOf(paths[i]) {
			t.Fatalf("%s: %q", paths[i], got)
		}
	}
	if limit := len(paths) * 5 / 4; disk.gets > limit {
		t.Errorf("%d reads of %d znodes", disk.gets, len(paths))
	}
	if pieces > 50 {
		t.Errorf("%d pieces", pieces)
	}
}

// TestMultiReadBehindAWrite: the loop carries it out, in pieces as well.
func TestMultiReadBehindAWrite(t *testing.T) {
	w, disk, paths := smallWorld(t, 3000)
	p := w.connected(4000)
	b := request(6, wire.OpSetData, setData(paths[2900], "new"))
	b = append(b, request(7, wire.OpMultiRead, readList(wire.OpGetData, paths...))...)
	b = append(b, request(8, wire.OpSetData, setData(paths[2999], "later"))...)
	if _, err := p.send(b); err != nil {
		t.Fatal(err)
	}
	w.commit()
	list := p.answers()
	if len(list) != 3 || list[1].Xid != 7 || list[1].Err != wire.OK {
		t.Fatalf("%d answers", len(list))
	}
	got := readResults(t, list[1].body)
	if len(got) != len(paths) || got[2900] != "new" || got[2999] != dataOf(paths[2999]) {
		t.Errorf("it does not stand between the writes of its session: %d results", len(got))
	}
	if disk.gets > len(paths)*5/4 {
		t.Errorf("%d reads of %d znodes", disk.gets, len(paths))
	}
}

// TestLongMultiReadLetsOthersIn: between the pieces writes are applied; events come
// before the answer, whose zxid is that of the last moment.
func TestLongMultiReadLetsOthersIn(t *testing.T) {
	w := newWorld(t, nil)
	p, other := w.connected(4000), w.connected(4000)
	p.must(wire.OpCreate, create("/a", "0", 0))
	p.must(wire.OpGetData, watched("/a"))
	list := slices.Repeat([]string{"/a"}, 5000)
	changes := 0
	pieces := p.sendLong(request(7, wire.OpMultiRead, readList(wire.OpGetData, list...)), func() {
		changes++
		other.must(wire.OpSetData, setData("/a", fmt.Sprint(changes)))
	})
	out := p.answers()
	if pieces != 5 || len(out) != 2 || out[0].Xid != wire.XidNotification || out[1].Xid != 7 {
		t.Fatalf("%d pieces, %d answers", pieces, len(out))
	}
	got := readResults(t, out[1].body)
	if len(got) != 5000 || !slices.IsSorted(got) || got[0] != "0" || got[4999] != "4" {
		t.Errorf("%d results, from %s to %s", len(got), got[0], got[len(got)-1])
	}
	if want := other.must(wire.OpExists, unwatched("/a")).Zxid; out[1].Zxid != want {
		t.Errorf("the answer's zxid is %x, the last change's %x", out[1].Zxid, want)
	}
	// What waits in the output stays in front.
	if _, err := p.send(request(8, wire.OpPing, nil)); err != nil {
		t.Fatal(err)
	}
	p.sendLong(request(9, wire.OpMultiRead, readList(wire.OpGetData, list...)), func() {})
	if out := p.answers(); len(out) != 2 || out[0].Xid != wire.XidPing || out[1].Xid != 9 || len(readResults(t, out[1].body)) != 5000 {
		t.Errorf("behind a ping: %d answers", len(out))
	}
}

// TestLongMultiReadIsBounded: the bound counts what the pieces before have answered.
func TestLongMultiReadIsBounded(t *testing.T) {
	w := newWorld(t, func(o *replica.Options) { o.MultiReadBytesMax = 200_000 })
	p := w.connected(4000)
	p.must(wire.OpCreate, create("/a", "", 0))
	for n, code := range map[int]wire.Code{2400: wire.OK, 2600: wire.ErrMarshalling} {
		p.sendLong(request(7, wire.OpMultiRead, readList(wire.OpGetData, slices.Repeat([]string{"/a"}, n)...)), func() {})
		list := p.answers()
		if len(list) != 1 || list[0].Err != code {
			t.Errorf("%d operations: %d answers, the first %v", n, len(list), list[0].Err)
		}
	}
	p.must(wire.OpMultiRead, readList(wire.OpGetData, "/a"))
}

// TestSessionLivesWhileItsRequestIsWorkedOn: the pings behind it are not read.
func TestSessionLivesWhileItsRequestIsWorkedOn(t *testing.T) {
	w := newWorld(t, nil)
	p := w.connected(4000)
	p.must(wire.OpCreate, create("/a", "", 0))
	p.must(wire.OpCreate, create("/a/1", "", 0))
	for _, b := range [][]byte{
		request(7, wire.OpMultiRead, readList(wire.OpGetData, slices.Repeat([]string{"/a"}, 1500)...)),
		request(7, wire.OpGetAllChildrenNumber, wire.AppendString(nil, "/a")),
	} {
		p.sendLong(b, func() {
			for range 20 {
				w.pass(1000)
				w.commit()
			}
		})
		if list := p.answers(); len(list) != 1 || list[0].Err != wire.OK || p.c.State() != replica.StateConnected {
			t.Errorf("after a request that took long: %d answers, state %v", len(list), p.c.State())
		}
		w.pass(3900) // it counts from the end of the work
	}
	p.must(wire.OpExists, unwatched("/a"))
}

// TestSetWatchesOnWhatIsNotInMemory: the request is gone through once, and its memory is
// not taken again for each znode that has to be read.
func TestSetWatchesOnWhatIsNotInMemory(t *testing.T) {
	w, disk, paths := smallWorld(t, 3000)
	changer, p := w.connected(40000), w.connected(40000)
	since := changer.must(wire.OpExists, unwatched("/")).Zxid
	changer.must(wire.OpSetData, setData(paths[1234], "new"))
	req := wire.SetWatchesRequest{RelativeZxid: since}
	for i, path := range paths {
		req.Lists[0] = append(req.Lists[0], []byte(path))
		req.Lists[1] = append(req.Lists[1], fmt.Appendf(nil, "/missing%06d", i))
		req.Lists[3] = append(req.Lists[3], []byte(path))
	}
	req.Lists[2] = [][]byte{[]byte("/")}
	b := request(wire.XidSetWatches, wire.OpSetWatches2, req.Append(nil, wire.OpSetWatches2))
	w.evict()
	disk.gets = 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p.sendLong(b, func() {})
	runtime.ReadMemStats(&after)
	list := p.answers()
	if len(list) != 2 || list[0].event().Type != wire.EventNodeDataChanged || list[1].Xid != wire.XidSetWatches || list[1].Err != wire.OK {
		t.Fatalf("%d answers", len(list))
	}
	if disk.gets > 2*len(paths)*5/4 {
		t.Errorf("%d reads of %d paths", disk.gets, 2*len(paths))
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 60<<20 {
		t.Errorf("%d bytes for a request of %d", used, len(b))
	}
	// Both znodes and those that are missing are watched.
	for _, c := range []struct {
		op   wire.Op
		body []byte
		typ  wire.EventType
	}{
		{wire.OpSetData, setData(paths[2999], "x"), wire.EventNodeDataChanged},
		{wire.OpCreate, create("/missing002999", "", 0), wire.EventNodeCreated},
		{wire.OpCreate, create(paths[0]+"/child", "", 0), wire.EventNodeChildrenChanged},
	} {
		changer.must(c.op, c.body)
		if list := p.answers(); len(list) == 0 || list[0].event().Type != c.typ {
			t.Errorf("%v: events %+v", c.op, list)
		}
	}
	if sum := w.r.WatchSummary(); sum.Watches != 2*len(paths)-1 {
		t.Errorf("%+v", sum)
	}
}

// TestSetWatchesIsRefusedWhole: nothing is done of one that cannot be read to its end.
func TestSetWatchesIsRefusedWhole(t *testing.T) {
	w := newWorld(t, nil)
	p := w.connected(4000)
	req := wire.SetWatchesRequest{RelativeZxid: 1 << 40}
	req.Lists[0] = [][]byte{[]byte("/"), []byte("/gone")}
	req.Lists[2] = [][]byte{[]byte("/")}
	good := req.Append(nil, wire.OpSetWatches)
	req.Lists[2] = [][]byte{nil}
	for _, body := range [][]byte{good[:len(good)-1], good[:9], nil, req.Append(nil, wire.OpSetWatches)} {
		if a := p.ask(1, wire.OpSetWatches, body); a.Err != wire.ErrMarshalling {
			t.Errorf("%x: %v", body, a.Err)
		}
	}
	if sum := w.r.WatchSummary(); sum.Watches != 0 {
		t.Errorf("%+v", sum)
	}
	// A count below 0 is no list.
	none := wire.AppendInt(wire.AppendInt(wire.AppendInt(wire.AppendLong(nil, 0), -1), -7), 0)
	p.must(wire.OpSetWatches, none)
}
