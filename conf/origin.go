package conf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ExitInvalid is the exit code of a process whose configuration is invalid,
// the same as ZooKeeper's.
const ExitInvalid = 2

// Origin says where a value came from. The zero value means a default.
type Origin struct {
	// File and Line name a line of a file, counted from 1; Line 0 means the
	// file as a whole.
	File string
	Line int
	// Env is the name of an environment variable, JVM of a property in it that is
	// set as Java's -D option.
	Env, JVM string
	// Set is the key of a "key=value" pair of the command line. The value is
	// left out: it may be a secret.
	Set string
}

// String is what an error message begins with: "zoo.cfg:7",
// "environment variable QUORATE_TICKTIME" or "--set tickTime".
func (o Origin) String() string {
	switch {
	case o.Set != "":
		return "--set " + o.Set
	case o.JVM != "":
		return "-D" + o.JVM + " in " + o.Env
	case o.Env != "":
		return "environment variable " + o.Env
	case o.File != "" && o.Line > 0:
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	case o.File != "":
		return o.File
	}
	return "default"
}

// Warning is something the operator should know that does not keep the server
// from starting.
type Warning struct {
	// Origin is where it was found.
	Origin Origin
	// Key is the key it is about; may be empty.
	Key string
	// Text is the message, without origin and key.
	Text string
}

// String is the whole warning on one line.
func (w Warning) String() string { return describe(w.Origin, w.Key, w.Text) }

// Fault is one thing that makes a configuration invalid.
type Fault struct {
	// Origin is where it was found.
	Origin Origin
	// Key is the key it is about; may be empty.
	Key string
	// Text is the message, without origin and key.
	Text string
	// Err is the cause when there is one, such as an unreadable file.
	Err error
}

// String is the whole fault on one line.
func (f Fault) String() string { return describe(f.Origin, f.Key, f.Text) }

func describe(o Origin, key, text string) string {
	if o.Set == key {
		key = "" // the origin has named it
	}
	parts := make([]string, 0, 3)
	for _, part := range []string{o.String(), printable(key), text} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// printable quotes a key that would garble a terminal or a log line.
func printable(key string) string {
	if quoted := fmt.Sprintf("%q", key); quoted != `"`+key+`"` {
		return quoted
	}
	return key
}

// Error is an invalid configuration with everything that is wrong with it.
// Load and Validate return it; the process should exit with ExitInvalid.
type Error struct {
	// Faults are in the order of the file, then the environment, then the
	// command line, then what is missing altogether. There is at least one.
	Faults []Fault
}

// Error lists every fault on its own line.
func (e *Error) Error() string {
	if len(e.Faults) == 1 {
		return "invalid configuration: " + e.Faults[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "invalid configuration, %d faults:", len(e.Faults))
	for _, f := range e.Faults {
		b.WriteString("\n  " + f.String())
	}
	return b.String()
}

// ExitCode is ExitInvalid.
func (e *Error) ExitCode() int { return ExitInvalid }

// Unwrap gives the causes to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	var causes []error
	for _, f := range e.Faults {
		if f.Err != nil {
			causes = append(causes, f.Err)
		}
	}
	return causes
}

// faults gathers what is wrong; the zero value is ready.
type faults []Fault

func (fs *faults) add(o Origin, key, format string, args ...any) {
	*fs = append(*fs, Fault{Origin: o, Key: key, Text: fmt.Sprintf(format, args...)})
}

// err returns nil, or an *Error with the faults in order.
func (fs faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	sorted := slices.Clone(fs)
	slices.SortStableFunc(sorted, func(a, b Fault) int { return compareOrigins(a.Origin, b.Origin) })
	return &Error{Faults: sorted}
}

// compareOrigins orders by source, then by place in it.
func compareOrigins(a, b Origin) int {
	if d := a.rank() - b.rank(); d != 0 {
		return d
	}
	if d := strings.Compare(a.File, b.File); d != 0 {
		return d
	}
	return a.Line - b.Line
}

func (o Origin) rank() int {
	switch {
	case o.Set != "":
		return 2
	case o.Env != "":
		return 1
	case o.Line > 0:
		return 0
	}
	return 3
}

// ErrorOf returns the *Error inside err, or nil.
func ErrorOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// warnings gathers remarks; the zero value is ready.
type warnings []Warning

func (ws *warnings) add(o Origin, key, format string, args ...any) {
	*ws = append(*ws, Warning{Origin: o, Key: key, Text: fmt.Sprintf(format, args...)})
}

func (ws warnings) sorted() []Warning {
	sorted := slices.Clone(ws)
	slices.SortStableFunc(sorted, func(a, b Warning) int { return compareOrigins(a.Origin, b.Origin) })
	return sorted
}
