package shell

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Exit codes, those of zkCli.
const (
	ExitOK      = 0
	ExitFailed  = 1
	ExitUnknown = 127 // the command does not exist
)

// Config is what a Shell needs.
type Config struct {
	// Servers is the connect string, also shown in the prompt.
	Servers string
	// Connect opens connections.
	Connect Connect
	// WaitForConnection is how long the first command may wait until there is
	// a session; 0 does not wait, and a request fails as soon as an attempt to
	// connect does.
	WaitForConnection time.Duration
	// Stdout and Stderr take the output; never nil.
	Stdout, Stderr io.Writer
	// Prompt prints a prompt before every line; for terminals.
	Prompt bool
	// Version is the text of the command version.
	Version string
}

// Shell runs commands. Its methods are for one goroutine; events may arrive
// meanwhile on another.
type Shell struct {
	cfg     Config
	servers string
	client  Client
	history []string
	over    bool // quit was said
	exit    int

	mu           sync.Mutex // over both writers and printWatches
	printWatches bool
	waiting      chan struct{} // closed when a session first comes up or ends
	waited       bool
}

// New connects, without waiting for the connection.
func New(cfg Config) (*Shell, error) {
	s := &Shell{cfg: cfg, servers: cfg.Servers, printWatches: true, waiting: make(chan struct{})}
	s.printf("Connecting to %s\n", cfg.Servers)
	if err := s.connect(cfg.Servers); err != nil {
		return nil, err
	}
	return s, s.waitForConnection()
}

func (s *Shell) connect(servers string) error {
	client, err := s.cfg.Connect(servers, s.event)
	if err != nil {
		return err
	}
	s.servers, s.client = servers, client
	return nil
}

// event prints what the connection tells, whenever it does.
func (s *Shell) event(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.printWatches {
		printEvent(s.cfg.Stdout, e)
	}
	if !s.waited && e.State != "Disconnected" {
		s.waited = true
		close(s.waiting)
	}
}

func (s *Shell) waitForConnection() error {
	if s.cfg.WaitForConnection <= 0 {
		return nil
	}
	timer := time.NewTimer(s.cfg.WaitForConnection)
	defer timer.Stop()
	select {
	case <-s.waiting:
		return nil
	case <-timer.C:
		s.client.Close()
		return fmt.Errorf("no connection to %s within %v", s.servers, s.cfg.WaitForConnection)
	}
}

// printf writes to stdout, never in the middle of an event.
func (s *Shell) printf(format string, args ...any) {
	s.print(func(w io.Writer) { fmt.Fprintf(w, format, args...) })
}

func (s *Shell) print(write func(io.Writer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	write(s.cfg.Stdout)
}

func (s *Shell) errorf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.cfg.Stderr, format, args...)
}

// Once runs one command, ends the session and returns the exit code.
func (s *Shell) Once(words []string) int {
	s.execute(words)
	s.hangUp()
	return s.exit
}

// Interact reads commands from lines until they end or one says quit, and
// returns the exit code of the last.
func (s *Shell) Interact(lines io.Reader) int {
	s.printf("Welcome to ZooKeeper!\nJLine support is disabled\n")
	in := bufio.NewReader(lines)
	for !s.over {
		s.prompt()
		line, err := in.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			s.history = append(s.history, line)
			s.execute(splitLine(line))
		}
		if err != nil {
			break
		}
	}
	s.hangUp()
	return s.exit
}

// hangUp ends the session without a word.
func (s *Shell) hangUp() {
	s.mu.Lock()
	s.printWatches = false
	s.mu.Unlock()
	s.client.Close()
}

func (s *Shell) prompt() {
	if s.cfg.Prompt {
		s.printf("[zk: %s(%s) %d] ", s.servers, s.client.State(), len(s.history))
	}
}

var (
	// errUsage asks for the usage line of the command.
	errUsage = errors.New("usage")
	// errSilent fails a command that has said why.
	errSilent = errors.New("silent")
)

