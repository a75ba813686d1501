package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/quorate/quorate/zab"
)

// funcs is a storage made of functions.
type funcs struct {
	send    func(io.Writer, int64) error
	receive func(io.Reader, zab.ConnID, int64) error
	drop    func(zab.ConnID)
	read    func(after, through int64, fn func(int64, []byte) error) error
	holds   int64 // what its snapshots hold, if that is more than was asked for
}

func (f *funcs) SendSnapshot(w io.Writer, through int64, begin func(int64) error) error {
	if err := begin(max(through, f.holds)); err != nil {
		return err
	}
	return f.send(w, through)
}

func (f *funcs) ReceiveSnapshot(r io.Reader, conn zab.ConnID, zxid int64) error {
	return f.receive(r, conn, zxid)
}

func (f *funcs) DropSnapshot(conn zab.ConnID) { f.drop(conn) }

func (f *funcs) LogRange(after, through int64, fn func(int64, []byte) error) error {
	return f.read(after, through, fn)
}

// pair is a leader (2) and a learner (1) with storages of functions, connected.
type pair struct {
	duo
	leader, learner funcs
	here, there     zab.ConnID // at the learner, at the leader
}

func newPair(t *testing.T) *pair {
	p := &pair{duo: duo{book: newBook(), tr: map[int64]*Transport{}, rec: map[int64]*recorder{}}}
	for sid, s := range map[int64]*funcs{1: &p.learner, 2: &p.leader} {
		p.rec[sid] = newRecorder()
		o := testOptions(sid, p.rec[sid], p.book)
		o.Storage = s
		p.tr[sid] = start(t, o, p.book)
	}
	p.here, p.there = p.connect(t, 1, 2)
	return p
}

// TestSnapshotTravels: after what was sent before, before what was sent behind; signs of life at both ends; the receiver
// reads to the byte, and the handler hears of it when all is set aside.
func TestSnapshotTravels(t *testing.T) {
	p := newPair(t)
	content := repeat("snapshot ", 200_000)
	began, goOn := make(chan struct{}), make(chan struct{})
	p.leader.send = func(w io.Writer, through int64) error {
		if through != 42 {
			t.Errorf("through %d", through)
		}
		if _, err := w.Write(content[:100_000]); err != nil {
			return err
		}
		close(began)
		<-goOn
		_, err := io.Copy(w, iotestOneKilobyte{bytes.NewReader(content[100_000:])})
		return err
	}
	var got []byte
	p.learner.receive = func(r io.Reader, conn zab.ConnID, zxid int64) error {
		if conn != p.here || zxid != 77 {
			t.Errorf("connection %d, zxid %d", conn, zxid)
		}
		got = make([]byte, len(content))
		_, err := io.ReadFull(r, got)
		for _, m := range p.rec[1].messages() {
			if m.Type == zab.Snap || m.Type == zab.NewLeader {
				t.Errorf("%s came before the snapshot was set aside", m.Type)
			}
		}
		return err
	}
	p.tr[2].Send([]zab.Message{{Type: zab.LeaderInfo, Conn: p.there}, {Type: zab.Snap, Conn: p.there, Zxid: 77, Through: 42}})
	<-began
	p.tr[2].Send([]zab.Message{
		{Type: zab.Proposal, Conn: p.there, Zxid: 43, Data: []byte("behind")}, {Type: zab.NewLeader, Conn: p.there, Zxid: 1 << 32},
	})
	p.rec[1].await(t, 1, ofType(zab.Alive))
	p.rec[2].await(t, 1, ofType(zab.Alive))
	close(goOn)
	p.rec[1].await(t, 1, ofType(zab.NewLeader))
	m := p.rec[2].await(t, 1, ofType(zab.SnapshotSent))
	if m.From != 1 || m.Conn != p.there || m.Zxid != 77 {
		t.Errorf("%+v", m)
	}
	if !bytes.Equal(got, content) {
		t.Error("the snapshot came altered")
	}
	var order []zab.Type
	for _, m := range p.rec[1].messages() {
		if m.Type != zab.Alive {
			order = append(order, m.Type)
		}
	}
	want := []zab.Type{zab.Connected, zab.LeaderInfo, zab.Snap, zab.Proposal, zab.NewLeader}
	if len(order) != len(want) {
		t.Fatalf("%v, want %v", order, want)
	}
	for i := range want {
		if order[i] != want[i] {
			t.Fatalf("%v, want %v", order, want)
		}
	}
}

