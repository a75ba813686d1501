package conf

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// debianClasspath is where Debian's package zookeeper puts its jars.
const debianClasspath = "/etc/zookeeper/conf_example:/usr/share/java/zookeeper.jar"

// TestZooKeeperRefusesTheBadFilesToo starts Debian's ZooKeeper with every
// file of testdata/bad: it must end with the exit code that we use.
func TestZooKeeperRefusesTheBadFilesToo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a dozen Java processes")
	}
	java, err := exec.LookPath("java")
	if _, jar := os.Stat("/usr/share/java/zookeeper.jar"); err != nil || jar != nil {
		if os.Getenv("QUORATE_INTEROP") == "required" {
			t.Fatalf("Debian's zookeeper and a JRE are required: %v, %v", err, jar)
		}
		t.Skip("needs Debian's packages zookeeper and default-jre-headless")
	}
	for _, path := range configFiles(t, "bad") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), java, "-Xshare:auto", "-XX:TieredStopAtLevel=1",
				"-cp", debianClasspath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", path).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != ExitInvalid {
				t.Errorf("ended with %v, want exit code %d\n%s", err, ExitInvalid, out)
			}
		})
	}
}
