package server

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/quorate/quorate/zab/txnlog"
)

// placeFile says where the database is. It is replaced as a whole, and that is
// how a snapshot from the leader takes the place of tree and log in one step.
type placeFile struct {
	State placeState
	// Tree is the number of the store among its siblings.
	Tree int
	// Base is the zxid after which nothing is missing in the log. What the log
	// holds before it must not serve anybody.
	Base int64
	// Installs counts the snapshots put in place.
	Installs int64
	// Java is the newest snapshot of a Java server that was there when the tree
	// was filled. One that is newer says that a Java server has run since.
	Java int64
	// Staged are the log files that are to become the log, while State is
	// placeInstalling.
	Staged []string
}

// placeState is how far the database is in place.
type placeState string

const (
	// placeNone: there is no file. The directory is new, or a Java server's.
	placeNone placeState = ""
	// placeImporting: the tree comes from a Java server, or from nothing; it may
	// be there already, with nothing applied to it.
	placeImporting placeState = "importing"
	// placeWhole is the usual state.
	placeWhole placeState = "whole"
	// placeInstalling: the tree is there, the log files are staged. The old log
	// is void.
	placeInstalling placeState = "installing"
)

// placeName is the file's name in dataDir/version-2.
const placeName = "quorate.place"

const placeHead = "quorate place 1"

// errPlace is in every error about the place file.
var errPlace = errors.New("place of the database")

// write replaces the file, durably.
func (p *placeFile) write(fsys txnlog.FS, dir string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nstate %s\ntree %d\nbase %x\ninstalls %d\njava %x\nstaged %s\n",
		placeHead, p.State, p.Tree, p.Base, p.Installs, p.Java, strings.Join(p.Staged, " "))
	fmt.Fprintf(&b, "crc %08x\n", crc32.ChecksumIEEE(b.Bytes()))
	if err := txnlog.WriteFileAtomic(fsys, filepath.Join(dir, placeName), b.Bytes()); err != nil {
		return fmt.Errorf("%w: %w", errPlace, err)
	}
	return nil
}

// readPlace reads the file; without one State is placeNone.
func readPlace(fsys txnlog.FS, dir string) (p placeFile, err error) {
	path := filepath.Join(dir, placeName)
	b, err := readWhole(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("%w: %w", errPlace, err)
	}
	body, tail, ok := bytes.Cut(b, []byte("\ncrc "))
	body = append(body, '\n')
	var sum uint32
	if _, err := fmt.Sscanf(string(tail), "%08x\n", &sum); !ok || err != nil || sum != crc32.ChecksumIEEE(body) {
		return p, fmt.Errorf("%w: %s is damaged", errPlace, path)
	}
	lines := strings.Split(string(body), "\n")
	if lines[0] != placeHead || len(lines) != 8 {
		return p, fmt.Errorf("%w: %s begins with %q: it was written by another version", errPlace, path, lines[0])
	}
	state := ""
	_, err = fmt.Sscanf(strings.Join(lines[1:6], "\n"), "state %s\ntree %d\nbase %x\ninstalls %d\njava %x",
		&state, &p.Tree, &p.Base, &p.Installs, &p.Java)
	if err != nil {
		return p, fmt.Errorf("%w: %s: %w", errPlace, path, err)
	}
	p.State = placeState(state)
	p.Staged = strings.Fields(strings.TrimPrefix(lines[6], "staged "))
	return p, nil
}

// readWhole reads a small file of ours.
func readWhole(fsys txnlog.FS, path string) (b []byte, err error) {
	f, err := fsys.Open(path, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > 1<<20 {
		return nil, fmt.Errorf("%s has %d bytes", path, size)
	}
	b = make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("%s: %d of %d bytes: %w", path, n, size, err)
	}
	return b, nil
}

// release gives the directories up to a Java server's snapshot that has been written
// there: the tree at rest is removed, and the next start imports. The history is
// closed. A crash leaves one or the other.
func (h *history) release() error {
	fsys, dir := h.o.Log.FS, h.o.metaDir()
	h.place.State = placeImporting
	if err := h.place.write(fsys, dir); err != nil {
		return err
	}
	siblings, err := h.o.Store.Siblings()
	if err != nil {
		return err
	}
	for _, n := range siblings {
		if err := h.o.Store.Sibling(n).Remove(); err != nil {
			return err
		}
	}
	return h.removeMeta(noteName, registerName, importedName, placeName)
}

// removeMeta removes small files of ours that may be there, durably.
func (h *history) removeMeta(names ...string) error {
	for _, name := range names {
		if err := h.o.Log.FS.Remove(h.metaPath(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %w", errPlace, err)
		}
	}
	return h.o.Log.FS.SyncDir(h.o.metaDir())
}
