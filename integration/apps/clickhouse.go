//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/quorate/quorate/integration/ensemble"
)

// clickhouse is two servers and a table that they replicate.
type clickhouse struct {
	ports   []int // for clients
	servers []*daemon
	turns   int
}

const clickhouseConfig = `<yandex>
<logger><level>information</level><console>1</console></logger>
<http_port>%[2]d</http_port><tcp_port>%[3]d</tcp_port>
<interserver_http_port>%[4]d</interserver_http_port><interserver_http_host>127.0.0.1</interserver_http_host>
<listen_host>127.0.0.1</listen_host><mark_cache_size>5368709</mark_cache_size>
<path>%[5]s/</path><tmp_path>%[5]s/tmp/</tmp_path><format_schema_path>%[5]s/schemas/</format_schema_path>
<users_config>%[6]s</users_config><default_profile>default</default_profile><default_database>default</default_database>
<zookeeper>%[7]s<session_timeout_ms>6000</session_timeout_ms></zookeeper>
<macros><replica>r%[1]d</replica></macros>
</yandex>
`

const clickhouseUsers = `<yandex><profiles><default/></profiles><quotas><default/></quotas>
<users><default><password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users></yandex>
`

// start gives ClickHouse only the servers that do not lead: it takes a lost connection for an expired session, and the
// leader will be killed.
func (c *clickhouse) start(dir string, servers []string) error {
	ports, err := freePorts(6)
	if err != nil {
		return err
	}
	users := filepath.Join(dir, "users.xml")
	if err := os.WriteFile(users, []byte(clickhouseUsers), 0o600); err != nil {
		return err
	}
	for i := range 2 {
		data, file := filepath.Join(dir, fmt.Sprint("data", i+1)), filepath.Join(dir, fmt.Sprintf("server%d.xml", i+1))
		p := ports[3*i : 3*i+3]
		config := fmt.Sprintf(clickhouseConfig, i+1, p[0], p[1], p[2], data, users, clickhouseNodes(servers[:2]))
		if err := errors.Join(os.MkdirAll(data, 0o700), os.WriteFile(file, []byte(config), 0o600)); err != nil {
			return err
		}
		s, err := startDaemon(filepath.Join(dir, fmt.Sprintf("server%d.log", i+1)), exec.Command("clickhouse-server", "--config-file="+file))
		if err != nil {
			return err
		}
		c.servers, c.ports = append(c.servers, s), append(c.ports, p[1])
	}
	for i := range 2 {
		err := ensemble.Await("ClickHouse to make a table", func() error {
			_, err := c.query(i, `CREATE TABLE IF NOT EXISTS t (k UInt64, v String)
				ENGINE = ReplicatedMergeTree('/clickhouse/t', '{replica}') ORDER BY k`)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func clickhouseNodes(servers []string) string {
	var b strings.Builder
	for i, s := range servers {
		host, port, _ := net.SplitHostPort(s)
		fmt.Fprintf(&b, "<node index=\"%d\"><host>%s</host><port>%s</port></node>", i+1, host, port)
	}
	return b.String()
}

func (c *clickhouse) query(server int, q string) (string, error) {
	out, err := run("clickhouse-client", "--host", "127.0.0.1", "--port", fmt.Sprint(c.ports[server]), "-q", q)
	return strings.TrimSpace(out), err
}

// use inserts at either server, has one of them merge, and expects both to have all rows.
func (c *clickhouse) use() error {
	const inserts, rows = 10, 1000
	c.turns++
	for i := range inserts {
		from := (c.turns*inserts + i) * rows
		if _, err := c.query(c.living(i), fmt.Sprintf("INSERT INTO t SELECT number + %d, 'v' FROM numbers(%d)", from, rows)); err != nil {
			return err
		}
	}
	want := fmt.Sprint(c.turns * inserts * rows)
	for i := range c.servers {
		if c.servers[i] == nil {
			continue
		}
		err := ensemble.Await("the rows on both replicas", func() error {
			got, err := c.query(i, "SELECT count() FROM t")
			if err == nil && got != want {
				err = fmt.Errorf("replica %d has %s rows of %s", i+1, got, want)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if slices.Contains(c.servers, nil) {
		return nil // a merge waits for all replicas
	}
	_, err := c.query(0, "OPTIMIZE TABLE t")
	return err
}

// living returns a server that runs, in turns if both do.
func (c *clickhouse) living(turn int) int {
	if i := turn % len(c.servers); c.servers[i] != nil {
		return i
	}
	return (turn + 1) % len(c.servers)
}

// lose kills the replica that leads; its ephemerals expire, and the other leads.
func (c *clickhouse) lose() error {
	const leads = "SELECT is_leader FROM system.replicas"
	leader := 0
	if got, err := c.query(0, leads); err != nil {
		return err
	} else if got != "1" {
		leader = 1
	}
	c.servers[leader].kill()
	c.servers[leader] = nil
	return ensemble.Await("the other replica to lead", func() error {
		got, err := c.query(1-leader, leads)
		if err == nil && got != "1" {
			err = fmt.Errorf("replica %d does not lead", 2-leader)
		}
		return err
	})
}

// ClickHouse calls every lost connection an expired session, and opens another.
var clickhouseNotices = regexp.MustCompile(`(?i)session expired|has expired`)

func (c *clickhouse) noticed() (all []string, err error) {
	for _, s := range c.servers {
		lines, e := s.matching(clickhouseNotices)
		all, err = append(all, lines...), errors.Join(err, e)
	}
	return all, err
}

func (c *clickhouse) stop() {
	for _, s := range c.servers {
		s.kill()
	}
}
