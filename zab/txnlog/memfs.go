package txnlog

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
)

// ErrPowerOff is what a hook of MemFS returns to say that the machine lost power during the operation: it may have
// happened, in part or not at all, which Crash decides.
var ErrPowerOff = errors.New("power is off")

// OpKind is a kind of operation of an FS or a File.
type OpKind string

// The operations that a hook of MemFS sees. All but OpOpen, OpList and OpRead change something.
const (
	OpMkdir       OpKind = "mkdir"
	OpList        OpKind = "list"
	OpCreate      OpKind = "create"
	OpOpen        OpKind = "open"
	OpRename      OpKind = "rename"
	OpRemove      OpKind = "remove"
	OpSyncDir     OpKind = "syncdir"
	OpRead        OpKind = "read"
	OpWrite       OpKind = "write"
	OpSync        OpKind = "sync"
	OpTruncate    OpKind = "truncate"
	OpPreallocate OpKind = "preallocate"
)

// Op is one operation, as a hook of MemFS sees it before it happens.
type Op struct {
	Kind OpKind
	Name string // path of the file or directory
}

// MemFS is a file system in memory for tests, with the guarantees of POSIX after a power loss and none beyond: bytes
// not synced may be lost sector by sector, names not synced one by one. It may be used by several goroutines.
type MemFS struct {
	mu    sync.Mutex
	dirs  map[string]*memDir
	files int // ever created
	hook  func(Op) error
}

// NewMemFS returns an empty file system.
func NewMemFS() *MemFS {
	return &MemFS{dirs: map[string]*memDir{}}
}

type memDir struct {
	now, durable map[string]*memFile
	pending      []func(map[string]*memFile) // changes since the last sync
}

type memFile struct {
	id            int
	data, durable []byte
	pending       []memChange // since the last sync
}

// memChange is a write, or with b nil a change of size.
type memChange struct {
	off  int64
	b    []byte
	size int64 // of the file afterwards
}

