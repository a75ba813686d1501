package txnlog

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/zab/zxids"
)

// FileReport is what Check found in one file.
type FileReport struct {
	Name                string // without directory
	Bytes               int64  // size, with padding
	Entries             int
	FirstZxid, LastZxid int64 // of the entries; 0 when there is none
	// Torn: the file ends in a write that a crash cut short, from byte End on. Open cuts it when the file is the newest.
	Torn bool
	// End is where the whole entries end, in bytes from the beginning.
	End int64
	// Err is nil, or a *CorruptError: damage, or (errors.Is ErrMissing) entries missing before one of this file. The
	// entries behind damage are not counted.
	Err error
}

// Check reads every entry of the log in o.Dir and changes nothing. It is for operators: unlike Open and Read it goes on
// after damage, with the next file. A gap is reported although a server that has a later snapshot needs nothing before it.
// The error is one of reading. No Log should be writing to the directory.
func Check(o Options) ([]FileReport, error) {
	o = o.withDefaults()
	files, err := listFiles(o.FS, o.Dir, logPrefix)
	if err != nil {
		return nil, err
	}
	c := checker{l: &Log{o: o}}
	reports := make([]FileReport, 0, len(files))
	for i := range files {
		r := FileReport{Name: files[i].Name}
		if err := c.file(&files[i], &r); err != nil {
			return reports, fmt.Errorf("check %s: %w", c.l.path(r.Name), err)
		}
		reports = append(reports, r)
	}
	return reports, nil
}

type checker struct {
	l    *Log
	prev int64 // the last entry of all files so far
}

// file fills the report; an error is one of reading.
func (c *checker) file(info *FileInfo, r *FileReport) (err error) {
	blank, err := c.size(info, r)
	if blank || err != nil {
		return err
	}
	s, err := openScanner(c.l.o.FS, c.l.path(info.Name), r.Bytes, c.l.o.EntryBytesMax, nil)
	if err != nil {
		return r.keep(err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for {
		r.End = s.off
		payload, bad, err := s.next()
		if err != nil {
			return err
		}
		if bad != nil {
			v, err := s.examine(bad, r.LastZxid)
			r.Torn = v == tornTail
			if v == corrupt && err == nil {
				err = r.keep(&CorruptError{File: s.name, Offset: bad.off, Why: bad.why.Error()})
			}
			return err
		}
		c.entry(info, r, s.name, payload)
	}
}

func (c *checker) size(info *FileInfo, r *FileReport) (blank bool, err error) {
	f, err := c.l.o.FS.Open(c.l.path(info.Name), false)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if r.Bytes, err = f.Size(); err != nil {
		return false, err
	}
	return neverWritten(f, r.Bytes)
}

func (c *checker) entry(info *FileInfo, r *FileReport, path string, payload []byte) {
	zxid := payloadZxid(payload)
	if err := checkFirst(info, path, r.End, payload); err != nil {
		_ = r.keep(err)
	}
	if c.prev != 0 && zxid > c.prev && !zxids.Follows(c.prev, zxid) {
		_ = r.keep(gap(path, r.End, c.prev, zxid))
	}
	if r.Entries == 0 {
		r.FirstZxid = zxid
	}
	r.Entries++
	r.LastZxid = max(r.LastZxid, zxid)
	c.prev = max(c.prev, zxid)
}

// keep puts corruption into the report, the first that was found, and returns any other error.
func (r *FileReport) keep(err error) error {
	var c *CorruptError
	if !errors.As(err, &c) {
		return err
	}
	if r.Err == nil {
		r.Err = c
	}
	return nil
}

// CutDamage is an operator's decision, never a server's: it drops the damaged entry that at names and every entry
// behind it, durably, so that Open succeeds. These entries were acknowledged; a server of an ensemble must get them
// back from the others before it votes, a standalone server has lost them. Damage in another than the newest file is
// refused: remove the newer files first, or restore a backup.
func CutDamage(o Options, at *CorruptError) error {
	l := &Log{o: o.withDefaults()}
	files, err := listFiles(l.o.FS, l.o.Dir, logPrefix)
	if err != nil {
		return err
	}
	if len(files) == 0 || l.path(files[len(files)-1].Name) != at.File {
		return fmt.Errorf("%s is not the newest log file: it cannot be cut at offset %d", at.File, at.Offset)
	}
	if at.missing || at.Offset < fileHeaderLen {
		return fmt.Errorf("what is wrong with %s cannot be mended by cutting it: %s", at.File, at.Why)
	}
	return l.sealAt(files[len(files)-1].Name, at.Offset, 0)
}
