//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
)

// application is something that keeps its state in ZooKeeper.
type application interface {
	// start starts it on a new directory, with the servers of an ensemble, its leader last, and returns when it works.
	start(dir string, servers []string) error
	// use has it work, and checks what came of it. It is called again and again.
	use() error
	// lose kills the process of the application that leads, and returns when another has taken over.
	lose() error
	// noticed returns lines of its logs that tell of lost sessions.
	noticed() ([]string, error)
	// stop kills what start has started.
	stop()
}

// choice is an application by name.
type choice struct {
	name string
	make func() application
}

// applications are those there are, in the order in which they run.
var applications = []choice{
	{"kafka", func() application { return &kafka{} }},
	{"clickhouse", func() application { return &clickhouse{} }},
	{"patroni", func() application { return &patroni{} }},
}

func main() {
	var names []string
	for _, a := range applications {
		names = append(names, a.name)
	}
	only := flag.String("only", strings.Join(names, ","), "applications to run")
	java := flag.String("java", "", fmt.Sprintf("run them on Java servers of this release, of %v, instead of Quorate", ensemble.Releases))
	flag.Parse()
	kind := integration.Quorate
	if *java != "" {
		kind = ensemble.Kind(*java)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := runAll(ctx, os.Stdout, kind, strings.Split(*only, ","))
	stop()
	integration.RemoveBuild()
	if err != nil {
		fmt.Fprintln(os.Stderr, "apps:", err)
		os.Exit(1)
	}
}

// runAll runs the named applications, each on an ensemble of its own.
func runAll(ctx context.Context, out io.Writer, kind ensemble.Kind, names []string) (err error) {
	for _, name := range names {
		i := slices.IndexFunc(applications, func(c choice) bool { return c.name == name })
		if i < 0 {
			return errors.Join(err, fmt.Errorf("there is no application %q", name))
		}
		r := rehearsal{out: out, name: name, app: applications[i].make()}
		if e := r.run(ctx, kind); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", name, e))
			r.say("FAILED: %v", e)
		}
	}
	return err
}

// rehearsal is one application's.
type rehearsal struct {
	out  io.Writer
	name string
	app  application
}

func (r *rehearsal) say(format string, args ...any) {
	fmt.Fprintf(r.out, "%s %s: %s\n", time.Now().Format("15:04:05"), r.name, fmt.Sprintf(format, args...))
}

func (r *rehearsal) run(ctx context.Context, kind ensemble.Kind) (err error) {
	dir, err := os.MkdirTemp("", "quorate-apps-")
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL has a user of its own
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	e, err := ensemble.New(filepath.Join(dir, "ensemble"), ensemble.Spec{
		Voters: []ensemble.Kind{kind, kind, kind}, Options: integration.Options{"tickTime": "2000"},
	})
	if err != nil {
		return err
	}
	defer e.Close()
	if err := e.Start(); err != nil {
		return err
	}
	defer r.app.stop()
	home := filepath.Join(dir, r.name)
	if err := os.Mkdir(home, 0o755); err != nil {
		return err
	}
	return errors.Join(r.steps(ctx, e, home), e.Check())
}

func (r *rehearsal) steps(ctx context.Context, e *ensemble.Ensemble, home string) error {
	killed, err := e.AwaitLeader()
	if err != nil {
		return err
	}
	var servers []string
	for _, m := range append(e.Except(killed), killed) {
		servers = append(servers, m.Addr())
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"it starts", func() error { return r.app.start(home, servers) }},
		{"it works", r.app.use},
		{"the leader of the ensemble is killed", func() error { killed.Kill(); return nil }},
		{"it works on", r.app.use},
		{"the server is started again", func() error { return errors.Join(killed.Start(), killed.AwaitSynced()) }},
		{"it works on", r.app.use},
		{"no session was lost", func() error {
			lines, err := r.app.noticed()
			if len(lines) > 0 {
				err = errors.Join(err, fmt.Errorf("it logged %q", lines))
			}
			return err
		}},
		{"its own leader is killed, and another takes over", r.app.lose},
		{"it works on", r.app.use},
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		begun := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		r.say("%s (%.1f s)", step.what, time.Since(begun).Seconds())
	}
	return nil
}
