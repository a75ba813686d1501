package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"github.com/quorate/quorate/zab/txnlog"
)

// noteFile is a hint of how far the log is known to be committed, so that a
// start can bring the tree there and need not hold all of the log behind the
// last checkpoint in memory.
//
// It is written in place, alternately to two slots in sectors of their own, and
// never synced: a note that is lost, torn or old costs memory at the next start,
// and keeps a tree that came from elsewhere from being shown before there is a
// leader (history.unproven); nothing else. One that was written before a snapshot was put in place is
// about another log and does not count.
type noteFile struct {
	fs       txnlog.FS
	dir      string
	installs int64
	f        txnlog.File
	slot     int64
}

const (
	noteName      = "quorate.committed"
	noteSlotBytes = 4096
	noteBytes     = 8 + 8 + 4
	noteMagic     = 0x51434d54 // begins the CRC, so that zeros are no note
)

// read returns the highest zxid noted, or 0.
func (n *noteFile) read() (zxid int64) {
	b, err := readWhole(n.fs, filepath.Join(n.dir, noteName))
	if err != nil {
		return 0 // whatever it is, there is no hint
	}
	for at := 0; at+noteBytes <= len(b) && at <= noteSlotBytes; at += noteSlotBytes {
		s := b[at : at+noteBytes]
		if binary.BigEndian.Uint32(s[16:]) == noteSum(s) && int64(binary.BigEndian.Uint64(s)) == n.installs {
			zxid = max(zxid, int64(binary.BigEndian.Uint64(s[8:])))
		}
	}
	return zxid
}

func noteSum(s []byte) uint32 { return crc32.Update(noteMagic, crc32.IEEETable, s[:16]) }

// write leaves a note.
func (n *noteFile) write(zxid int64) error {
	if n.f == nil {
		if err := n.open(); err != nil {
			return err
		}
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(n.installs))
	b = binary.BigEndian.AppendUint64(b, uint64(zxid))
	b = binary.BigEndian.AppendUint32(b, noteSum(b))
	if _, err := n.f.WriteAt(b, n.slot*noteSlotBytes); err != nil {
		return fmt.Errorf("noting what is committed: %w", err)
	}
	n.slot = 1 - n.slot
	return nil
}

func (n *noteFile) open() (err error) {
	path := filepath.Join(n.dir, noteName)
	n.f, err = n.fs.Open(path, true)
	if errors.Is(err, fs.ErrNotExist) {
		n.f, err = n.fs.Create(path)
	}
	if err != nil {
		n.f = nil
		return fmt.Errorf("noting what is committed: %w", err)
	}
	return nil
}

func (n *noteFile) close() error {
	if n.f == nil {
		return nil
	}
	return n.f.Close()
}
