package txnlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
)

// register is a small file outside of the log's directory that lists the log files that must be there, so that one that
// is gone is missed. Nothing in the directory itself could tell: the files before it look like a whole log, and the
// mount point of a disk that is not mounted like a new one.
//
// A file is listed when its first entry is durable and before Sync says so; it is struck off before it is removed. So a
// crash at any moment leaves a register of which every file is there, with an entry at least.
//
// It has two slots, which are written in turns and then synced: one of them is always whole. The one with the higher
// number counts. When there are more files than a slot has room for, the oldest are not listed.
type register struct {
	fs   FS
	path string // "": there is none
	keep bool   // false: new files are not listed, because they are not synced

	mu     sync.Mutex
	found  bool // the file is there
	seq    uint64
	listed []int64 // the first zxids of the files, ascending
	from   int64   // files before this one are being purged
	proved int64   // the newest file whose first entry is known to be durable
}

const (
	registerMagic     = 0x51756f7252656731
	registerSlotBytes = 4096
	registerFilesMax  = 500
)

// openRegister reads the register that the options name.
func openRegister(o *Options) (*register, error) {
	r := &register{fs: o.FS, path: o.Register, keep: !o.NoSync}
	if r.path == "" {
		return r, nil
	}
	f, err := r.fs.Open(r.path, false)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the register of log files: %w", err)
	}
	r.found = true
	return r, errors.Join(r.read(f), f.Close())
}

func (r *register) read(f File) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	b, err := readUpTo(f, 0, min(size, 2*registerSlotBytes))
	if err != nil {
		return fmt.Errorf("read %s: %w", r.path, err)
	}
	for at := 0; at < len(b); at += registerSlotBytes {
		if seq, listed, ok := parseRegisterSlot(b[at:]); ok && seq > r.seq {
			r.seq, r.listed = seq, listed
		}
	}
	if r.seq == 0 {
		return fmt.Errorf("%s is damaged: it does not say which files of the transaction log must be there. "+
			"If all of them are, remove it", r.path)
	}
	return nil
}

func parseRegisterSlot(b []byte) (seq uint64, listed []int64, ok bool) {
	if len(b) < registerSlotBytes || binary.BigEndian.Uint64(b) != registerMagic {
		return 0, nil, false
	}
	n := binary.BigEndian.Uint32(b[16:])
	if n > registerFilesMax {
		return 0, nil, false
	}
	end := 20 + 8*int(n)
	for at := 20; at < end; at += 8 {
		listed = append(listed, int64(binary.BigEndian.Uint64(b[at:]))) //nolint:gosec // bits
	}
	return binary.BigEndian.Uint64(b[8:]), listed, binary.BigEndian.Uint32(b[end:]) == crc32.ChecksumIEEE(b[:end])
}

func appendRegisterSlot(b []byte, seq uint64, listed []int64) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, registerMagic)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = binary.BigEndian.AppendUint32(b, uint32(len(listed))) //nolint:gosec // registerFilesMax at the most
	for _, z := range listed {
		b = binary.BigEndian.AppendUint64(b, uint64(z)) //nolint:gosec // bits
	}
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
	return append(b, make([]byte, start+registerSlotBytes-len(b))...)
}

// prove lists the log's files up to the one that begins with zxid last: their first entries are durable.
func (r *register) prove(files func() []FileInfo, last int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.proved = last
	return r.update(files())
}

// strike takes off the files that begin before from, which are about to be removed.
func (r *register) strike(files func() []FileInfo, from int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from = from
	return r.update(files())
}

// update writes the list if it has changed.
func (r *register) update(files []FileInfo) error {
	var list []int64
	for _, f := range files {
		if r.keep && f.FirstZxid >= r.from && f.FirstZxid <= r.proved {
			list = append(list, f.FirstZxid)
		}
	}
	list = list[max(0, len(list)-registerFilesMax):]
	if r.path == "" || slices.Equal(list, r.listed) {
		return nil
	}
	if err := r.write(list); err != nil {
		return fmt.Errorf("register the log files in %s: %w", r.path, err)
	}
	r.listed = list
	return nil
}

func (r *register) write(list []int64) (err error) {
	slot := appendRegisterSlot(nil, r.seq+1, list)
	if r.found {
		err = r.writeSlot(slot)
	} else {
		// Both slots at once, so that a file of this name always has a whole one.
		err = WriteFileAtomic(r.fs, r.path, append(slot, make([]byte, registerSlotBytes)...))
	}
	if err != nil {
		return err // the next one goes to the same slot: this one may be damaged now
	}
	r.found = true
	r.seq++
	return nil
}

func (r *register) writeSlot(slot []byte) error {
	f, err := r.fs.Open(r.path, true)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(slot, int64(r.seq%2)*registerSlotBytes) //nolint:gosec // 0 or 1
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// clearRegister makes the register say nothing, because other files are about to become the log.
func clearRegister(o *Options) error {
	r, err := openRegister(o)
	if err != nil {
		return err
	}
	return r.prove(func() []FileInfo { return nil }, 0)
}

// check reports the first listed file that is not among files, which are all that there are.
func (r *register) check(dir string, files []FileInfo) error {
	for _, z := range r.listed {
		if slices.ContainsFunc(files, func(f FileInfo) bool { return f.FirstZxid == z }) {
			continue
		}
		what := "the file is missing"
		if len(files) == 0 {
			what = "the file is missing, and so is every other of the log: look whether the disk is mounted"
		}
		return r.missing(dir, z, what)
	}
	return nil
}

// checkUsed reports a listed file that turned out to hold nothing.
func (r *register) checkUsed(dir string, f *FileInfo) error {
	if !slices.Contains(r.listed, f.FirstZxid) {
		return nil
	}
	return r.missing(dir, f.FirstZxid, "the file holds no transaction")
}

func (r *register) missing(dir string, first int64, what string) error {
	return &CorruptError{
		File: filepath.Join(dir, fileName(first)), missing: true,
		Why: fmt.Sprintf("%s. Transactions from zxid %#x on were written to it and acknowledged, as %s says. "+
			"Bring it back; or remove %s to go on without them", what, first, r.path, r.path),
	}
}
