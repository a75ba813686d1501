package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

// zooKeeperVersion is the release whose client protocol and answers the
// server reproduces, and the number it announces to tools that ask.
const zooKeeperVersion = "3.9.5"

func newVersionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary and of the protocol it speaks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printVersion(cmd.OutOrStdout(), readBuild())
		},
	}
}

// build says what the running binary was made from.
type build struct {
	version string // module version, "devel" when built from a work tree
	commit  string // revision hash, with "-dirty" when the tree had changes
	time    string // commit time, RFC 3339, empty when unknown
	made    string // when the file of the binary was written, RFC 3339, empty when unknown
}

// readBuild describes the running binary.
func readBuild() build {
	info, _ := debug.ReadBuildInfo()
	b := buildFrom(info)
	b.made = binaryTime()
	return b
}

// binaryTime is all there is to tell builds apart when the linker has left no stamps,
// as it does with -buildvcs=false, outside of a repository, or in a second work tree.
func binaryTime() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return info.ModTime().UTC().Format(time.RFC3339)
}

// built is when the binary was built, as ZooKeeper writes it: the time of its commit, which
// does not change when the file is copied, or that of the file.
func (b build) built() string {
	for _, stamp := range []string{b.time, b.made} {
		if t, err := time.Parse(time.RFC3339, stamp); err == nil {
			return t.UTC().Format("2006-01-02 15:04 UTC")
		}
	}
	return "unknown"
}

// buildFrom reads the stamps the Go linker left; info may be nil.
func buildFrom(info *debug.BuildInfo) build {
	b := build{version: "devel", commit: "unknown"}
	if info == nil {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.version = v
	}
	stamps := map[string]string{}
	for _, s := range info.Settings {
		stamps[s.Key] = s.Value
	}
	if rev := stamps["vcs.revision"]; rev != "" {
		b.commit = rev
	}
	if stamps["vcs.modified"] == "true" {
		b.commit += "-dirty"
	}
	b.time = stamps["vcs.time"]
	return b
}

func printVersion(w io.Writer, b build) error {
	commit := b.commit
	if b.time != "" {
		commit += " of " + b.time
	} else {
		commit += ", built on " + b.built()
	}
	_, err := fmt.Fprintf(w, "quorate %s\ncommit %s\n%s %s/%s\nspeaks the client protocol of ZooKeeper %s\n",
		b.version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, zooKeeperVersion)
	return err
}
