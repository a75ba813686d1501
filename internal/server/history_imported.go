package server

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/quorate/quorate/zab/txnlog"
)

// importedName is the file in dataDir/version-2 that says which log files are a Java
// server's: those that begin at this zxid or before, in hex. When they are not needed
// any more they are put aside and not removed, as its snapshots are: what was there
// before this server came is the operator's.
const importedName = "quorate.imported"

// noteImported says that the log files that are there now, before an import, are a
// Java server's.
func (h *history) noteImported() error {
	names, err := h.o.Log.FS.List(h.o.Log.Dir)
	if err != nil {
		return fmt.Errorf("looking for ZooKeeper's logs: %w", err)
	}
	last := int64(0)
	for _, name := range names {
		if hex, ok := strings.CutPrefix(name, "log."); ok {
			if z, err := strconv.ParseInt(hex, 16, 64); err == nil {
				last = max(last, z)
			}
		}
	}
	h.o.Log.AsideThrough = last
	if last == 0 {
		return h.removeMeta(importedName)
	}
	err = txnlog.WriteFileAtomic(h.o.Log.FS, h.metaPath(importedName), strconv.AppendInt(nil, last, 16))
	if err != nil {
		return fmt.Errorf("%w: %w", errPlace, err)
	}
	return nil
}

// readImported has these files put aside.
func (h *history) readImported() error {
	b, err := readWhole(h.o.Log.FS, h.metaPath(importedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		h.o.Log.AsideThrough, err = strconv.ParseInt(strings.TrimSpace(string(b)), 16, 64)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errPlace, h.metaPath(importedName), err)
	}
	return nil
}
