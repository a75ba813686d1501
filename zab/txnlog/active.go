package txnlog

import (
	"errors"
	"path/filepath"
)

const (
	// growBytes is how near, in bytes, a write may come to the end of the file before it is grown, as in ZooKeeper.
	growBytes = 4096
	// zeroBytes is how many bytes of zeros are written ahead at a time. What fallocate reserves reads as zeros, but the
	// first write to each part of it changes the file's extents, and fdatasync must then wait for the journal. With
	// zeros written ahead this happens once per zeroBytes instead of with every batch.
	zeroBytes = 256 << 10
)

var zeros [zeroBytes]byte

// activeFile is the file being written. Its first bytes up to synced are durable, up to pos written.
type activeFile struct {
	f      File
	pos    int64
	synced int64
	alloc  int64 // the size it was grown to
	zeroed int64 // up to here zeros have been written
}

// createActive makes a new file with a durable header under a durable name, so that what is in a file that exists
// after a crash is never in doubt from its first byte on.
func createActive(o Options, name string) (activeFile, error) {
	f, err := o.FS.Create(filepath.Join(o.Dir, name))
	if err != nil {
		return activeFile{}, err
	}
	a := activeFile{f: f, pos: fileHeaderLen, synced: fileHeaderLen, alloc: fileHeaderLen}
	if err := a.begin(o); err != nil {
		return activeFile{}, errors.Join(err, f.Close())
	}
	return a, nil
}

func (a *activeFile) begin(o Options) error {
	if _, err := a.f.WriteAt(fileHeader(), 0); err != nil {
		return err
	}
	if err := a.reserve(fileHeaderLen, o.PreallocBytes); err != nil {
		return err
	}
	if err := a.f.Sync(); err != nil {
		return err
	}
	return o.FS.SyncDir(o.Dir)
}

// write writes the entries of b and the mark behind them.
func (a *activeFile) write(b *Batch, o Options) error {
	end := a.pos + int64(b.Bytes())
	if err := a.reserve(end+markLen, o.PreallocBytes); err != nil {
		return err
	}
	if _, err := a.f.WriteAt(b.marked(mark{end: end, synced: a.synced}), a.pos); err != nil {
		return err
	}
	a.pos = end
	if o.NoSync {
		return nil
	}
	return a.zeroAhead(end + markLen)
}

// reserve grows the file so that writing up to need finds room. On a nearly full disk it takes only what is needed.
func (a *activeFile) reserve(need, step int64) error {
	if step <= 0 || need+growBytes <= a.alloc {
		return nil
	}
	target := a.alloc + step*((need+growBytes-a.alloc+step-1)/step)
	err := a.f.Preallocate(target)
	if err != nil && need > a.alloc {
		target, err = need, a.f.Preallocate(need)
	}
	if err != nil && need > a.alloc {
		return err
	}
	if err == nil {
		a.alloc = target
	}
	return nil
}

// zeroAhead writes zeros behind from when the zeros written so far are used up.
func (a *activeFile) zeroAhead(from int64) error {
	if from <= a.zeroed || from >= a.alloc {
		return nil
	}
	n := min(zeroBytes, a.alloc-from)
	if _, err := a.f.WriteAt(zeros[:n], from); err != nil {
		return err
	}
	a.zeroed = from + n
	return nil
}

// sync makes durable what was written. With NoSync it does nothing, and the marks go on saying that nothing is durable.
func (a *activeFile) sync(o Options) error {
	if a.f == nil || a.synced == a.pos || o.NoSync {
		return nil
	}
	if err := a.f.Sync(); err != nil {
		return err
	}
	a.synced = a.pos
	return nil
}

// finish syncs, seals and closes the file, whose entries are runs.
func (a *activeFile) finish(runs []Run) error {
	err := a.f.Sync()
	if err == nil {
		err = seal(a.f, a.pos, sealable(runs))
	}
	return errors.Join(err, a.f.Close())
}

// seal cuts a file whose bytes before end are durable to that length and puts a mark there which says so. last is the
// zxid that a mark can carry, or 0.
func seal(f File, end, last int64) error {
	if err := f.Truncate(end); err != nil {
		return err
	}
	if _, err := f.WriteAt(mark{end: end, synced: end, last: last}.append(nil), end); err != nil {
		return err
	}
	return f.Sync()
}
