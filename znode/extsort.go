package znode

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// extSorter sorts more items than fit in memory: it sorts what fits, writes it
// to a file as a run, and merges the runs. An item is a key, a kind and a
// payload; items come out by key, and those of one key by kind.
type extSorter struct {
	dir      string
	bytesMax int // in memory
	runsMax  int // open at once
	arena    []byte
	items    []extItem
	runs     []string
	runsMade int
}

// extItem says where an item lies in the arena: the key at start, the payload
// behind it.
type extItem struct {
	start, keyEnd, end int
	kind               byte
}

const (
	extSortBytes  = 16 << 20
	extSortRuns   = 64
	extItemBytes  = 32
	extBufferSize = 64 << 10
	// extFieldBytesMax bounds what a run's length fields may say.
	extFieldBytesMax = 2 * javaFieldBytesMax
)

// newExtSorter keeps its files in dir, which it does not create.
func newExtSorter(dir string) *extSorter {
	return &extSorter{dir: dir, bytesMax: extSortBytes, runsMax: extSortRuns}
}

// add takes a copy of the item.
func (s *extSorter) add(key []byte, kind byte, payload []byte) error {
	if len(s.arena)+len(key)+len(payload)+len(s.items)*extItemBytes > s.bytesMax && len(s.items) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	it := extItem{start: len(s.arena), kind: kind}
	s.arena = append(s.arena, key...)
	it.keyEnd = len(s.arena)
	s.arena = append(s.arena, payload...)
	it.end = len(s.arena)
	s.items = append(s.items, it)
	return nil
}

// sortItems orders what is in memory.
func (s *extSorter) sortItems() {
	slices.SortFunc(s.items, func(a, b extItem) int {
		if c := bytes.Compare(s.arena[a.start:a.keyEnd], s.arena[b.start:b.keyEnd]); c != 0 {
			return c
		}
		return int(a.kind) - int(b.kind)
	})
}

// spill writes what is in memory as a run.
func (s *extSorter) spill() error {
	s.sortItems()
	i := 0
	err := s.writeRun(func(it *extCursor) (bool, error) {
		if i == len(s.items) {
			return false, nil
		}
		it.set(s.arena, s.items[i])
		i++
		return true, nil
	})
	s.arena, s.items = s.arena[:0], s.items[:0]
	if err != nil || len(s.runs) < s.runsMax {
		return err
	}
	return s.mergeRuns()
}

// mergeRuns replaces all runs by one, so that the number of open files has a
// bound.
func (s *extSorter) mergeRuns() error {
	runs := s.runs
	s.runs = nil
	m, err := openExtMerge(runs)
	if err != nil {
		return err
	}
	err = s.writeRun(m.next)
	m.close()
	for _, run := range runs {
		err = errors.Join(err, os.Remove(run))
	}
	return err
}

func (s *extSorter) writeRun(next func(*extCursor) (bool, error)) (err error) {
	path := filepath.Join(s.dir, fmt.Sprintf("run-%06d", s.runsMade))
	s.runsMade++
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s.runs = append(s.runs, path)
	w := bufio.NewWriterSize(f, extBufferSize)
	var c extCursor
	var head []byte
	for {
		more, err := next(&c)
		if err != nil {
			return err
		}
		if !more {
			return w.Flush()
		}
		head = binary.AppendUvarint(binary.AppendUvarint(head[:0], uint64(len(c.key))), uint64(len(c.payload)))
		head = append(head, c.kind)
		w.Write(head)  //nolint:errcheck // a bufio.Writer tells its first error at Flush
		w.Write(c.key) //nolint:errcheck // as above
		if _, err := w.Write(c.payload); err != nil {
			return err
		}
	}
}

// merge returns the items in order, one per call, until more is false. The
// caller closes it.
func (s *extSorter) merge() (*extMerge, error) {
	if err := s.spill(); err != nil {
		return nil, err
	}
	s.arena, s.items = nil, nil
	return openExtMerge(s.runs)
}

// extCursor is an item, valid until the next one is asked for.
type extCursor struct {
	key, payload []byte
	kind         byte
}

func (c *extCursor) set(arena []byte, it extItem) {
	c.key, c.payload, c.kind = arena[it.start:it.keyEnd], arena[it.keyEnd:it.end], it.kind
}

// extMerge merges runs.
type extMerge struct {
	runs extHeap
	last *extRun // whose item was handed out last
}

type extRun struct {
	f    *os.File
	r    *bufio.Reader
	item extCursor
	no   int // the order of runs decides between equal items
	buf  []byte
}

func openExtMerge(paths []string) (*extMerge, error) {
	m := &extMerge{}
	for i, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			m.close()
			return nil, err
		}
		run := &extRun{f: f, r: bufio.NewReaderSize(f, extBufferSize), no: i}
		more, err := run.next()
		if err != nil {
			m.close()
			return nil, errors.Join(err, f.Close())
		}
		if more {
			m.runs = append(m.runs, run)
		} else if err := f.Close(); err != nil {
			m.close()
			return nil, err
		}
	}
	heap.Init(&m.runs)
	return m, nil
}

// next hands out the smallest item.
func (m *extMerge) next(c *extCursor) (bool, error) {
	if m.last != nil {
		if err := m.advance(); err != nil {
			return false, err
		}
	}
	if len(m.runs) == 0 {
		return false, nil
	}
	m.last = m.runs[0]
	*c = m.last.item
	return true, nil
}

// advance moves the run on whose item has been used.
func (m *extMerge) advance() error {
	more, err := m.last.next()
	switch {
	case err != nil:
		return err
	case more:
		heap.Fix(&m.runs, 0)
	default:
		run := heap.Pop(&m.runs).(*extRun)
		if err := run.f.Close(); err != nil {
			return err
		}
	}
	m.last = nil
	return nil
}

func (m *extMerge) close() {
	for _, run := range m.runs {
		run.f.Close()
	}
	m.runs = nil
}

func (r *extRun) next() (bool, error) {
	keyLen, err := binary.ReadUvarint(r.r)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	payloadLen, err2 := binary.ReadUvarint(r.r)
	kind, err3 := r.r.ReadByte()
	if err := errors.Join(err, err2, err3); err != nil {
		return false, fmt.Errorf("%s: %w", r.f.Name(), err)
	}
	if keyLen > extFieldBytesMax || payloadLen > extFieldBytesMax {
		return false, fmt.Errorf("%s: %w: item of %d and %d bytes", r.f.Name(), ErrCorrupt, keyLen, payloadLen)
	}
	n := int(keyLen + payloadLen)
	r.buf = slices.Grow(r.buf[:0], n)[:n]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return false, fmt.Errorf("%s: %w", r.f.Name(), err)
	}
	r.item = extCursor{key: r.buf[:keyLen], payload: r.buf[keyLen:], kind: kind}
	return true, nil
}

// extHeap is a heap.Interface with the smallest item on top.
type extHeap []*extRun

func (h extHeap) Len() int      { return len(h) }
func (h extHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *extHeap) Push(x any) { *h = append(*h, x.(*extRun)) }

func (h extHeap) Less(i, j int) bool {
	a, b := &h[i].item, &h[j].item
	if c := bytes.Compare(a.key, b.key); c != 0 {
		return c < 0
	}
	if a.kind != b.kind {
		return a.kind < b.kind
	}
	return h[i].no < h[j].no
}

// Pop implements [heap.Interface].
func (h *extHeap) Pop() any {
	last := len(*h) - 1
	run := (*h)[last]
	*h = (*h)[:last]
	return run
}
