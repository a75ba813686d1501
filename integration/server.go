package integration

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Flavor is a kind of server that tests can start: one of the constants, or the
// number of a release, such as 3.6.4, that reference/fetch has brought.
type Flavor string

// The flavors.
const (
	Quorate     Flavor = "quorate"
	ZooKeeper38 Flavor = "3.8" // Debian's package
	ZooKeeper39 Flavor = "3.9" // Maven's, fetched by reference/fetch: the reference
)

// Java reports whether the flavor is Apache ZooKeeper.
func (f Flavor) Java() bool { return f != Quorate }

// referenceVersion is what [ZooKeeper39] runs.
const referenceVersion = "3.9.5"

// Options configure a server as zoo.cfg would. Keys that Java reads only as a
// system property reach it as -D, and Quorate in the file.
type Options map[string]string

// defaults are what every test server starts with.
var defaults = Options{
	"tickTime":               "2000",
	"maxClientCnxns":         "0",
	"4lw.commands.whitelist": "*",
	"admin.enableServer":     "false",
	"DigestAuthenticationProvider.superDigest": SuperDigest,
}

// propertyOnly lists the keys that zoo.cfg cannot carry to a Java server.
var propertyOnly = []string{
	"jute.maxbuffer", "znode.container.checkIntervalMs", "znode.container.maxPerMinute",
	"znode.container.maxNeverUsedIntervalMs", "readonlymode.enabled",
}

// merged returns the defaults overlaid by o. An empty value removes a key.
func (o Options) merged() Options {
	all := maps.Clone(defaults)
	maps.Copy(all, o)
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })
	return all
}

// key returns a text that is equal for equal options.
func (o Options) key() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(o)) {
		fmt.Fprintf(&b, "%s=%s ", k, o[k])
	}
	return strings.TrimSpace(b.String())
}

// Server is one running server, standalone, on a free port of 127.0.0.1.
type Server struct {
	*Process
	Flavor Flavor
	Addr   string // host:port of clients
	Dir    string // holds zoo.cfg and data
	opts   Options
}

// Available tells why servers of a flavor cannot be started here, nil when
// they can.
func Available(f Flavor) error {
	switch f {
	case Quorate:
		_, err := QuorateBinary()
		return err
	default:
		_, err := classPath(f)
		return err
	}
}

// release returns the number of the release that a flavor fetched from Maven
// runs.
func (f Flavor) release() string {
	if f == ZooKeeper39 {
		return referenceVersion
	}
	return string(f)
}

// servlets is what Debian's administration server lacks on its own class path.
const servlets = "/usr/share/java/servlet-api.jar"

// classPath returns the class path of a Java flavor.
func classPath(f Flavor) (string, error) {
	if _, err := executable("java"); err != nil {
		return "", err
	}
	if f == ZooKeeper38 {
		jar, err := file("/usr/share/java/zookeeper.jar")
		// Without the binding, which is a package of its own, it logs nothing, and
		// without the servlets it has no administration server.
		return "/etc/zookeeper/conf_example:" + jar + ":/usr/share/java/slf4j-simple.jar:" + servlets, err
	}
	cache := os.Getenv("QUORATE_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(user, "quorate")
	}
	lib := filepath.Join(cache, "zookeeper-"+f.release())
	if _, err := os.Stat(filepath.Join(lib, "complete")); err != nil {
		return "", fmt.Errorf("ZooKeeper %s is not in the cache, integration/reference/fetch brings it: %w", f.release(), err)
	}
	return filepath.Join(lib, "*"), nil
}

// CuratorClassPath returns the class path of Java programs that use Debian's
// Curator, and are compiled before they run.
func CuratorClassPath() (string, error) {
	if _, err := executable("javac"); err != nil {
		return "", err
	}
	var jars []string
	for _, name := range []string{
		"curator-client", "curator-framework", "curator-recipes", "guava",
		"zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-nop",
	} {
		jar, err := file("/usr/share/java/" + name + ".jar")
		if err != nil {
			return "", err
		}
		jars = append(jars, jar)
	}
	return strings.Join(jars, ":"), nil
}

// buildDir is removed by [RemoveBuild].
var buildDir string

// RemoveBuild removes the binary that [QuorateBinary] built. Every TestMain and
// main of a program that starts Quorate ends with it.
func RemoveBuild() {
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
}

