package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// loadText loads a configuration file with the given text from a directory of
// its own. $DIR in the text stands for that directory, which exists.
func loadText(t *testing.T, text string, env, sets []string) (*Config, []Warning, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "$DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path, env, sets)
}

func mustLoad(t *testing.T, text string, env, sets []string) (*Config, []Warning) {
	t.Helper()
	c, warnings, err := loadText(t, text, env, sets)
	if err != nil {
		t.Fatal(err)
	}
	return c, warnings
}

func TestDefaultIsStandaloneOnLoopback(t *testing.T) {
	c := Default()
	if c.ClientPort != 2181 || c.ClientPortAddress != "127.0.0.1" || c.DataDir != "data" || c.DataLogDir != "data" {
		t.Errorf("listens on %s:%d with data in %s and %s", c.ClientPortAddress, c.ClientPort, c.DataDir, c.DataLogDir)
	}
	if c.Distributed() {
		t.Error("is part of an ensemble")
	}
	if c.TickTime != 3*time.Second || c.MinSessionTimeout != 6*time.Second || c.MaxSessionTimeout != 60*time.Second {
		t.Errorf("tick %v, sessions %v to %v", c.TickTime, c.MinSessionTimeout, c.MaxSessionTimeout)
	}
	if c.MaxBufferBytes != 1048575 || c.MaxBufferExtraBytes != 1048575 || c.OversizedRequestBytesMax != 64<<20 {
		t.Errorf("jute.maxbuffer %d + %d, oversized up to %d", c.MaxBufferBytes, c.MaxBufferExtraBytes, c.OversizedRequestBytesMax)
	}
	if !c.ForceSync || !c.DigestEnabled || !c.Auth.DigestEnabled || c.Auth.SkipACL || c.EnforceQuota || c.ExtendedTypesEnabled {
		t.Errorf("switches: %+v", c)
	}
	if c.PreAllocBytes != 64<<20 || c.SnapCount != 100000 || c.SnapSizeLimitBytes != 4<<30 || c.TxnLogSizeLimitBytes != -1 {
		t.Errorf("log: prealloc %d, snapCount %d, limits %d %d", c.PreAllocBytes, c.SnapCount, c.SnapSizeLimitBytes, c.TxnLogSizeLimitBytes)
	}
	if c.Tree.BudgetBytes < 1<<20 {
		t.Errorf("tree budget %d bytes", c.Tree.BudgetBytes)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestLaterLayersWin(t *testing.T) {
	file := "dataDir=/x\nclientPort=1\nsnapCount=10\ntickTime=100\nmaxCnxns=1\n"
	env := []string{"QUORATE_SNAPCOUNT=20", "QUORATE_TICKTIME=200", "QUORATE_MAXCNXNS=", "HOME=/root"}
	c, _ := mustLoad(t, file, env, []string{"tickTime=300", "zookeeper.maxResponseCacheSize=7"})
	if c.ClientPort != 1 || c.SnapCount != 20 || c.TickTime != 300*time.Millisecond {
		t.Errorf("clientPort %d (file), snapCount %d (environment), tickTime %v (--set)", c.ClientPort, c.SnapCount, c.TickTime)
	}
	if c.MaxCnxns != 1 {
		t.Errorf("an empty variable changed maxCnxns to %d", c.MaxCnxns)
	}
	if c.MaxResponseCacheSize != 7 {
		t.Errorf("--set with the zookeeper. prefix was not taken: %d", c.MaxResponseCacheSize)
	}
	for key, want := range map[string]string{
		"clientPort": c.Path + ":2", "snapCount": "environment variable QUORATE_SNAPCOUNT",
		"tickTime": "--set tickTime", "syncLimit": "default",
	} {
		if got := c.Origin(key).String(); got != want {
			t.Errorf("%s comes from %q, want %q", key, got, want)
		}
	}
}
