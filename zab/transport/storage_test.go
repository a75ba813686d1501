package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/quorate/quorate/zab"
)

// memStorage is a disk in memory that never forgets: a log, a state before it, and what was set aside. The state is the
// list of the transactions that led to it.
type memStorage struct {
	mu                sync.Mutex
	accepted, current int64
	mark              bool
	stamp             int64
	snap              []zab.Entry
	log               []zab.Entry
	staged            map[zab.ConnID][]zab.Entry
	counts            map[string]int
	// padding makes snapshots longer.
	padding int
}

func newMemStorage() *memStorage {
	return &memStorage{staged: map[zab.ConnID][]zab.Entry{}, counts: map[string]int{}}
}

func (s *memStorage) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[what]
}

func (s *memStorage) all() []zab.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(slices.Clone(s.snap), s.log...)
}

// do performs one write of the core.
func (s *memStorage) do(w zab.Write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch w.Kind {
	case zab.WriteAcceptedEpoch:
		s.accepted = w.Epoch
	case zab.WriteCurrentEpoch:
		s.current, s.mark = w.Epoch, false
	case zab.WriteSyncMark:
		s.mark = true
	case zab.WriteAppend:
		s.log = append(s.log, w.Entries...)
	case zab.WriteTruncate:
		s.log = slices.DeleteFunc(slices.Clone(s.log), func(e zab.Entry) bool { return e.Zxid > w.Zxid })
	case zab.WriteInstall:
		snap, ok := s.staged[w.Conn]
		if !ok {
			return fmt.Errorf("nothing is set aside under connection %d", w.Conn)
		}
		s.snap, s.stamp, s.log = snap, w.Zxid, slices.Clone(w.Entries)
		delete(s.staged, w.Conn)
	}
	return nil
}

// purge moves the log up to z into the state.
func (s *memStorage) purge(z int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.log, func(e zab.Entry) bool { return e.Zxid > z })
	if i < 0 {
		i = len(s.log)
	}
	s.snap = append(slices.Clip(s.snap), s.log[:i]...)
	s.log, s.stamp = slices.Clone(s.log[i:]), z
}

func (s *memStorage) boot() zab.Boot {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := zab.Boot{
		AcceptedEpoch: s.accepted, CurrentEpoch: s.current, SyncMark: s.mark, Base: s.stamp, Applied: s.stamp,
		Tail: slices.Clone(s.log),
	}
	for _, e := range s.log {
		if n := len(b.Runs); n > 0 && b.Runs[n-1].Last+1 == e.Zxid && zab.Counter(e.Zxid) != 1 {
			b.Runs[n-1].Last = e.Zxid
		} else {
			b.Runs = append(b.Runs, zab.Run{First: e.Zxid, Last: e.Zxid})
		}
	}
	return b
}

// The stream of a snapshot, as ZooKeeper writes it: sessions, ACLs, nodes, an end mark. Each transaction is a node of
// its own here, named after its zxid.

func appendString(b []byte, s string) []byte {
	return append(appendInt(b, int32(len(s))), s...)
}

const statBytes = 8 + 8 + 8 + 8 + 4 + 4 + 4 + 8 + 8

func appendNode(b []byte, path string, data []byte) []byte {
	b = appendString(b, path)
	b = append(appendInt(b, int32(len(data))), data...)
	b = appendLong(b, 1) // the ACL below
	return append(b, make([]byte, statBytes)...)
}

func (s *memStorage) SendSnapshot(w io.Writer, through int64, begin func(int64) error) error {
	all := s.all()
	if n := len(all); n > 0 && all[n-1].Zxid < through {
		return fmt.Errorf("the log ends before %s", zab.FormatZxid(through))
	}
	if err := begin(through); err != nil {
		return err
	}
	s.mu.Lock()
	s.counts["sent"]++
	padding := s.padding
	s.mu.Unlock()
	b := appendInt(nil, 0) // sessions
	b = appendInt(b, 1)    // ACLs
	b = appendLong(b, 1)
	b = appendInt(b, 1)
	b = appendInt(b, 31)
	b = appendString(appendString(b, "world"), "anyone")
	for _, path := range []string{"", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "/e", "/padding"} {
		b = appendNode(b, path, nil)
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	for i := range padding {
		if _, err := w.Write(appendNode(nil, fmt.Sprintf("/padding/%d", i), repeat("x", 1000))); err != nil {
			return err
		}
	}
	for _, e := range all {
		if e.Zxid > through {
			break
		}
		if _, err := w.Write(appendNode(nil, fmt.Sprintf("/e/%x", e.Zxid), e.Data)); err != nil {
			return err
		}
	}
	_, err := w.Write(appendString(appendString(nil, "/"), "BenWasHere"))
	return err
}

func (s *memStorage) ReceiveSnapshot(r io.Reader, conn zab.ConnID, _ int64) error {
	var entries []zab.Entry
	nodes, err := readSnapshot(r, func(path string, data []byte) {
		var z int64
		if n, _ := fmt.Sscanf(path, "/e/%x", &z); n == 1 {
			entries = append(entries, zab.Entry{Zxid: z, Data: data})
		}
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.staged[conn] = entries
	s.counts["received"]++
	s.counts["nodes"] = nodes
	return nil
}

func (s *memStorage) DropSnapshot(conn zab.ConnID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.staged, conn)
	s.counts["dropped"]++
}

func (s *memStorage) LogRange(after, through int64, fn func(int64, []byte) error) error {
	s.mu.Lock()
	log, stamp := slices.Clone(s.log), s.stamp
	s.counts["ranges"]++
	s.mu.Unlock()
	if after < stamp {
		return fmt.Errorf("the log begins after %s", zab.FormatZxid(stamp))
	}
	for _, e := range log {
		if e.Zxid > after && e.Zxid <= through {
			if err := fn(e.Zxid, e.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

// snapReader reads the primitives of a snapshot stream; the first error stays.
type snapReader struct {
	r   io.Reader
	err error
}

func (s *snapReader) bytes(n int) []byte {
	if s.err != nil || n <= 0 {
		return nil
	}
	b := make([]byte, n)
	_, s.err = io.ReadFull(s.r, b)
	return b
}

func (s *snapReader) int() int {
	b := s.bytes(4)
	if s.err != nil {
		return 0
	}
	return int(int32(binary.BigEndian.Uint32(b)))
}

func (s *snapReader) buffer() []byte { return s.bytes(s.int()) }

// readSnapshot reads a snapshot stream to its end and returns how many nodes it has.
func readSnapshot(r io.Reader, node func(path string, data []byte)) (nodes int, err error) {
	s := &snapReader{r: r}
	for n := s.int(); n > 0 && s.err == nil; n-- {
		s.bytes(8 + 4)
	}
	for n := s.int(); n > 0 && s.err == nil; n-- {
		s.bytes(8)
		for k := s.int(); k > 0 && s.err == nil; k-- {
			s.bytes(4)
			s.buffer()
			s.buffer()
		}
	}
	for s.err == nil {
		path := string(s.buffer())
		if path == "/" {
			break
		}
		data := s.buffer()
		s.bytes(8 + statBytes)
		if s.err == nil {
			nodes++
			node(path, data)
		}
	}
	if end := s.buffer(); s.err == nil && string(end) != "BenWasHere" {
		s.err = errors.New("no end mark")
	}
	return nodes, s.err
}
