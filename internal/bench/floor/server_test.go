//go:build linux

package floor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/quorate/quorate/internal/bench"
	"github.com/quorate/quorate/wire"
)

func port(addr string) uint16 { return netip.MustParseAddrPort(addr).Port() }

func writeConfig(t *testing.T, dir, text string) string {
	t.Helper()
	cfg := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(cfg, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A floor does everything that the workloads it is measured with ask for.
func TestServe(t *testing.T) {
	addr, err := bench.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	cfg := writeConfig(t, t.TempDir(), fmt.Sprintf("dataDir=nowhere\nclientPort=%d\n", port(addr)))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, cfg) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	awaitServer(t, addr)
	rep, err := bench.Run(t.Context(), bench.Config{
		Workloads: []bench.Workload{bench.Watch, bench.WatchPersistent, bench.Connect}, Servers: []string{addr},
		Rounds: 1, Ops: 2000, Progress: io.Discard,
	})
	wantFigures(t, rep, err)
}

// wantFigures wants each workload to have done something, without errors.
func wantFigures(t *testing.T, rep *bench.Report, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rep.Results {
		if r.Throughput == 0 || len(r.Errors) > 0 {
			t.Errorf("%s: %.0f/s, errors %v", r.Workload, r.Throughput, r.Errors)
		}
	}
}

// A connection that sends nonsense costs it that connection.
func TestNonsense(t *testing.T) {
	s := &server{once: map[string][]*conn{}, lasting: map[string][]*conn{}}
	c := &conn{}
	for _, body := range [][]byte{nil, {1}, make([]byte, 27)} {
		if s.answer(c, body) {
			t.Errorf("%d bytes are a connect request", len(body))
		}
	}
	c.connected = true
	body := wire.RequestHeader{Xid: 1, Op: wire.OpSetData}.Append(nil)
	if s.answer(c, append(body, 0xff)) {
		t.Error("half a setData was answered")
	}
	if err := Serve(t.Context(), "no such file"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
}
