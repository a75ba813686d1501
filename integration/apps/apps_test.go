//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/quorate/quorate/integration"
	"github.com/quorate/quorate/integration/ensemble"
)

// What VerifiableConsumer prints, shortened.
const consumerSaid = `{"timestamp":1,"name":"startup_complete"}
{"timestamp":2,"name":"records_consumed","count":1500,"partitions":[{"topic":"t","partition":0,"count":1500,"minOffset":0}]}
{"timestamp":3,"name":"records_consumed","count":500,"partitions":[{"topic":"t","partition":1,"count":500,"minOffset":0}]}
{"timestamp":4,"name":"offsets_committed","offsets":[{"topic":"t","partition":1,"offset":500}],"success":true}
`

func TestReceived(t *testing.T) {
	if n := received(consumerSaid); n != 2000 {
		t.Errorf("%d messages", n)
	}
	if n := received(""); n != 0 {
		t.Errorf("%d messages of none", n)
	}
}

func TestLeaderOfPatronisMembers(t *testing.T) {
	for text, want := range map[string]int{
		`[]`: -1,
		`[{"Member":"n1","Role":"Replica","State":"running"},{"Member":"n2","Role":"Leader","State":"running"}]`:   1,
		`[{"Member":"n1","Role":"Leader","State":"stopped"},{"Member":"n2","Role":"Replica","State":"streaming"}]`: -1,
	} {
		var all []pgMember
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatal(err)
		}
		if got := leader(all); got != want {
			t.Errorf("%s: %d", text, got)
		}
	}
}

func TestNodesOfClickHouse(t *testing.T) {
	want := `<node index="1"><host>127.0.0.1</host><port>1</port></node><node index="2"><host>::1</host><port>2</port></node>`
	if got := clickhouseNodes([]string{"127.0.0.1:1", "[::1]:2"}); got != want {
		t.Error(got)
	}
}

func TestUnknownApplication(t *testing.T) {
	err := runAll(t.Context(), io.Discard, integration.Quorate, []string{"hbase"})
	if err == nil || !strings.Contains(err.Error(), `"hbase"`) {
		t.Error(err)
	}
}

func TestDaemon(t *testing.T) {
	d, err := startDaemon(t.TempDir()+"/log", exec.Command("sh", "-c", "echo Session 5 expired; echo fine; sleep 1000 & wait"))
	if err != nil {
		t.Fatal(err)
	}
	err = ensemble.Await("its output", func() error {
		lines, err := d.matching(regexp.MustCompile("fine"))
		if err == nil && len(lines) != 1 {
			err = errors.New("nothing is printed")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if lines, err := d.matching(kafkaNotices); err != nil || len(lines) != 1 {
		t.Errorf("%q, %v", lines, err)
	}
	d.kill()
}
