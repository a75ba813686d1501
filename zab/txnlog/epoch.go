package txnlog

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/quorate/quorate/zab/zxids"
)

// Names of the epoch files in <dataDir>/version-2. The marker is ours; Java servers ignore it.
const (
	acceptedEpochName  = "acceptedEpoch"
	currentEpochName   = "currentEpoch"
	updatingMarkerName = "updatingEpoch"
	tmpSuffix          = ".tmp"

	epochFileBytesMax = 64
)

// ErrEpoch says that the epoch files do not fit each other or the data, or that a change would make them so.
var ErrEpoch = errors.New("epochs contradict each other")

// Epochs keeps the two promises of a server in files, as ZooKeeper does: the highest epoch it has promised to follow
// (acceptedEpoch) and the epoch whose initial history it has on disk (currentEpoch). A setter returns only when its
// file is durable, and changes nothing in memory before. It belongs to one goroutine.
type Epochs struct {
	fs                FS
	dir               string
	accepted, current int64
	updating          bool
}

// OpenEpochs reads the files in dir, which is <dataDir>/version-2; a missing one is created with the epoch of lastZxid,
// the last transaction in log or snapshot.
//
// A currentEpoch below the epoch of lastZxid is raised when the server was being synchronized (BeginUpdate) as it
// stopped, or when a Java server left currentEpoch.tmp behind: who holds a transaction of an epoch holds that epoch's
// whole initial history before it. Otherwise that, and an acceptedEpoch below currentEpoch, is ErrEpoch.
func OpenEpochs(fsys FS, dir string, lastZxid int64) (*Epochs, error) {
	if fsys == nil {
		fsys = OS()
	}
	e := &Epochs{fs: fsys, dir: dir}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("create the directory of the epoch files: %w", err)
	}
	if err := e.load(zxids.Epoch(lastZxid)); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Epochs) load(dataEpoch int64) (err error) {
	if e.accepted, err = e.readOrCreate(acceptedEpochName, dataEpoch); err != nil {
		return err
	}
	if e.current, err = e.readOrCreate(currentEpochName, dataEpoch); err != nil {
		return err
	}
	if e.updating, err = e.exists(updatingMarkerName); err != nil {
		return err
	}
	if dataEpoch > e.current {
		if err := e.raise(dataEpoch); err != nil {
			return err
		}
	}
	if e.accepted < e.current {
		return fmt.Errorf("%w: %s says %d, below the %d of %s", ErrEpoch, e.path(acceptedEpochName), e.accepted, e.current, currentEpochName)
	}
	return e.endUpdate()
}

// raise sets currentEpoch to the epoch of the data, if there is a reason to believe in it.
func (e *Epochs) raise(dataEpoch int64) error {
	to := dataEpoch
	if !e.updating {
		tmp, err := e.read(currentEpochName + tmpSuffix)
		if err != nil || tmp < dataEpoch {
			return fmt.Errorf("%w: %s says %d, the data is of epoch %d", ErrEpoch, e.path(currentEpochName), e.current, dataEpoch)
		}
		to = tmp
	}
	if err := e.SetAccepted(max(e.accepted, to)); err != nil {
		return err
	}
	return e.set(currentEpochName, &e.current, to)
}

// Accepted returns the highest epoch promised.
func (e *Epochs) Accepted() int64 { return e.accepted }

// Current returns the epoch whose initial history is on disk.
func (e *Epochs) Current() int64 { return e.current }

// SetAccepted promises an epoch, durably, before ACKEPOCH is sent. A lower one than before is ErrEpoch.
func (e *Epochs) SetAccepted(epoch int64) error {
	if epoch < e.accepted {
		return fmt.Errorf("%w: acceptedEpoch cannot go back from %d to %d", ErrEpoch, e.accepted, epoch)
	}
	return e.set(acceptedEpochName, &e.accepted, epoch)
}

// SetCurrent records, durably, that the initial history of epoch is on disk, before NEWLEADER is acknowledged, and
// ends what BeginUpdate began. A lower epoch than before, or one above acceptedEpoch, is ErrEpoch.
func (e *Epochs) SetCurrent(epoch int64) error {
	if epoch < e.current || epoch > e.accepted {
		return fmt.Errorf("%w: currentEpoch cannot go from %d to %d while acceptedEpoch is %d", ErrEpoch, e.current, epoch, e.accepted)
	}
	if err := e.set(currentEpochName, &e.current, epoch); err != nil {
		return err
	}
	return e.endUpdate()
}

// BeginUpdate leaves a durable marker that data of a newer epoch is about to be written, so that a crash before
// SetCurrent does not keep the server from starting. Call it before the first byte of a synchronization is written.
func (e *Epochs) BeginUpdate() error {
	if e.updating {
		return nil
	}
	f, err := e.fs.Create(e.path(updatingMarkerName))
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err == nil {
		err = e.fs.SyncDir(e.dir)
	}
	if err != nil {
		return fmt.Errorf("mark the epoch as being updated: %w", err)
	}
	e.updating = true
	return nil
}

func (e *Epochs) endUpdate() error {
	if !e.updating {
		return nil
	}
	if err := e.fs.Remove(e.path(updatingMarkerName)); err != nil {
		return fmt.Errorf("remove the mark that the epoch is being updated: %w", err)
	}
	e.updating = false
	return e.fs.SyncDir(e.dir)
}

func (e *Epochs) set(name string, field *int64, epoch int64) error {
	if epoch == *field {
		return nil
	}
	return e.write(name, field, epoch)
}

func (e *Epochs) write(name string, field *int64, epoch int64) error {
	if err := WriteFileAtomic(e.fs, e.path(name), strconv.AppendInt(nil, epoch, 10)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	*field = epoch
	return nil
}

// WriteFileAtomic replaces the file name by one with this content: written beside it as name.tmp, synced, renamed,
// the directory synced. After a crash there is the old content or the new, never a mixture or nothing.
func WriteFileAtomic(fsys FS, name string, content []byte) error {
	tmp := name + tmpSuffix
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

func (e *Epochs) readOrCreate(name string, epoch int64) (int64, error) {
	got, err := e.read(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return got, err
	}
	return epoch, e.write(name, &got, epoch)
}

func (e *Epochs) exists(name string) (bool, error) {
	names, err := e.fs.List(e.dir)
	if err != nil {
		return false, err
	}
	for _, n := range names {
		if n == name {
			return true, nil
		}
	}
	return false, nil
}

// read reads the number in the first line of a file.
func (e *Epochs) read(name string) (epoch int64, err error) {
	f, err := e.fs.Open(e.path(name), false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	b, err := readUpTo(f, 0, min(size, epochFileBytesMax))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", e.path(name), err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	epoch, err = strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil || epoch < 0 {
		return 0, fmt.Errorf("%w: %s does not begin with an epoch number: %q", ErrEpoch, e.path(name), line)
	}
	return epoch, nil
}

func (e *Epochs) path(name string) string { return filepath.Join(e.dir, name) }
