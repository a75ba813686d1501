//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/quorate/quorate/integration/ensemble"
)

// patroni is two PostgreSQL servers, of which Patroni makes one the primary and the other its replica.
type patroni struct {
	dir    string
	bin    string // of PostgreSQL
	ports  []int
	agents []*daemon
	turns  int
}

const patroniConfig = `scope: demo
name: n%[1]d
restapi: {listen: "127.0.0.1:%[2]d", connect_address: "127.0.0.1:%[2]d"}
zookeeper: {hosts: [%[3]s]}
bootstrap:
  dcs: {ttl: 10, loop_wait: 2, retry_timeout: 3}
  initdb: [{encoding: UTF8}]
  pg_hba: ["host replication all 127.0.0.1/32 trust", "host all all 127.0.0.1/32 trust"]
postgresql:
  listen: "127.0.0.1:%[4]d"
  connect_address: "127.0.0.1:%[4]d"
  data_dir: %[5]s/data
  bin_dir: %[6]s
  pgpass: %[5]s/pgpass
  authentication: {replication: {username: replicator, password: r}, superuser: {username: postgres, password: p}}
  parameters: {unix_socket_directories: %[5]s, shared_buffers: 16MB}
`

func (p *patroni) start(dir string, servers []string) error {
	p.dir = dir
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return errors.Join(err, errors.New("PostgreSQL is not installed in /usr/lib/postgresql"))
	}
	p.bin = filepath.Dir(found[len(found)-1])
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	for i := range 2 {
		if err := p.startAgent(i, ports[2*i:2*i+2], servers); err != nil {
			return err
		}
	}
	return ensemble.Await("a primary and its replica", func() error {
		m, err := p.members()
		if err == nil && (leader(m) < 0 || len(m) != 2 || !m[1-leader(m)].replicates()) {
			err = fmt.Errorf("the members are %+v", m)
		}
		return err
	})
}

func (p *patroni) startAgent(i int, ports []int, servers []string) error {
	home := filepath.Join(p.dir, fmt.Sprint("n", i+1))
	var quoted []string
	for _, s := range servers {
		quoted = append(quoted, strconv.Quote(s))
	}
	config := fmt.Sprintf(patroniConfig, i+1, ports[0], strings.Join(quoted, ", "), ports[1], home, p.bin)
	if err := errors.Join(os.Mkdir(home, 0o700), os.WriteFile(p.config(i), []byte(config), 0o644)); err != nil {
		return err
	}
	cmd := exec.Command("patroni", p.config(i))
	cmd.Dir = home
	if err := asPostgres(cmd, home); err != nil {
		return err
	}
	a, err := startDaemon(filepath.Join(p.dir, fmt.Sprintf("n%d.log", i+1)), cmd)
	if err != nil {
		return err
	}
	p.agents, p.ports = append(p.agents, a), append(p.ports, ports[1])
	return nil
}

func (p *patroni) config(i int) string { return filepath.Join(p.dir, fmt.Sprintf("n%d.yml", i+1)) }

// asPostgres has cmd run as the user postgres, to whom home is given, if this is root: PostgreSQL refuses to be root's.
func asPostgres(cmd *exec.Cmd, home string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	cmd.Env = append(os.Environ(), "HOME="+home)
	return errors.Join(err1, err2, os.Chown(home, int(uid), int(gid)))
}

// pgMember is a server as Patroni lists it.
type pgMember struct {
	Member, Role, State string
}

func (m pgMember) replicates() bool {
	return m.Role == "Replica" && (m.State == "running" || m.State == "streaming")
}

// members lists the servers, in order of their names.
func (p *patroni) members() (all []pgMember, err error) {
	out, err := run("patronictl", "-c", p.config(0), "list", "--format", "json")
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal([]byte(out), &all)
}

// leader returns which member leads, -1 if none.
func leader(all []pgMember) int {
	for i, m := range all {
		if m.Role == "Leader" && m.State == "running" {
			return i
		}
	}
	return -1
}

// sql runs a statement on the server at a port.
func (p *patroni) sql(i int, statement string) (string, error) {
	out, err := run(filepath.Join(p.bin, "psql"), "-h", "127.0.0.1", "-p", fmt.Sprint(p.ports[i]), "-U", "postgres", "-Atqc", statement)
	return strings.TrimSpace(out), err
}

// primary returns the member that leads, by its number in ports.
func (p *patroni) primary() (i int, err error) {
	err = ensemble.Await("a primary", func() error {
		all, err := p.members()
		if err != nil {
			return err
		}
		l := leader(all)
		if l < 0 {
			return fmt.Errorf("none of %+v leads", all)
		}
		i, err = strconv.Atoi(strings.TrimPrefix(all[l].Member, "n"))
		i--
		return err
	})
	return i, err
}

// use writes to the primary and expects all rows on every server.
func (p *patroni) use() error {
	i, err := p.primary()
	if err != nil {
		return err
	}
	p.turns++
	if _, err := p.sql(i, "CREATE TABLE IF NOT EXISTS t (k int PRIMARY KEY)"); err != nil {
		return err
	}
	if _, err := p.sql(i, fmt.Sprintf("INSERT INTO t SELECT %d + generate_series(1, 1000)", 1000*p.turns)); err != nil {
		return err
	}
	for i, a := range p.agents {
		if a == nil {
			continue
		}
		err := ensemble.Await("the rows on every server", func() error {
			got, err := p.sql(i, "SELECT count(*) FROM t")
			if want := fmt.Sprint(1000 * p.turns); err == nil && got != want {
				err = fmt.Errorf("n%d has %s rows of %s", i+1, got, want)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lose kills the primary with its agent; the agent's ephemeral expires, and the replica is promoted.
func (p *patroni) lose() error {
	old, err := p.primary()
	if err != nil {
		return err
	}
	p.killServer(old)
	p.agents[old].kill()
	p.agents[old] = nil
	return ensemble.Await("the replica to be promoted", func() error {
		all, err := p.members()
		if err != nil {
			return err
		}
		if l := leader(all); l < 0 || all[l].Member == fmt.Sprint("n", old+1) {
			return fmt.Errorf("n%d was killed, and no other of %+v leads", old+1, all)
		}
		return nil
	})
}

// killServer kills PostgreSQL itself, which has left its agent's process group.
func (p *patroni) killServer(i int) {
	b, err := os.ReadFile(filepath.Join(p.dir, fmt.Sprint("n", i+1), "data", "postmaster.pid"))
	if err != nil {
		return // it never ran, or has ended
	}
	first, _, _ := strings.Cut(string(b), "\n")
	if pid, err := strconv.Atoi(first); err == nil && pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

var patroniNotices = regexp.MustCompile(`(?i)session (has )?(been )?(expired|lost)|demot`)

func (p *patroni) noticed() (all []string, err error) {
	for _, a := range p.agents {
		lines, e := a.matching(patroniNotices)
		all, err = append(all, lines...), errors.Join(err, e)
	}
	return all, err
}

func (p *patroni) stop() {
	for i, a := range p.agents {
		p.killServer(i)
		a.kill()
	}
}
