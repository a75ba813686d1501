package server

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/quorate/quorate/zab/members"
)

func (s *Server) wordDirs(q *wordQuery) {
	fmt.Fprintf(q, "datadir_size: %d\nlogdir_size: %d\n", s.dataBytes(), s.logBytes())
}

// dataBytes and logBytes are what the two storages take on disk.
func (s *Server) dataBytes() int64 { return s.history.diskBytes() }

func (s *Server) logBytes() int64 { return dirBytes(filepath.Join(s.cfg.LogDir, versionDir)) }

// dirBytes sums the files in and below a directory. What cannot be read, or goes
// meanwhile, does not count.
func dirBytes(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, _ error) error {
		if e == nil || e.IsDir() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

func (s *Server) wordConf(q *wordQuery) {
	v := s.confView()
	line := func(key string, value any) { fmt.Fprintf(q, "%s=%v\n", key, value) }
	line("clientPort", v.clientPort)
	line("secureClientPort", -1)
	line("dataDir", v.dataDir)
	line("dataDirSize", s.dataBytes())
	line("dataLogDir", v.logDir)
	line("dataLogSize", s.logBytes())
	line("tickTime", v.tickTime)
	line("maxClientCnxns", v.connsPerIP)
	line("minSessionTimeout", v.timeoutMin)
	line("maxSessionTimeout", v.timeoutMax)
	line("clientPortListenBacklog", s.cfg.listenBacklog())
	line("serverId", v.id)
	if e := s.cfg.Ensemble; e != nil {
		s.confEnsemble(q, e, line)
	}
}

// confEnsemble writes what a member adds. A read-only server does not tell who
// else there is, as in ZooKeeper.
func (s *Server) confEnsemble(q *wordQuery, e *EnsembleConfig, line func(string, any)) {
	line("initLimit", e.InitLimit)
	line("syncLimit", e.SyncLimit)
	line("electionAlg", 3)
	self := e.self()
	line("electionPort", ports(self, func(a members.Address) int { return a.ElectionPort }))
	line("quorumPort", ports(self, func(a members.Address) int { return a.QuorumPort }))
	line("peerType", int(self.Role))
	if q.role.readOnly {
		return
	}
	list := s.membership()
	q.WriteString("membership: \n" + list.Text())
}

// ports joins one port of each address of a member.
func ports(m *members.Member, port func(members.Address) int) string {
	all := make([]string, len(m.Addresses))
	for i, a := range m.Addresses {
		all[i] = strconv.Itoa(port(a))
	}
	return strings.Join(all, "|")
}

// confView is what operators are told of the configuration; times in ms.
type confView struct {
	clientPort                       int // -1 = none
	dataDir, logDir                  string
	tickTime, timeoutMin, timeoutMax int64
	connsPerIP                       int
	id                               int64
}

func (s *Server) confView() confView {
	c := &s.cfg
	v := confView{
		clientPort: -1,
		dataDir:    filepath.Join(c.DataDir, versionDir), logDir: filepath.Join(c.LogDir, versionDir),
		tickTime: c.TickTime.Milliseconds(), timeoutMin: c.SessionTimeoutMin.Milliseconds(),
		timeoutMax: c.SessionTimeoutMax.Milliseconds(), connsPerIP: c.ConnsPerIP,
	}
	if len(s.listeners) > 0 {
		if a, ok := s.listeners[0].Addr().(*net.TCPAddr); ok {
			v.clientPort = a.Port
		}
	}
	if c.Ensemble != nil {
		v.id = c.Ensemble.MyID
	}
	return v
}

func (s *Server) wordEnvi(q *wordQuery) {
	q.WriteString("Environment:\n")
	for _, l := range s.environment() {
		fmt.Fprintf(q, "%s=%s\n", l[0], l[1])
	}
}

// environment is what this process runs in, under Java's names.
func (s *Server) environment() [][2]string {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	host, _ := os.Hostname()
	name, home := "", ""
	if u, err := user.Current(); err == nil {
		name, home = u.Username, u.HomeDir
	}
	dir, _ := os.Getwd()
	exe, _ := os.Executable()
	return [][2]string{
		{"zookeeper.version", s.cfg.Version},
		{"host.name", host},
		{"java.version", runtime.Version()},
		{"java.vendor", "The Go Authors"},
		{"java.home", ""},
		{"java.class.path", exe},
		{"java.library.path", ""},
		{"java.io.tmpdir", os.TempDir()},
		{"java.compiler", runtime.Compiler},
		{"os.name", runtime.GOOS},
		{"os.arch", runtime.GOARCH},
		{"os.version", osVersion()},
		{"user.name", name},
		{"user.home", home},
		{"user.dir", dir},
		{"os.memory.free", mib(m.HeapIdle)},
		{"os.memory.max", mib(m.Sys)},
		{"os.memory.total", mib(m.Sys)},
	}
}

func mib(b uint64) string { return strconv.FormatUint(b>>20, 10) + "MB" }

// osVersion is the kernel's release, where it is easy to learn.
func osVersion() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
