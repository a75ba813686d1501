package txnlog

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Stage returns a log in the same directory under other names, at first empty, whose first entry is to follow after.
// What is appended to it is durable when it has been closed, and takes the place of this log by Replace. Files that an
// earlier Stage has left are removed.
func (l *Log) Stage(after int64) (*Log, error) {
	if err := DropStaged(l.o); err != nil {
		return nil, err
	}
	o := l.o
	o.PreallocBytes, o.RollBytes, o.Register, o.AsideThrough = -1, 0, "", 0
	return &Log{o: o, prefix: stagedPrefix, skip: after, reg: &register{}}, nil
}

// DropStaged removes what Stage has left in the directory of a log.
func DropStaged(o Options) error {
	o = o.withDefaults()
	names, err := o.FS.List(o.Dir)
	if err != nil {
		return fmt.Errorf("look for staged log files: %w", err)
	}
	for _, name := range names {
		if _, ok := parseFileName(stagedPrefix, name); ok {
			if err := o.FS.Remove(filepath.Join(o.Dir, name)); err != nil {
				return fmt.Errorf("remove a staged log file: %w", err)
			}
		}
	}
	return nil
}

// Adopt makes the staged files of these names the whole log of o.Dir and removes every other file of it, or puts it aside, durably. It is
// not atomic: whoever decided it must do it again after a crash, which is harmless, before the log is opened.
func Adopt(o Options, staged []string) error {
	o = o.withDefaults()
	if err := clearRegister(&o); err != nil {
		return fmt.Errorf("adopt log files: %w", err)
	}
	kept := make([]string, 0, len(staged))
	for _, name := range staged {
		hex, ok := strings.CutPrefix(name, stagedPrefix)
		if !ok {
			return fmt.Errorf("adopt log files: %q is not the name of a staged one", name)
		}
		kept = append(kept, logPrefix+hex)
		// One that is not there has been renamed before the crash.
		err := o.FS.Rename(filepath.Join(o.Dir, name), filepath.Join(o.Dir, logPrefix+hex))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("adopt a staged log file: %w", err)
		}
	}
	if err := o.FS.SyncDir(o.Dir); err != nil {
		return fmt.Errorf("adopt log files: %w", err)
	}
	files, err := listFiles(o.FS, o.Dir, logPrefix)
	if err != nil {
		return err
	}
	for _, f := range files {
		if slices.Contains(kept, f.Name) {
			continue
		}
		if err := o.discard(f); err != nil {
			return fmt.Errorf("remove a log file that others replace: %w", err)
		}
	}
	if err := o.FS.SyncDir(o.Dir); err != nil {
		return fmt.Errorf("adopt log files: %w", err)
	}
	return nil
}

// Replace puts the closed log staged, which came from Stage, in the place of all that this log holds. It is Adopt under
// a running log: iterators that are open end with ErrTruncated. The next Append must follow the last staged entry, or after
// when there is none.
func (l *Log) Replace(staged []string, after int64) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	l.removal.Lock()
	defer l.removal.Unlock()
	if err := l.Err(); err != nil {
		return err
	}
	if err := l.replace(staged); err != nil {
		return l.fail(fmt.Errorf("replace the transaction log: %w", err))
	}
	l.skip = 0
	if after > l.LastZxid() {
		l.skip = after
	}
	l.Roll()
	return nil
}

func (l *Log) replace(staged []string) error {
	if l.active.f != nil {
		err := l.active.f.Close()
		l.active = activeFile{}
		if err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.truncGen++
	l.files, l.last = nil, 0
	l.mu.Unlock()
	if err := Adopt(l.o, staged); err != nil {
		return err
	}
	fresh, err := Open(l.o)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files, l.last, l.reg, l.unlisted = fresh.files, fresh.last, fresh.reg, false
	return nil
}