// TestSnapshotHoldsMore: a snapshot that holds more than was asked for is stamped with what it holds, and that is not sent
// again behind it, whether it was queued before that was known or after.
func TestSnapshotHoldsMore(t *testing.T) {
	p := newPair(t)
	goOn := make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	p.leader.holds = 44
	p.leader.send = func(w io.Writer, _ int64) error { _, err := w.Write([]byte("snapshot")); return err }
	p.learner.receive = func(r io.Reader, _ zab.ConnID, zxid int64) error {
		if zxid != 44 {
			t.Errorf("it is stamped %d", zxid)
		}
		<-goOn
		_, err := io.ReadFull(r, make([]byte, len("snapshot")))
		return err
	}
	of := func(ty zab.Type, zxid int64) zab.Message {
		m := zab.Message{Type: ty, Conn: p.there, Zxid: zxid}
		if ty == zab.Proposal {
			m.Data = repeat("x", referBytes)
		}
		return m
	}
	p.tr[2].Send([]zab.Message{
		{Type: zab.Snap, Conn: p.there, Zxid: 42, Through: 42},
		of(zab.Proposal, 43), of(zab.Commit, 43), of(zab.Proposal, 44),
		of(zab.Proposal, 45),
	})
	p.rec[2].await(t, 1, ofType(zab.SnapshotSent))
	p.tr[2].Send([]zab.Message{of(zab.Commit, 44), of(zab.Commit, 45), of(zab.NewLeader, 1<<32)})
	release()
	p.rec[1].await(t, 1, ofType(zab.NewLeader))
	var got []string
	for _, m := range p.rec[1].messages() {
		if m.Type != zab.Alive && m.Type != zab.Connected {
			got = append(got, fmt.Sprint(m.Type, m.Zxid, len(m.Data)))
		}
	}
	want := []string{"SNAP 44 0", "PROPOSAL 45 65536", "COMMIT 45 0", "NEWLEADER 4294967296 0"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

type iotestOneKilobyte struct{ r io.Reader }

func (r iotestOneKilobyte) Read(b []byte) (int, error) { return r.r.Read(b[:min(1024, len(b))]) }

var errTest = errors.New("made up")

// TestSnapshotFails at either end: the connection ends, and nothing stays set aside.
func TestSnapshotFails(t *testing.T) {
	whole := func(w io.Writer, _ int64) error { _, err := w.Write(repeat("x", 100_000)); return err }
	half := func(w io.Writer, _ int64) error { _ = whole(w, 0); return errTest }
	readAll := func(r io.Reader, _ zab.ConnID, _ int64) error {
		_, err := io.ReadFull(r, make([]byte, 200_000))
		return err
	}
	refuse := func(io.Reader, zab.ConnID, int64) error { return errTest }
	for _, c := range []struct {
		name    string
		send    func(io.Writer, int64) error
		receive func(io.Reader, zab.ConnID, int64) error
	}{{"sender", half, readAll}, {"receiver", whole, refuse}} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			p.leader.send, p.learner.receive = c.send, c.receive
			dropped := make(chan zab.ConnID, 1)
			p.learner.drop = func(conn zab.ConnID) { dropped <- conn }
			p.tr[2].Send([]zab.Message{{Type: zab.Snap, Conn: p.there}, {Type: zab.NewLeader, Conn: p.there}})
			if conn := <-dropped; conn != p.here {
				t.Errorf("dropped what was under %d", conn)
			}
			p.rec[1].await(t, 1, ofType(zab.Disconnected))
			p.rec[2].await(t, 1, ofType(zab.Disconnected))
			for _, m := range p.rec[1].messages() {
				if m.Type == zab.Snap || m.Type == zab.NewLeader {
					t.Errorf("%s came", m.Type)
				}
			}
		})
	}
}

