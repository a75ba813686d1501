//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
)

func main() {
	var p plan
	java := flag.String("java", string(integration.ZooKeeper38), "release of the Java servers: "+fmt.Sprint(ensemble.Releases))
	flag.StringVar(&p.dir, "dir", "", "directory for the servers' data, kept; a temporary one if empty")
	flag.IntVar(&p.servers, "servers", 3, "servers of the ensemble")
	flag.IntVar(&p.nodes, "nodes", 20_000, "znodes that are there before")
	flag.IntVar(&p.writes, "writes", 500, "acknowledged writes between two steps")
	flag.StringVar(&p.order, "order", orderLeaderLast, "who is replaced when: "+orderLeaderLast+", "+orderLeaderFirst+" or "+orderByID)
	flag.Uint64Var(&p.seed, "seed", 1, "seed of the clients")
	flag.Parse()
	p.java = ensemble.Kind(*java)
	p.out = os.Stdout
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := rehearse(ctx, p)
	stop()
	integration.RemoveBuild()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rolling:", err)
		os.Exit(1)
	}
}

// rehearse runs one rehearsal in a directory of its own or the one given.
func rehearse(ctx context.Context, p plan) (err error) {
	if p.dir == "" {
		if p.dir, err = os.MkdirTemp("", "rolling"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(p.dir)) }()
	}
	r, err := newRehearsal(p)
	if err != nil {
		return err
	}
	defer r.close()
	return r.run(ctx)
}
