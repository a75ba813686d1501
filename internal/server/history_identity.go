package server

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/quorate/quorate/zab/txnlog"
)

// identityName is a file in dataDir/version-2 and in dataLogDir/version-2 with the
// same random number, by which directories of two servers are told apart: the tree of
// one and the log of the other may look as if they went together.
//
// It is written to dataDir first, when the database has opened, so that it is in
// dataLogDir alone only if the other has been lost or exchanged.
const identityName = "quorate.id"

// checkIdentity refuses directories that do not belong together. Where one, or both,
// have no number they are taken for what they are said to be, as those of earlier
// versions and of Java servers; but not a log in use for an empty dataDir.
func (h *history) checkIdentity() error {
	data, err := h.identity(h.o.metaDir())
	if err != nil {
		return err
	}
	log, err := h.identity(h.o.Log.Dir)
	if err != nil || log == "" || log == data {
		return err
	}
	if data == "" {
		newest, err := h.newestSnapshot()
		if err != nil || newest >= 0 || h.place.State != placeNone {
			return err
		}
	}
	return fmt.Errorf("%w: the log in %s is not that of %s: %s says %q, %s %q. If they do belong together, remove %s",
		errPlace, h.o.Log.Dir, h.o.metaDir(), filepath.Join(h.o.Log.Dir, identityName), log,
		h.metaPath(identityName), data, filepath.Join(h.o.Log.Dir, identityName))
}

// writeIdentity completes the numbers.
func (h *history) writeIdentity() error {
	data, err := h.identity(h.o.metaDir())
	if err != nil {
		return err
	}
	log, err := h.identity(h.o.Log.Dir)
	if err != nil || data != "" && log != "" {
		return err
	}
	id := data + log // one of them is empty
	if id == "" {
		b := make([]byte, 16)
		_, _ = rand.Read(b) // it does not fail
		id = hex.EncodeToString(b)
	}
	for _, dir := range []string{h.o.metaDir(), h.o.Log.Dir} {
		if err := txnlog.WriteFileAtomic(h.o.Log.FS, filepath.Join(dir, identityName), []byte(id+"\n")); err != nil {
			return fmt.Errorf("%w: identity in %s: %w", errPlace, dir, err)
		}
	}
	return nil
}

// identity reads the number in a directory; "" is none.
func (h *history) identity(dir string) (string, error) {
	b, err := readWhole(h.o.Log.FS, filepath.Join(dir, identityName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", errPlace, err)
	}
	return strings.TrimSpace(string(b)), nil
}