// QuorateBinary builds cmd/quorate once per run and returns its path.
// QUORATE_BINARY names one that is built already.
var QuorateBinary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("QUORATE_BINARY"); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp("", "quorate-build")
	if err != nil {
		return "", err
	}
	buildDir = dir
	bin := filepath.Join(dir, "quorate")
	cmd := exec.Command("go", "build", "-o", bin, "github.com/quorate/quorate/cmd/quorate")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build cmd/quorate: %w\n%s", err, out)
	}
	return bin, nil
})

// StartServer starts a standalone server in dir, which is made when missing
// and may hold data, and waits until it answers a client.
func StartServer(f Flavor, dir string, opts Options) (*Server, error) {
	var last error
	for range 3 { // another process may take the free port first
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		s, err := startOn(f, dir, opts, port)
		if err == nil {
			return s, nil
		}
		last = err
		if !strings.Contains(strings.ToLower(err.Error()), "address already in use") {
			break
		}
	}
	return nil, last
}

func startOn(f Flavor, dir string, opts Options, port int) (*Server, error) {
	s := &Server{Flavor: f, Dir: dir, opts: opts.merged()}
	s.opts["clientPort"] = fmt.Sprint(port)
	if s.opts["clientPortAddress"] == "" {
		s.opts["clientPortAddress"] = "127.0.0.1"
	}
	s.Addr = net.JoinHostPort(s.opts["clientPortAddress"], fmt.Sprint(port))
	if s.opts["dataDir"] == "" {
		s.opts["dataDir"] = filepath.Join(dir, "data")
	}
	return s, s.Start()
}

// Start starts a server that was stopped, on its own port and data, and waits
// until it answers a client.
func (s *Server) Start() error {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	cfg, props := s.configure()
	path := filepath.Join(s.Dir, "zoo.cfg")
	if err := os.WriteFile(path, []byte(cfg), 0o644); err != nil {
		return err
	}
	cmd, err := s.command(path, props)
	if err != nil {
		return err
	}
	if s.Process, err = StartProcess(string(s.Flavor)+" on "+s.Addr, s.Dir, cmd); err != nil {
		return err
	}
	if err := s.awaitReady(); err != nil {
		s.Kill()
		return fmt.Errorf("%s: %w\n%s", s.name, err, s.Output())
	}
	return nil
}

// configure splits the options into the text of zoo.cfg and system properties.
func (s *Server) configure() (cfg string, props []string) {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(s.opts)) {
		if s.Flavor.Java() && slices.Contains(propertyOnly, k) {
			props = append(props, "-D"+k+"="+s.opts[k])
			continue
		}
		fmt.Fprintf(&b, "%s=%s\n", k, s.opts[k])
	}
	return b.String(), props
}

func (s *Server) command(cfg string, props []string) (*exec.Cmd, error) {
	java := []string{"-XX:+UseSerialGC", "-Xmx1g", "-Xshare:auto"}
	java = append(java, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-Dzookeeper.root.logger=ERROR,CONSOLE")
	return ServerCommand(s.Flavor, cfg, append(java, props...)...)
}

// ServerCommand returns the command that runs a server of flavor f with the
// configuration file cfg. java are options of the JVM, if f has one.
func ServerCommand(f Flavor, cfg string, java ...string) (*exec.Cmd, error) {
	if f == Quorate {
		bin, err := QuorateBinary()
		cmd := exec.Command(bin, "server", cfg)
		// The variables of these tests are no settings of the server.
		cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "QUORATE_") })
		return cmd, err
	}
	cp, err := classPath(f)
	if err != nil {
		return nil, err
	}
	args := append(slices.Clone(java), "-cp", cp, "org.apache.zookeeper.server.quorum.QuorumPeerMain", cfg)
	return exec.Command("java", args...), nil
}

// awaitReady connects until a session comes up. The pause between attempts
// only spares the processor; the process's end cuts it short.
func (s *Server) awaitReady() error {
	deadline := time.Now().Add(patience)
	for {
		err := s.tryReady()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no session within %v: %w", patience, err)
		}
		select {
		case <-s.Done():
			return errors.New("ended before it served")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tryReady makes and ends a session. A Java server that is asked while it
// starts may never answer, so the wait for one attempt is short.
func (s *Server) tryReady() error {
	c, err := Dial(s.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.Patience = 2 * time.Second
	sess, err := Handshake(c, ConnectOptions{TimeoutMs: 4000})
	if err != nil {
		return err
	}
	return sess.Close()
}

// freePort returns a TCP port that was free on 127.0.0.1 a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