// TestCloseWithinSnapshot at either end does not wait for the rest of it.
func TestCloseWithinSnapshot(t *testing.T) {
	for _, closer := range []int64{1, 2} {
		p := newPair(t)
		failed := make(chan error, 1)
		p.leader.send = func(w io.Writer, _ int64) error {
			for {
				if _, err := w.Write(repeat("x", 100_000)); err != nil {
					failed <- err
					return err
				}
			}
		}
		dropped := make(chan zab.ConnID, 1)
		p.learner.drop = func(conn zab.ConnID) { dropped <- conn }
		p.learner.receive = func(r io.Reader, _ zab.ConnID, _ int64) error { _, err := io.Copy(io.Discard, r); return err }
		p.tr[2].Send([]zab.Message{{Type: zab.Snap, Conn: p.there}})
		p.rec[1].await(t, 1, ofType(zab.Alive))
		if closer == 1 {
			p.tr[1].Close(p.here)
		} else {
			p.tr[2].Close(p.there)
		}
		<-failed
		<-dropped
		p.rec[3-closer].await(t, 1, ofType(zab.Disconnected))
		eventually(t, "both ends are gone", func() bool { return len(p.tr[1].Peers()) == 0 && len(p.tr[2].Peers()) == 0 })
	}
}

// TestLogRangeTravels as pairs of PROPOSAL and COMMIT, in its place.
func TestLogRangeTravels(t *testing.T) {
	p := newPair(t)
	const n = 5000
	p.leader.read = func(after, through int64, fn func(int64, []byte) error) error {
		if after != 10 || through != 10+n {
			t.Errorf("%d to %d", after, through)
		}
		data := make([]byte, 300)
		for z := after + 1; z <= through; z++ {
			data[0] = byte(z)
			if err := fn(z, data); err != nil {
				return err
			}
		}
		return nil
	}
	p.tr[2].Send([]zab.Message{
		{Type: zab.Diff, Conn: p.there, Zxid: 10},
		{Type: zab.LogRange, Conn: p.there, Zxid: 10, Through: 10 + n},
		{Type: zab.Proposal, Conn: p.there, Zxid: 11 + n},
		{Type: zab.NewLeader, Conn: p.there},
	})
	p.rec[1].await(t, 1, ofType(zab.NewLeader))
	ms := p.rec[1].messages()[1:]
	if len(ms) != 1+2*n+2 || ms[0].Type != zab.Diff || ms[2*n+1].Zxid != 11+n {
		t.Fatalf("%d messages", len(ms))
	}
	for i, m := range ms[1 : 2*n+1] {
		z := int64(11 + i/2)
		if m.Zxid != z || m.From != 2 || i%2 == 0 && (m.Type != zab.Proposal || len(m.Data) != 300 || m.Data[0] != byte(z)) || i%2 == 1 && m.Type != zab.Commit {
			t.Fatalf("message %d is %+v", i, m)
		}
	}
}

// TestLogRangeFails: a range that storage cannot give whole and in order ends the connection, and nothing of what is
// queued behind it leaves.
func TestLogRangeFails(t *testing.T) {
	for name, read := range map[string]func(after, through int64, fn func(int64, []byte) error) error{
		"missing": func(int64, int64, func(int64, []byte) error) error { return errTest },
		"short":   func(after, _ int64, fn func(int64, []byte) error) error { return fn(after+1, nil) },
		"long": func(_, through int64, fn func(int64, []byte) error) error {
			return errors.Join(fn(through, nil), fn(through+1, nil))
		},
		"repeated": func(_, through int64, fn func(int64, []byte) error) error {
			return errors.Join(fn(through, nil), fn(through, nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.leader.read = read
			p.tr[2].Send([]zab.Message{{Type: zab.LogRange, Conn: p.there, Zxid: 10, Through: 12}, {Type: zab.NewLeader, Conn: p.there}})
			p.rec[2].await(t, 1, ofType(zab.Disconnected))
			p.rec[1].await(t, 1, ofType(zab.Disconnected))
			for _, m := range p.rec[1].messages() {
				if m.Type == zab.NewLeader {
					t.Error("NEWLEADER came")
				}
			}
		})
	}
}
