package znode

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestManifestDamaged flips each byte of a manifest: a record that is not the last is
// missed and named, and nothing in the directory is changed. The last may be one that a
// crash has torn, which TestStoreCrash is about.
func TestManifestDamaged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	s := openTestStore(t, nil, dir)
	for z := int64(1); z <= 4; z++ {
		err := s.Checkpoint(Meta{Zxid: z}, changesOf(putChange("/", "", 0), putChange(fmt.Sprintf("/n%d", z), "", 0)))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := manifestOf(t, dir)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last, records := 0, 0
	for at := 0; at < len(good); at = manifestChunkEnd(good, at) {
		last, records = at, records+1
	}
	if records < 4 {
		t.Fatalf("%d records", records)
	}
	names := func() string {
		m, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(m, " ")
	}
	before := names()
	for at := range last {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenStore(StoreOptions{Dir: dir})
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	if after := names(); after != before {
		t.Fatalf("files\n%s\nbefore\n%s", after, before)
	}
}

func manifestOf(t *testing.T, dir string) string {
	t.Helper()
	m, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(m) == 0 {
		t.Fatal(m, err)
	}
	return m[len(m)-1]
}
