package sim

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestSeeds replays what has found a mistake before.
func TestSeeds(t *testing.T) {
	text, err := os.ReadFile("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		number, found, _ := strings.Cut(line, "\t")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || found == "" {
			t.Fatalf("%q is no seed with what it has found", line)
		}
		if r := Simulate(n, Sound, nil); len(r.Faults) > 0 {
			t.Errorf("seed %d, which once found that %s: %.2000q", n, found, r.Faults)
		}
	}
}
