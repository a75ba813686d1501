package txnlog

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// recover fills files and last from the directory, and mends what a crash left unfinished.
func (l *Log) recover() error {
	files, err := listFiles(l.o.FS, l.o.Dir, l.prefix)
	if err != nil {
		return err
	}
	if l.reg, err = openRegister(&l.o); err != nil {
		return err
	}
	if err := l.reg.check(l.o.Dir, files); err != nil {
		return err
	}
	for len(files) > 0 {
		newest := &files[len(files)-1]
		last, err := l.recoverNewest(newest)
		if err != nil {
			return err
		}
		if last != 0 {
			l.last = last
			break
		}
		if err := l.reg.checkUsed(l.o.Dir, newest); err != nil {
			return err
		}
		if err := l.remove(newest.Name); err != nil {
			return fmt.Errorf("remove a log file without entries: %w", err)
		}
		files = files[:len(files)-1]
	}
	if l.files, err = l.checkOlder(files); err != nil {
		return err
	}
	return l.relist()
}

// relist makes the register list the files found, the names of which may not be durable yet if a Java server made them.
func (l *Log) relist() error {
	if n := len(l.files); n > 0 && l.o.Register != "" && !slices.Contains(l.reg.listed, l.files[n-1].FirstZxid) {
		if err := l.o.FS.SyncDir(l.o.Dir); err != nil {
			return err
		}
	}
	return l.list()
}

// listFiles returns the files under a log's name, by zxid. Their sizes are not yet known.
func listFiles(fsys FS, dir, prefix string) ([]FileInfo, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list the directory of the transaction log: %w", err)
	}
	var files []FileInfo
	for _, name := range names {
		if zxid, ok := parseFileName(prefix, name); ok {
			files = append(files, FileInfo{Name: name, FirstZxid: zxid})
		}
	}
	slices.SortFunc(files, func(a, b FileInfo) int {
		if a.FirstZxid < b.FirstZxid {
			return -1
		}
		return 1
	})
	return files, nil
}

func (l *Log) remove(name string) error {
	if err := l.o.FS.Remove(l.path(name)); err != nil {
		return err
	}
	return l.o.FS.SyncDir(l.o.Dir)
}

// recoverNewest reads the newest file to its end, cuts a torn tail and returns the last zxid, 0 when the file has no
// entry.
func (l *Log) recoverNewest(info *FileInfo) (last int64, err error) {
	f, err := l.o.FS.Open(l.path(info.Name), true)
	if err != nil {
		return 0, fmt.Errorf("open the newest log file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	if blank, err := neverWritten(f, size); blank || err != nil {
		return 0, err
	}
	end, runs, err := l.findEnd(info, size)
	if err != nil || len(runs) == 0 {
		return 0, err
	}
	info.Bytes, info.whole, info.runs = end, true, runs
	return runs[len(runs)-1].Last, l.sealUnlessSealed(f, end, size, sealable(runs))
}

// neverWritten reports whether a file has not even a whole header: it was created and the crash came before its first
// sync.
func neverWritten(f File, size int64) (bool, error) {
	head := make([]byte, fileHeaderLen)
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	whole := fileHeader()
	for i, c := range head {
		if c != 0 && c != whole[i] {
			return false, nil
		}
	}
	if size >= fileHeaderLen && slices.Equal(head, whole) {
		return false, nil
	}
	last, err := lastNonZero(f, 0, size)
	return last < fileHeaderLen, err
}

// findEnd returns where the entries of a file end, and which there are.
func (l *Log) findEnd(info *FileInfo, size int64) (end int64, runs []Run, err error) {
	s, err := openScanner(l.o.FS, l.path(info.Name), size, l.o.EntryBytesMax, nil)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for {
		at := s.off
		payload, bad, err := s.next()
		if err != nil {
			return 0, nil, err
		}
		if bad != nil {
			return s.off, runs, s.judge(bad, lastOf(runs))
		}
		if err := checkFirst(info, s.name, at, payload); err != nil {
			return 0, nil, err
		}
		runs = extendRuns(runs, payloadZxid(payload))
	}
}

// judge returns nil when the damage is the end of the log or a torn tail.
func (s *scanner) judge(bad *damaged, last int64) error {
	v, err := s.examine(bad, last)
	if err == nil && v == corrupt {
		err = &CorruptError{File: s.name, Offset: bad.off, Why: bad.why.Error()}
	}
	return err
}

// checkFirst makes sure that a file begins with the entry that it is named after.
func checkFirst(info *FileInfo, path string, off int64, payload []byte) error {
	if zxid := payloadZxid(payload); off == fileHeaderLen && zxid != info.FirstZxid {
		return &CorruptError{File: path, Offset: off, Why: fmt.Sprintf("the first entry has zxid %#x, not the one in the name", zxid)}
	}
	return nil
}

// sealUnlessSealed leaves a file alone that was closed in good order.
func (l *Log) sealUnlessSealed(f File, end, size, last int64) error {
	if size == end+markLen {
		b, err := readUpTo(f, end, size)
		if err != nil {
			return err
		}
		if m, ok := parseMark(b, end); ok && m.synced == end {
			return nil
		}
	}
	// A process that died may have left these bytes in the page cache alone: durable first, then called so.
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync the newest log file: %w", err)
	}
	if err := seal(f, end, last); err != nil {
		return fmt.Errorf("cut the newest log file at its end: %w", err)
	}
	return nil
}

// checkOlder looks at the beginning of each file but the newest. Files of no bytes hold nothing and are removed.
func (l *Log) checkOlder(files []FileInfo) ([]FileInfo, error) {
	var kept []FileInfo
	for i := range files {
		if i+1 < len(files) {
			if err := l.checkBeginning(&files[i]); err != nil {
				return nil, err
			}
		}
		if files[i].Bytes == 0 {
			if err := l.reg.checkUsed(l.o.Dir, &files[i]); err != nil {
				return nil, err
			}
			if err := l.remove(files[i].Name); err != nil {
				return nil, fmt.Errorf("remove an empty log file: %w", err)
			}
			continue
		}
		kept = append(kept, files[i])
	}
	return kept, nil
}

// checkBeginning checks header and first entry and sets the size, and what the seal says of the entries.
func (l *Log) checkBeginning(info *FileInfo) (err error) {
	f, err := l.o.FS.Open(l.path(info.Name), false)
	if err != nil {
		return err
	}
	info.Bytes, err = f.Size()
	if err == nil {
		info.runs, err = readSeal(f, info)
	}
	if err := errors.Join(err, f.Close()); err != nil || info.Bytes == 0 {
		return err
	}
	s, err := openScanner(l.o.FS, l.path(info.Name), info.Bytes, l.o.EntryBytesMax, make([]byte, 0, growBytes))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	payload, bad, err := s.next()
	if bad != nil || err != nil {
		return err // a damaged entry is the business of who reads it
	}
	return checkFirst(info, s.name, fileHeaderLen, payload)
}
