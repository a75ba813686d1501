//go:build linux

package witness

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
)

func TestMain(m *testing.M) {
	code := m.Run()
	integration.RemoveBuild()
	os.Exit(code)
}

func gather(t *testing.T, plan Plan) (*Crowd, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	plan.Seed = 1
	c, err := Gather(ctx, plan)
	if err != nil {
		t.Fatal(err)
	}
	return c, ctx
}

// A crowd finds no fault with a Java ensemble, also when its leader is killed
// and a follower restarted.
func TestCrowdOnJava(t *testing.T) {
	debian := integration.ZooKeeper38
	e := ensemble.ForTest(t, ensemble.Spec{Voters: []ensemble.Kind{debian, debian, debian}})
	c, ctx := gather(t, Everyone(e.Addrs()))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.AwaitProgress(ctx, 500))
	leader, err := e.AwaitLeader()
	must(err)
	leader.Kill()
	must(c.AwaitProgress(ctx, 500))
	must(e.Start())
	must(c.AwaitProgress(ctx, 200))
	f, err := c.Judge(ctx)
	t.Log(f)
	must(err)
	if f.Expired != 0 || f.LocksTaken == 0 || f.Increments == 0 || f.Ephemerals == 0 || f.WatchSteps == 0 || f.StreamEvents == 0 {
		t.Errorf("%v", f)
	}
	_, err = e.Compare()
	must(err)
}

// Whoever meddles with a crowd's znodes behind its back, as a server would that
// loses writes, is found out.
func TestMeddler(t *testing.T) {
	e := ensemble.ForTest(t, ensemble.Spec{Voters: []ensemble.Kind{integration.ZooKeeper38}})
	meddler, err := NewClient(-1, e.Addrs(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer meddler.Close()
	for want, meddle := range map[string]func(c *Crowd) error{
		"": func(*Crowd) error { return nil },
		"not linearizable": func(c *Crowd) error {
			_, err := meddler.Set(c.slots.every()[0], []byte("x"), -1)
			return err
		},
		"increments were": func(c *Crowd) error {
			_, st, err := meddler.Get(c.counter.path)
			if err == nil {
				_, err = meddler.Multi(&zk.DeleteRequest{Path: c.counter.path, Version: -1}, &zk.CreateRequest{Path: c.counter.path, Acl: open})
			}
			_ = st
			return err
		},
		"is gone": func(c *Crowd) error {
			names, _, err := meddler.Children(c.owners.root)
			for _, n := range names {
				if err := meddler.Delete(c.owners.root+"/"+n, -1); err == nil {
					return nil
				}
			}
			return err
		},
		"no live session made it": func(c *Crowd) error {
			_, err := meddler.Create(c.owners.root+"/meddled", nil, zk.FlagEphemeral, open)
			return err
		},
		"events had come": func(c *Crowd) error {
			_, err := meddler.Create(c.stream.root+"/meddled", nil, 0, open)
			return err
		},
		"held twice": func(c *Crowd) error {
			for range 100 { // until it hits a time when the lock is held
				if _, err := meddler.Set(c.locks.fence, nil, -1); err != nil {
					return err
				}
				time.Sleep(5 * time.Millisecond)
			}
			return nil
		},
	} {
		plan := Everyone(e.Addrs())
		plan.Keys, plan.SyncedReads = 1, true
		c, ctx := gather(t, plan)
		if err := c.AwaitProgress(ctx, 100); err != nil {
			t.Fatal(err)
		}
		if want == "is gone" {
			c.Stop() // or the owner would make it again
		}
		if err := meddle(c); err != nil {
			t.Fatalf("%q: %v", want, err)
		}
		if want != "is gone" {
			if err := c.AwaitProgress(ctx, 100); err != nil {
				t.Fatal(err)
			}
		}
		c.plan.SessionTimeout = time.Second // the wait for ephemerals that will not come
		f, err := c.Judge(ctx)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\n%v", want, f, err)
		}
	}
}