// SetHook makes hook be asked before every operation. An error makes the operation fail: a write has then written
// its first half, and a sync has lost what it should have made durable, for good, as Linux may after an I/O error;
// ErrPowerOff leaves all of it to Crash.
func (m *MemFS) SetHook(hook func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

func (m *MemFS) ask(kind OpKind, name string) error {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook == nil {
		return nil
	}
	if err := hook(Op{kind, name}); err != nil {
		return &fs.PathError{Op: string(kind), Path: name, Err: err}
	}
	return nil
}

// dir returns the directory, creating it on first use; directories themselves survive every crash.
func (m *MemFS) dir(path string) *memDir {
	d := m.dirs[path]
	if d == nil {
		d = &memDir{now: map[string]*memFile{}, durable: map[string]*memFile{}}
		m.dirs[path] = d
	}
	return d
}

func (d *memDir) change(f func(map[string]*memFile)) {
	f(d.now)
	d.pending = append(d.pending, f)
}

// MkdirAll implements FS.
func (m *MemFS) MkdirAll(dir string) error {
	if err := m.ask(OpMkdir, dir); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dir(filepath.Clean(dir))
	return nil
}

// List implements FS.
func (m *MemFS) List(dir string) ([]string, error) {
	if err := m.ask(OpList, dir); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirs[filepath.Clean(dir)]
	if d == nil {
		return nil, &fs.PathError{Op: string(OpList), Path: dir, Err: fs.ErrNotExist}
	}
	return slices.Sorted(maps.Keys(d.now)), nil
}

// Create implements FS.
func (m *MemFS) Create(name string) (File, error) {
	if err := m.ask(OpCreate, name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base := m.dir(filepath.Dir(name)), filepath.Base(name)
	if d.now[base] != nil {
		return nil, &fs.PathError{Op: string(OpCreate), Path: name, Err: fs.ErrExist}
	}
	m.files++
	f := &memFile{id: m.files}
	d.change(func(names map[string]*memFile) { names[base] = f })
	return &memHandle{m, f, name, true}, nil
}

// Open implements FS.
func (m *MemFS) Open(name string, write bool) (File, error) {
	if err := m.ask(OpOpen, name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.dir(filepath.Dir(name)).now[filepath.Base(name)]
	if f == nil {
		return nil, &fs.PathError{Op: string(OpOpen), Path: name, Err: fs.ErrNotExist}
	}
	return &memHandle{m, f, name, write}, nil
}

// Rename implements FS, within one directory.
func (m *MemFS) Rename(from, to string) error {
	if err := m.ask(OpRename, from); err != nil {
		return err
	}
	return m.changeName(from, func(names map[string]*memFile, f *memFile, base string) {
		delete(names, base)
		names[filepath.Base(to)] = f
	})
}

// Remove implements FS.
func (m *MemFS) Remove(name string) error {
	if err := m.ask(OpRemove, name); err != nil {
		return err
	}
	return m.changeName(name, func(names map[string]*memFile, _ *memFile, base string) { delete(names, base) })
}

// changeName changes the name of a file that is there; replayed by Crash only if the name is there then.
func (m *MemFS) changeName(name string, change func(names map[string]*memFile, f *memFile, base string)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base := m.dir(filepath.Dir(name)), filepath.Base(name)
	f := d.now[base]
	if f == nil {
		return &fs.PathError{Op: "change", Path: name, Err: fs.ErrNotExist}
	}
	d.change(func(names map[string]*memFile) {
		if names[base] == f {
			change(names, f, base)
		}
	})
	return nil
}

// SyncDir implements FS.
func (m *MemFS) SyncDir(dir string) error {
	if err := m.ask(OpSyncDir, dir); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dir(filepath.Clean(dir))
	d.durable, d.pending = maps.Clone(d.now), nil
	return nil
}

// Crash returns the file system as it may be found after a power loss now; each seed is another way in which what
// was not synced is lost, kept or torn. The file system itself is left as it is. The hook is not taken over.
func (m *MemFS) Crash(seed int64) *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	rnd := rand.New(rand.NewPCG(uint64(seed), 0)) //nolint:gosec // a test's choice, repeatable
	after := &MemFS{dirs: map[string]*memDir{}, files: m.files}
	survivors := map[*memFile]*memFile{}
	for _, path := range slices.Sorted(maps.Keys(m.dirs)) {
		names := m.dirs[path].crash(rnd)
		d := after.dir(path)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			f := names[name]
			if survivors[f] == nil {
				data := f.crash(rnd)
				survivors[f] = &memFile{id: f.id, data: data, durable: bytes.Clone(data)}
			}
			d.now[name], d.durable[name] = survivors[f], survivors[f]
		}
	}
	return after
}

// crash returns the names that survive: what was synced, and of the changes after that none, all, the first few or any.
func (d *memDir) crash(rnd *rand.Rand) map[string]*memFile {
	names := maps.Clone(d.durable)
	mode, first := rnd.IntN(4), rnd.IntN(len(d.pending)+1)
	for i, change := range d.pending {
		if mode == 0 || mode == 1 && i < first || mode == 2 && rnd.IntN(2) == 0 {
			change(names)
		}
	}
	return names
}

// crash returns the bytes that survive: what was synced, and of the changes after that none, all, the first few with
// the last of those cut short anywhere, or in each sector or page the first few.
func (f *memFile) crash(rnd *rand.Rand) []byte {
	switch rnd.IntN(6) {
	case 0:
		return bytes.Clone(f.durable)
	case 1:
		return bytes.Clone(f.data)
	case 2:
		return f.cutShort(rnd)
	case 3:
		return f.torn(4096, rnd)
	default:
		return f.torn(sectorLen, rnd)
	}
}

func (f *memFile) cutShort(rnd *rand.Rand) []byte {
	data := bytes.Clone(f.durable)
	n := rnd.IntN(len(f.pending) + 1)
	for i, c := range f.pending[:n] {
		if i == n-1 && c.b != nil {
			c.b = c.b[:rnd.IntN(len(c.b)+1)]
			c.size = max(int64(len(data)), c.off+int64(len(c.b)))
		}
		data = c.apply(data)
	}
	return data
}

func (f *memFile) torn(unit int, rnd *rand.Rand) []byte {
	versions := [][]byte{bytes.Clone(f.durable)}
	for _, c := range f.pending {
		versions = append(versions, c.apply(bytes.Clone(versions[len(versions)-1])))
	}
	size := len(versions[rnd.IntN(len(versions))])
	last := versions[len(versions)-1]
	if rnd.IntN(2) == 0 {
		size = len(last)
	}
	out := make([]byte, size)
	keep := rnd.IntN(4) // of 4: how likely a unit is as written last
	for at := 0; at < size; at += unit {
		v := last
		if rnd.IntN(4) > keep {
			v = versions[rnd.IntN(len(versions))]
		}
		if at < len(v) {
			copy(out[at:min(at+unit, size)], v[at:])
		}
	}
	return out
}

func (c memChange) apply(data []byte) []byte {
	if c.size < int64(len(data)) {
		data = data[:c.size:c.size]
	}
	if grow := c.size - int64(len(data)); grow > 0 {
		data = append(data, make([]byte, grow)...)
	}
	copy(data[min(c.off, c.size):], c.b)
	return data
}

type memHandle struct {
	m     *MemFS
	f     *memFile
	name  string
	write bool
}

func (h *memHandle) change(kind OpKind, c func(size int64) memChange) error {
	err := h.m.ask(kind, h.name)
	if !h.write {
		return &fs.PathError{Op: string(kind), Path: h.name, Err: fs.ErrPermission}
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	made := c(int64(len(h.f.data)))
	if err != nil && !errors.Is(err, ErrPowerOff) {
		if kind != OpWrite {
			return err
		}
		made.b = made.b[:len(made.b)/2]
		made.size = max(int64(len(h.f.data)), made.off+int64(len(made.b)))
	}
	h.f.data = made.apply(h.f.data)
	h.f.pending = append(h.f.pending, made)
	return err
}

// WriteAt implements File.
func (h *memHandle) WriteAt(b []byte, off int64) (int, error) {
	err := h.change(OpWrite, func(size int64) memChange {
		return memChange{off: off, b: append([]byte{}, b...), size: max(size, off+int64(len(b)))}
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// Truncate implements File.
func (h *memHandle) Truncate(size int64) error {
	return h.change(OpTruncate, func(int64) memChange { return memChange{size: size} })
}

// Preallocate implements File.
func (h *memHandle) Preallocate(size int64) error {
	return h.change(OpPreallocate, func(now int64) memChange { return memChange{size: max(now, size)} })
}

// ReadAt implements File.
func (h *memHandle) ReadAt(b []byte, off int64) (int, error) {
	if err := h.m.ask(OpRead, h.name); err != nil {
		return 0, err
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	n := 0
	if off < int64(len(h.f.data)) {
		n = copy(b, h.f.data[off:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Sync implements File.
func (h *memHandle) Sync() error {
	err := h.m.ask(OpSync, h.name)
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	switch {
	case err == nil:
		h.f.durable, h.f.pending = bytes.Clone(h.f.data), nil
	case !errors.Is(err, ErrPowerOff):
		h.f.pending = nil
	}
	return err
}

// Size implements File.
func (h *memHandle) Size() (int64, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	return int64(len(h.f.data)), nil
}

// Close implements File.
func (h *memHandle) Close() error { return nil }
