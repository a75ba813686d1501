package znode

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// ExportOptions says what data directory for Java ZooKeeper to make.
type ExportOptions struct {
	// DataDir is the dataDir setting of the server that will start from it. It
	// is created when missing; there must be no snapshot, log or epoch file in
	// its version-2.
	DataDir string
	// DataLogDir is the dataLogDir setting; empty is DataDir. Nothing is
	// written there, but a log in it would be replayed on top.
	DataLogDir string
	// Epoch is the epoch this server has accepted. The one of the snapshot's
	// zxid is taken when that is greater: Java does not start with less.
	Epoch int64
	// Compression is how the snapshot is packed: not at all (""), CompressGzip or
	// CompressSnappy, which Java reads since 3.6.
	Compression string
	// Snapshot chooses among the forms of the file.
	Snapshot JavaSnapshotOptions
}

// The compressions, which are the suffixes of the files too.
const (
	CompressGzip   = "gz"
	CompressSnappy = "snappy"
)

// exportTempName is a name that Java does not take for a snapshot.
const exportTempName = "quorate-export.tmp"

// ExportJava makes the data directory of a Java server out of the view: a
// snapshot and the two epoch files, all synced. Java ZooKeeper 3.5 and later
// start from it, standalone or in an ensemble. It returns the snapshot's path.
func ExportJava(view Snapshot, o ExportOptions) (path string, err error) {
	m, err := view.Meta()
	if err != nil {
		return "", err
	}
	if err := checkExportDir(o); err != nil {
		return "", err
	}
	dir := filepath.Join(o.DataDir, javaVersionDir)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("znode: export: %w", err)
	}
	path = o.snapshotPath(m.Zxid)
	epoch := strconv.FormatInt(max(o.Epoch, m.Zxid>>32), 10)
	text := func(w io.Writer) error { _, err := io.WriteString(w, epoch); return err }
	for _, file := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{filepath.Join(dir, "acceptedEpoch"), text},
		{filepath.Join(dir, "currentEpoch"), text},
		{path, func(w io.Writer) error { return o.writeSnapshot(w, view) }},
	} {
		if err := writeFileSynced(file.path, file.write); err != nil {
			return "", fmt.Errorf("znode: export to %s: %w", file.path, err)
		}
	}
	return path, nil
}

// ExportJavaSnapshot writes the view into the DataDir of o as a snapshot of Java's
// beside what is there: the log behind it and the epochs of the server that owned
// the directory stay, and a Java server goes on from them. It returns the path.
func ExportJavaSnapshot(view Snapshot, o ExportOptions) (path string, err error) {
	m, err := view.Meta()
	if err != nil {
		return "", err
	}
	path = o.snapshotPath(m.Zxid)
	err = writeFileSynced(path, func(w io.Writer) error { return o.writeSnapshot(w, view) })
	if err != nil {
		return "", fmt.Errorf("znode: export to %s: %w", path, err)
	}
	return path, nil
}

func (o *ExportOptions) snapshotPath(zxid int64) string {
	path := filepath.Join(o.DataDir, javaVersionDir, JavaSnapshotName(zxid))
	if o.Compression != "" {
		path += "." + o.Compression
	}
	return path
}

// checkExportDir refuses a directory whose files would mix with the export's.
func checkExportDir(o ExportOptions) error {
	d, err := readJavaDir(o.DataDir, o.DataLogDir)
	if err != nil {
		return err
	}
	for _, file := range append(d.snapshots, d.logs...) {
		return fmt.Errorf("znode: export: directory is %w: there is %s", ErrNotEmpty, file.path)
	}
	for _, name := range []string{"currentEpoch", "acceptedEpoch"} {
		path := filepath.Join(o.DataDir, javaVersionDir, name)
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			return errors.Join(err, fmt.Errorf("znode: export: directory is %w: there is %s", ErrNotEmpty, path))
		}
	}
	return nil
}

func (o *ExportOptions) writeSnapshot(w io.Writer, view Snapshot) error {
	var packed io.WriteCloser
	switch o.Compression {
	case "":
		return WriteJavaSnapshot(w, view, o.Snapshot)
	case CompressGzip:
		packed = gzip.NewWriter(w)
	case CompressSnappy:
		packed = newJavaSnappyWriter(w)
	default:
		return fmt.Errorf("unknown compression %q", o.Compression)
	}
	if err := WriteJavaSnapshot(packed, view, o.Snapshot); err != nil {
		return err
	}
	return packed.Close()
}

// writeFileSynced makes a file that is there whole or not at all.
func writeFileSynced(path string, write func(io.Writer) error) error {
	dir := filepath.Dir(path)
	tmp := filepath.Join(dir, exportTempName)
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // gone when all went well
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
