package txnlog

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/quorate/quorate/zab/zxids"
)

// Truncate drops every entry after zxid, durably; the next Append starts a new file. It is the leader's TRUNC. Dropping
// everything is allowed when zxid is right before the first entry; an older zxid is refused with ErrMissing and
// nothing is changed. Iterators that are open end with ErrTruncated.
func (l *Log) Truncate(zxid int64) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	l.removal.Lock()
	defer l.removal.Unlock()
	if err := l.Err(); err != nil {
		return err
	}
	if zxid >= l.LastZxid() {
		return nil
	}
	if l.active.f != nil {
		if err := l.finishActive(); err != nil {
			return l.fail(fmt.Errorf("truncate the transaction log: %w", err))
		}
	}
	cut, err := l.findCut(zxid)
	if err != nil {
		return err
	}
	if err := l.cutAt(cut); err != nil {
		return l.fail(fmt.Errorf("truncate the transaction log: %w", err))
	}
	l.skip = 0
	return nil
}

// cut is where a log is to end: the first keep files stay, the last of them up to byte end, behind the entries runs.
type cut struct {
	keep int
	end  int64
	runs []Run
}

func (l *Log) findCut(zxid int64) (cut, error) {
	files := l.Files()
	c := cut{}
	for c.keep < len(files) && files[c.keep].FirstZxid <= zxid {
		c.keep++
	}
	if c.keep == 0 {
		if zxids.Follows(zxid, files[0].FirstZxid) {
			return c, nil
		}
		return c, &CorruptError{
			File: l.path(files[0].Name), missing: true,
			Why: fmt.Sprintf("cannot truncate to zxid %#x: the log begins at %#x", zxid, files[0].FirstZxid),
		}
	}
	err := l.findCutIn(&files[c.keep-1], zxid, &c)
	return c, err
}

// findCutIn looks for the first entry above zxid in the file in which it must be, if it is not in the next.
func (l *Log) findCutIn(info *FileInfo, zxid int64, c *cut) (err error) {
	s, err := openScanner(l.o.FS, l.path(info.Name), info.Bytes, l.o.EntryBytesMax, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for {
		c.end = s.off
		payload, bad, err := s.next()
		if err != nil {
			return err
		}
		if bad != nil {
			return s.judge(bad, lastOf(c.runs))
		}
		if payloadZxid(payload) > zxid {
			return nil
		}
		c.runs = extendRuns(c.runs, payloadZxid(payload))
	}
}

// cutAt removes the newest file first and makes each removal durable before the next: a crash in between leaves a
// longer log, never one with a hole. Who begins to read meanwhile sees the log as it will be.
func (l *Log) cutAt(c cut) error {
	old := l.Files()
	kept := append([]FileInfo(nil), old[:c.keep]...)
	if c.keep > 0 {
		end := &kept[c.keep-1]
		end.Bytes, end.whole, end.runs = c.end, true, c.runs
	}
	l.mu.Lock()
	l.truncGen++
	l.files, l.last = kept, lastOf(c.runs)
	l.mu.Unlock()
	last := int64(0)
	if c.keep > 0 {
		last = kept[c.keep-1].FirstZxid
	}
	if err := l.reg.prove(l.Files, last); err != nil {
		return err
	}
	l.unlisted = false
	for i := len(old) - 1; i >= c.keep; i-- {
		if err := l.remove(old[i].Name); err != nil {
			return err
		}
	}
	if c.keep == 0 {
		return nil
	}
	return l.sealAt(old[c.keep-1].Name, c.end, sealable(c.runs))
}

// sealAt cuts a file in the middle. The mark at its end is first made to take back that what is cut is durable:
// should a crash leave half of the cut done, recovery then finds a torn tail and not damage in what must be there.
func (l *Log) sealAt(name string, end, last int64) error {
	f, err := l.o.FS.Open(l.path(name), true)
	if err != nil {
		return err
	}
	err = retractMark(f, end)
	if err == nil {
		err = seal(f, end, last)
	}
	return errors.Join(err, f.Close())
}

func retractMark(f File, synced int64) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	last, err := lastNonZero(f, synced, size)
	if err != nil {
		return err
	}
	at := last + 1 - markLen
	if at <= synced {
		return nil
	}
	b, err := readUpTo(f, at, at+markLen)
	if err != nil {
		return err
	}
	if _, ok := parseMark(b, at); !ok {
		return nil
	}
	if _, err := f.WriteAt(mark{end: at, synced: synced}.append(nil), at); err != nil {
		return err
	}
	return f.Sync()
}

// Purge removes whole files, oldest first, that hold only entries below keepFrom, as long as those that are left of
// them take more than keepBytes. The file with keepFrom and the newest one always stay. It returns the names removed;
// with an error too, and then the log goes on as well as before.
func (l *Log) Purge(keepFrom, keepBytes int64) (removed []string, err error) {
	l.removal.Lock()
	defer l.removal.Unlock()
	if err := l.Err(); err != nil {
		return nil, err
	}
	files := l.Files()
	old := purgeable(files, keepFrom, keepBytes)
	if len(old) == 0 {
		return nil, nil
	}
	if err := l.reg.strike(l.Files, files[len(old)].FirstZxid); err != nil {
		return nil, fmt.Errorf("purge the transaction log: %w", err)
	}
	for _, f := range old {
		// Durable one by one, so that a crash cannot bring back an older file without a newer one.
		err := l.o.discard(f)
		if err == nil {
			err = l.o.FS.SyncDir(l.o.Dir)
		}
		if err != nil {
			return removed, fmt.Errorf("purge the transaction log: %w", err)
		}
		l.mu.Lock()
		l.files = l.files[1:]
		l.mu.Unlock()
		removed = append(removed, f.Name)
	}
	return removed, nil
}

// discard removes a file, or puts it aside.
func (o *Options) discard(f FileInfo) error {
	path := filepath.Join(o.Dir, f.Name)
	if f.FirstZxid <= o.AsideThrough {
		return o.FS.Rename(path, filepath.Join(o.Dir, AsidePrefix+f.Name))
	}
	return o.FS.Remove(path)
}

// PurgeLimit returns the last zxid that Purge would remove at the most, 0 when it would remove nothing: the log begins
// after it then.
func (l *Log) PurgeLimit(keepFrom, keepBytes int64) int64 {
	files := l.Files()
	n := len(purgeable(files, keepFrom, keepBytes))
	if n == 0 {
		return 0
	}
	if runs := files[n-1].runs; runs != nil {
		return lastOf(runs)
	}
	return files[n].FirstZxid - 1
}

func purgeable(files []FileInfo, keepFrom, keepBytes int64) []FileInfo {
	old := 0
	for old+1 < len(files) && files[old+1].FirstZxid <= keepFrom {
		old++
	}
	left := sizeOf(files[:old])
	n := 0
	for n < old && left > keepBytes {
		left -= files[n].Bytes
		n++
	}
	return files[:n]
}
