package znode

import (
	"errors"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// manifestFS makes the name of a manifest durable as soon as it is created.
//
// Pebble creates a manifest and then the marker file that points to it, and
// syncs the directory once for both names. A crash before that sync may leave
// the marker alone on a file system that does not keep the order of such
// changes, and then the store would not open again. It happens at every open,
// so it is worth one more sync.
type manifestFS struct{ vfs.FS }

// Create implements [vfs.FS].
func (m manifestFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := m.FS.Create(name, category)
	if err != nil || !strings.HasPrefix(m.PathBase(name), "MANIFEST-") {
		return f, err
	}
	if err := syncDir(m.FS, m.PathDir(name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Unwrap implements [vfs.FS].
func (m manifestFS) Unwrap() vfs.FS { return m.FS }
