package txnlog

import (
	"errors"
	"slices"

	"github.com/quorate/quorate/zab/zxids"
)

// Run is a stretch of the log: all zxids from First to Last, which are of one epoch.
type Run struct {
	First, Last int64
}

// extendRuns adds the next entry of a file. One at or below the last is a repetition, as real logs of Java servers have
// them.
func extendRuns(runs []Run, zxid int64) []Run {
	n := len(runs)
	switch {
	case n > 0 && zxid <= runs[n-1].Last:
	case n > 0 && zxid == runs[n-1].Last+1 && zxids.Epoch(zxid) == zxids.Epoch(runs[n-1].Last):
		runs[n-1].Last = zxid
	default:
		runs = append(runs, Run{zxid, zxid})
	}
	return runs
}

func lastOf(runs []Run) int64 {
	if len(runs) == 0 {
		return 0
	}
	return runs[len(runs)-1].Last
}

// sealable returns what a seal can say of a file with these entries: the last zxid if they are one run, else 0.
func sealable(runs []Run) int64 {
	if len(runs) != 1 {
		return 0
	}
	return runs[0].Last
}

// extend adds the batch's entries to the runs of its file.
func (b *Batch) extend(runs []Run) []Run {
	first, last := b.entries[0].zxid, b.last()
	if zxids.Epoch(first) != zxids.Epoch(last) {
		for _, e := range b.entries {
			runs = extendRuns(runs, e.zxid)
		}
		return runs
	}
	runs = extendRuns(runs, first)
	runs[len(runs)-1].Last = last // Append has checked that no counter is missing
	return runs
}

// readSeal returns the run that the seal of a file tells of, nil when it has none that does.
func readSeal(f File, info *FileInfo) ([]Run, error) {
	at := info.Bytes - markLen
	if at < fileHeaderLen {
		return nil, nil
	}
	b, err := readUpTo(f, at, info.Bytes)
	if err != nil {
		return nil, err
	}
	m, ok := parseMark(b, at)
	if !ok || m.last < info.FirstZxid || zxids.Epoch(m.last) != zxids.Epoch(info.FirstZxid) {
		return nil, nil
	}
	return []Run{{info.FirstZxid, m.last}}, nil
}

// Runs returns what the log holds after a zxid, ascending: the longest part, up to its end, in which nothing is missing. It
// begins later than asked for where an entry is missing or damaged, or where more than scanBytesMax bytes would have
// to be read to know; files that this package wrote are known without reading them. No two of the runs touch.
func (l *Log) Runs(after, scanBytesMax int64) ([]Run, error) {
	files := l.Files()
	var rev []Run // backwards
	for i := len(files) - 1; i >= 0; i-- {
		runs, whole := files[i].runs, true
		if runs == nil {
			if scanBytesMax -= files[i].Bytes; scanBytesMax < 0 {
				break
			}
			var err error
			if runs, whole, err = l.scanRuns(&files[i]); err != nil {
				return nil, err
			}
		}
		if !whole {
			break // what is lost behind the damage would not show where the next file begins an epoch
		}
		if rev, whole = prependRuns(rev, runs, after); !whole {
			break
		}
	}
	slices.Reverse(rev)
	return rev, nil
}

// prependRuns puts the runs of a file before those of later ones, which are in rev, the latest first. It reports
// whether it is worth while to look at earlier files.
func prependRuns(rev, runs []Run, after int64) ([]Run, bool) {
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		if r.Last <= after {
			return rev, false
		}
		whole := r.First > after
		r.First = max(r.First, after+1)
		n := len(rev)
		switch {
		case n > 0 && r.Last >= rev[n-1].First: // repeated
			if r.First >= rev[n-1].First {
				continue
			}
			r.Last = rev[n-1].First - 1
			fallthrough
		case n > 0:
			if !zxids.Follows(r.Last, rev[n-1].First) {
				return rev, false
			}
			if zxids.Epoch(r.Last) == zxids.Epoch(rev[n-1].First) {
				rev[n-1].First = r.First
				break
			}
			rev = append(rev, r)
		default:
			rev = append(rev, r)
		}
		if !whole {
			return rev, false
		}
	}
	return rev, true
}

// scanRuns reads an old file; whole is false when it is damaged: who needs it reads it and learns why.
func (l *Log) scanRuns(info *FileInfo) (runs []Run, whole bool, err error) {
	_, runs, err = l.findEnd(info, info.Bytes)
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		return nil, false, nil
	}
	return runs, true, err
}
