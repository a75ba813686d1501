//go:build linux

package ensemble

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// fatalLines are what no server may ever print, with what it means. Java
// catches what a thread throws and goes on without the thread.
var fatalLines = []fatalLine{
	{pattern: regexp.MustCompile(`Exception occurred from thread|Exception in thread "`), means: "a Java thread died"},
	{
		pattern: regexp.MustCompile(`Severe unrecoverable error`), means: "a Java thread that cannot be missed died",
		// A learner that cannot reach its leader any more ends its server this way.
		except: regexp.MustCompile(`from thread : (Follower|Observer)RequestProcessor`),
		// So does one that finds the connection closed by its other thread when it
		// has an acknowledgement to send.
		exceptNext: regexp.MustCompile(`NullPointerException: .*"this\.learner\.sock" is null`),
	},
	{pattern: regexp.MustCompile(`OutOfMemoryError|StackOverflowError|NoClassDefFoundError|AssertionError`), means: "the JVM is broken"},
	{pattern: regexp.MustCompile(`Digests are not matching|digest mismatch|DigestMismatch`), means: treeDiffers},
	{pattern: regexp.MustCompile(`Unable to load database on disk|but next pending txn`), means: "a Java server gives up"},
	{pattern: regexp.MustCompile(`^panic: |^fatal error: |^goroutine \d+ \[`), means: "Quorate panicked"},
	{pattern: regexp.MustCompile(`^WARNING: DATA RACE`), means: "Quorate has a data race"},
}

const treeDiffers = "a tree differs from the leader's"

type fatalLine struct {
	pattern *regexp.Regexp
	means   string
	except  *regexp.Regexp // nil: no exception
	// exceptNext is of the line behind it, which tells the cause; nil: no exception.
	exceptNext *regexp.Regexp
}

func (f fatalLine) matches(line []byte) bool {
	return f.pattern.Match(line) && (f.except == nil || !f.except.Match(line))
}

// scanLog returns the lines of a log that must not be there, with the name of
// the file and the meaning. Those that match expected, if it is not nil, may
// be there.
func scanLog(path string, expected *regexp.Regexp) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	var unless *regexp.Regexp // of the line behind the last one found
	for n := 1; lines.Scan(); n++ {
		if unless != nil && unless.Match(lines.Bytes()) {
			out = out[:len(out)-1]
		}
		unless = nil
		for _, fatal := range fatalLines {
			if fatal.matches(lines.Bytes()) && (expected == nil || !expected.Match(lines.Bytes())) {
				out = append(out, fmt.Sprintf("%s:%d: %s: %s", filepath.Base(path), n, fatal.means, strings.TrimSpace(lines.Text())))
				unless = fatal.exceptNext
				break
			}
		}
	}
	return out, lines.Err()
}

// Logged counts the lines of the logs of all runs of a member that match.
func (m *Member) Logged(pattern *regexp.Regexp) (lines int, err error) {
	m.mu.Lock()
	runs := m.runs
	m.mu.Unlock()
	for _, p := range runs {
		text, err := os.ReadFile(p.log)
		if err != nil {
			return 0, err
		}
		for line := range bytes.Lines(text) {
			if pattern.Match(line) {
				lines++
			}
		}
	}
	return lines, nil
}

// Check returns an error for everything that must never happen to a member,
// whatever is done to it: what [scanLog] finds in the logs of all its runs, and
// metrics that count differences from the leader's tree.
func (m *Member) Check() error {
	m.mu.Lock()
	runs := m.runs
	m.mu.Unlock()
	var errs []error
	for _, p := range runs {
		found, err := scanLog(p.log, m.ensemble.spec.Expected)
		if err != nil {
			errs = append(errs, err)
		}
		for _, line := range found {
			if m.ensemble.spec.LooseDigests && strings.Contains(line, treeDiffers) {
				continue
			}
			errs = append(errs, fmt.Errorf("member %v: %s", m, line))
		}
	}
	if m.Responsive() && !m.ensemble.spec.LooseDigests {
		errs = append(errs, m.checkMetrics())
	}
	return errors.Join(errs...)
}

// checkMetrics looks at the counters of a member, if it serves.
func (m *Member) checkMetrics() error {
	if all, err := m.Monitor(); err == nil {
		for key, value := range all {
			if strings.Contains(key, "digest_mismatches") && strings.Trim(value, "0.") != "" {
				return fmt.Errorf("member %v: %s is %s", m, key, value)
			}
		}
	}
	return nil
}
