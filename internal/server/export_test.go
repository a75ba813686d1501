package server

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestExportIsPackedAsConfigured(t *testing.T) {
	cfg := testConfig(t.TempDir())
	r := start(t, cfg)
	r.client().create("/a", "x")
	r.stop()
	for compression, suffix := range map[string]string{"": ".2", "gz": ".2.gz", "snappy": ".2.snappy"} {
		cfg.SnapshotCompression, cfg.SnapshotLastZxid = compression, true
		out := t.TempDir()
		report, err := Export(cfg, out)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Files) != 1 || !strings.HasSuffix(report.Files[0], "snapshot"+suffix) {
			t.Errorf("files %v", report.Files)
		}
		back := testConfig(out)
		again := start(t, back)
		again.client().wantData("/a", "x")
		again.stop()
	}
	if m, _ := filepath.Glob(filepath.Join(cfg.DataDir, versionDir, "snapshot.*")); len(m) != 0 {
		t.Errorf("files in the server's own directory: %v", m)
	}
}