// execute runs one command and sets the exit code.
func (s *Shell) execute(words []string) {
	if len(words) == 0 {
		return
	}
	if words[0] != "quit" { // which leaves with the code of the last command
		s.exit = ExitOK
	}
	cmd, ok := commandTable()[words[0]]
	if !ok {
		s.usage()
		s.errorf("Command not found: Command not found %s\n", words[0])
		s.exit = ExitUnknown
		return
	}
	switch err := s.run(cmd, words); {
	case err == nil:
	case errors.Is(err, errSilent):
		s.exit = ExitFailed
	case errors.Is(err, errUsage):
		s.errorf("%s %s\n", words[0], cmd.usage)
		s.exit = ExitFailed
	default:
		s.errorf("%s\n", err)
		s.exit = ExitFailed
	}
}

func (s *Shell) run(cmd command, words []string) error {
	args, err := cmd.syntax.parse(words[1:])
	if err != nil {
		return err
	}
	if len(args.words) < cmd.syntax.least {
		return errUsage
	}
	if len(args.words) > cmd.syntax.least && cmd.legacy != "" {
		s.takeLegacy(words[0], cmd, args)
	}
	if cmd.online && !alive(s.client.State()) {
		s.printf("Not connected\n")
		return errSilent
	}
	return cmd.run(s, args)
}

// takeLegacy turns the old way of giving a version or asking for a watch into
// the option it has become.
func (s *Shell) takeLegacy(name string, cmd command, args *arguments) {
	s.errorf("a further argument of %s is taken for the option -%s, which is how to write it now: %s %s\n", name, cmd.legacy, name, cmd.usage)
	args.flags[cmd.legacy], args.values[cmd.legacy] = true, args.words[cmd.syntax.least]
}

// usage lists the commands on stderr.
func (s *Shell) usage() {
	table := commandTable()
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	sort.Strings(names)
	text := "ZooKeeper -server host:port -client-configuration properties-file cmd args\n"
	for _, name := range names {
		text += "\t" + name + " " + table[name].usage + "\n"
	}
	s.errorf("%s", text)
}

func (s *Shell) showHistory(*arguments) error {
	last := len(s.history) - 1
	for i := max(last-10, 0); i <= last; i++ {
		s.printf("%d - %s\n", i, s.history[i])
	}
	return nil
}

// redo runs a command of the history again and takes its place there.
func (s *Shell) redo(args *arguments) error {
	n, err := strconv.Atoi(args.word(0))
	if err != nil || n < 0 || n >= len(s.history)-1 {
		return errors.New("Command index out of range") //nolint:revive,staticcheck // zkCli's words
	}
	words := splitLine(s.history[n])
	if len(words) > 0 && words[0] == "redo" {
		return errors.New("No redoing redos") //nolint:revive,staticcheck // zkCli's words
	}
	s.history[len(s.history)-1] = s.history[n]
	s.execute(words) // sets the exit code
	return nil
}

func (s *Shell) reconnect(args *arguments) error {
	servers := args.word(0)
	if servers == "" {
		servers = s.servers
	}
	if alive(s.client.State()) {
		s.client.Close()
	}
	return s.connect(servers)
}

func (s *Shell) closeSession(*arguments) error {
	s.client.Close()
	return nil
}

func (s *Shell) quit(*arguments) error {
	s.client.Close()
	s.over = true
	return nil
}

func (s *Shell) setPrintWatches(args *arguments) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(args.words) == 0 {
		fmt.Fprintf(s.cfg.Stdout, "printwatches is %s\n", map[bool]string{true: "on", false: "off"}[s.printWatches])
		return nil
	}
	s.printWatches = args.word(0) == "on"
	return nil
}

func (s *Shell) showVersion(*arguments) error {
	s.printf("ZooKeeper CLI version: %s\n", s.cfg.Version)
	return nil
}
