//go:build linux

package ensemble

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/quorate/quorate/integration"
)

// Kind is what a member runs.
type Kind = integration.Flavor

// Releases are the Java releases that ensembles are mixed with, Debian's
// first.
var Releases = []Kind{integration.ZooKeeper38, "3.6.4", "3.8.6", integration.ZooKeeper39}

// Spec says what an ensemble is made of.
type Spec struct {
	// Voters are the kinds of members 1 to n, Observers those of the members
	// behind them.
	Voters, Observers []Kind
	// Options are lines of zoo.cfg for every member, on top of [Defaults]. An
	// empty value removes a line.
	Options integration.Options
	// Java are further options of every JVM, such as -Dzookeeper.x=y.
	Java []string
	// HeapMB bounds the heap of a JVM in MiB; 0 is 200.
	HeapMB int
	// Fast lets the JVM compile for long runs; without it, it compiles
	// quickly and starts sooner.
	Fast bool
	// DefaultJVM leaves heap, collector and compiler to the JVM, as zkServer.sh
	// does, for measuring. HeapMB and Fast are without meaning then.
	DefaultJVM bool
	// Place is where the members live; nil is [Loopback].
	Place Place
	// Expected matches lines of logs that would be a fault elsewhere, but are
	// what a server should print in this test; nil matches none.
	Expected *regexp.Regexp
	// LooseDigests is for ensembles of Java servers alone: theirs count mismatches
	// when one joins another under load, although the trees are equal in the end.
	LooseDigests bool
}

// Defaults are the settings of every member: a tick long enough for a busy
// machine with two processors, files small enough for many members.
var Defaults = integration.Options{
	"tickTime":               "1000",
	"initLimit":              "20",
	"syncLimit":              "5",
	"maxClientCnxns":         "0",
	"minSessionTimeout":      "1000",
	"maxSessionTimeout":      "60000",
	"preAllocSize":           "1024",
	"4lw.commands.whitelist": "*",
	"admin.enableServer":     "false",
	"DigestAuthenticationProvider.superDigest": integration.SuperDigest,
}

// options returns the lines that all members share.
func (s Spec) options() integration.Options {
	all := maps.Clone(Defaults)
	maps.Copy(all, s.Options)
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })
	return all
}

// kinds returns the kind of each member in the order of ids.
func (s Spec) kinds() []Kind { return slices.Concat(s.Voters, s.Observers) }

// Available tells why the ensemble cannot be started here, nil when it can.
func (s Spec) Available() error {
	var errs []error
	for _, k := range slices.Compact(slices.Sorted(slices.Values(s.kinds()))) {
		errs = append(errs, integration.Available(k))
	}
	return errors.Join(errs...)
}

// String names the kinds, such as "3.8 3.8 quorate + quorate".
func (s Spec) String() string {
	var b strings.Builder
	for i, k := range s.kinds() {
		switch {
		case i == len(s.Voters):
			b.WriteString(" + ")
		case i > 0:
			b.WriteByte(' ')
		}
		b.WriteString(string(k))
	}
	return b.String()
}

// javaOptions are those of a member's JVM.
func (s Spec) javaOptions() []string {
	opts := []string{
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS", "-Dorg.slf4j.simpleLogger.showShortLogName=true",
	}
	if !s.DefaultJVM {
		heap := s.HeapMB
		if heap == 0 {
			heap = 200
		}
		opts = append(opts, fmt.Sprintf("-Xmx%dm", heap), "-XX:+UseSerialGC", "-Xshare:auto")
		if !s.Fast {
			opts = append(opts, "-XX:TieredStopAtLevel=1")
		}
	}
	return append(opts, s.Java...)
}

// config returns the zoo.cfg of one member.
func (e *Ensemble) config(m *Member) string {
	var b strings.Builder
	opts := e.spec.options()
	for _, k := range slices.Sorted(maps.Keys(opts)) {
		fmt.Fprintf(&b, "%s=%s\n", k, opts[k])
	}
	fmt.Fprintf(&b, "dataDir=%s\nclientPort=%d\nclientPortAddress=%s\n", m.DataDir(), m.Address.Client, m.Address.Host)
	for _, o := range e.Members {
		role := ""
		if o.Observer {
			role = ":observer"
		}
		fmt.Fprintf(&b, "server.%d=%s%s\n", o.ID, strings.ReplaceAll(o.Address.servers(), "|", role+"|"), role)
	}
	if m.Observer {
		b.WriteString("peerType=observer\n")
	}
	return b.String()
}
