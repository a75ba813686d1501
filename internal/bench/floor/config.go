//go:build linux

package floor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// config is what a floor needs to know of a zoo.cfg.
type config struct {
	client  string // address of the client port
	dir     string
	self    int
	members map[int]string // addresses of the quorum ports; empty: alone
}

// readConfig reads a zoo.cfg, and dataDir/myid if it lists servers. All listen on 127.0.0.1.
func readConfig(path string) (config, error) {
	c := config{members: map[int]string{}}
	text, err := os.ReadFile(path) //nolint:gosec // the operator's
	if err != nil {
		return c, err
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		id, server := strings.CutPrefix(key, "server.")
		switch {
		case key == "clientPort":
			c.client = "127.0.0.1:" + value
		case key == "dataDir":
			c.dir = value
		case server:
			n, err := strconv.Atoi(id)
			parts := strings.Split(value, ":")
			if err != nil || len(parts) < 3 {
				return c, fmt.Errorf("%s: %s=%s is no server", path, key, value)
			}
			c.members[n] = "127.0.0.1:" + parts[1]
		}
	}
	if c.client == "" {
		return c, fmt.Errorf("%s: no clientPort", path)
	}
	if len(c.members) == 0 {
		return c, nil
	}
	id, err := os.ReadFile(filepath.Join(c.dir, "myid"))
	if err != nil {
		return c, err
	}
	c.self, err = strconv.Atoi(strings.TrimSpace(string(id)))
	if err != nil || c.members[c.self] == "" {
		return c, fmt.Errorf("%s: %s is none of the servers of %s", filepath.Join(c.dir, "myid"), strings.TrimSpace(string(id)), path)
	}
	return c, nil
}
