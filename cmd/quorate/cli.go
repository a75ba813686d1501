package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/internal/shell"
)

const cliLong = `A shell for znodes that takes the flags and commands of zkCli.sh. With a command
it runs that and leaves, otherwise it reads commands from the terminal or a
pipe. Words with blanks are put in quotes, '..' or "..".

Flags:
  -server host:port[,host:port...][/chroot]  where to connect (default localhost:2181)
  -timeout milliseconds                      session timeout to ask for (default 30000)
  -r                                         be content with a server cut off from its ensemble
  -waitforconnection                         wait for the connection, up to the timeout

The exit code is that of the last command: 0, 1 when it failed, 127 when there
is no such command.`

// newCLICmd returns the command that talks to servers. Its flags have one dash,
// as those of zkCli.sh, and end at the first word without: cobra's own parsing
// would take "create -s" for a flag of its own.
func newCLICmd() *cobra.Command {
	return &cobra.Command{
		Use:                "cli [flags] [command]",
		Short:              "Read and change znodes, as zkCli.sh does",
		Long:               cliLong,
		Example:            "  quorate cli ls /\n  quorate cli -server zk1:2181,zk2:2181/app create /a \"some data\"",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && (args[0] == "-h" || strings.TrimLeft(args[0], "-") == "help" && args[0] != "help") {
				return cmd.Help()
			}
			flags, err := parseCLIFlags(args)
			if err != nil {
				return usageError{err}
			}
			return flags.run(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

// usageError is a command line that this command, not cobra, refuses.
type usageError struct{ error }

// ExitCode is exitUsage.
func (usageError) ExitCode() int { return exitUsage }

// exitStatus ends the process with a code after everything was said.
type exitStatus int

func (exitStatus) Error() string { return "" }

// ExitCode is the code itself.
func (e exitStatus) ExitCode() int { return int(e) }

// cliFlags are the flags of zkCli.sh.
type cliFlags struct {
	servers  string
	timeout  time.Duration
	readOnly bool
	wait     bool
	command  []string
}

func parseCLIFlags(args []string) (cliFlags, error) {
	f := cliFlags{servers: "localhost:2181", timeout: 30 * time.Second}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name := strings.TrimPrefix(strings.TrimPrefix(args[0], "-"), "-")
		switch name {
		case "r", "waitforconnection":
			f.readOnly, f.wait = f.readOnly || name == "r", f.wait || name != "r"
			args = args[1:]
			continue
		}
		if !slices.Contains([]string{"server", "timeout", "client-configuration"}, name) {
			return f, fmt.Errorf("unknown flag %s", args[0])
		}
		if len(args) < 2 {
			return f, fmt.Errorf("flag %s needs a value", args[0])
		}
		if err := f.setValue(name, args[1]); err != nil {
			return f, err
		}
		args = args[2:]
	}
	f.command = args
	return f, nil
}

func (f *cliFlags) setValue(name, value string) error {
	switch name {
	case "server":
		f.servers = value
	case "timeout":
		ms, err := strconv.ParseInt(value, 10, 32)
		if err != nil || ms < 1 {
			return fmt.Errorf("-timeout %q is not a number of milliseconds", value)
		}
		f.timeout = time.Duration(ms) * time.Millisecond
	case "client-configuration":
		return errors.New("-client-configuration is not served yet: it is for TLS and SASL")
	}
	return nil
}

func (f cliFlags) run(stdin io.Reader, stdout, stderr io.Writer) error {
	cfg := shell.Config{
		Servers: f.servers, Connect: f.connect, Stdout: stdout, Stderr: stderr,
		Prompt: isTerminal(stdin), Version: cliVersion(),
	}
	if f.wait {
		cfg.WaitForConnection = f.timeout
	}
	sh, err := shell.New(cfg)
	if err != nil {
		return err
	}
	code := 0
	if len(f.command) > 0 {
		code = sh.Once(f.command)
	} else {
		code = sh.Interact(stdin)
	}
	if code != 0 {
		return exitStatus(code)
	}
	return nil
}

// connect opens a connection to a connect string.
func (f cliFlags) connect(connectString string, onEvent func(shell.Event)) (shell.Client, error) {
	servers, chroot, err := splitConnectString(connectString)
	if err != nil {
		return nil, err
	}
	return shell.Open(shell.ConnConfig{
		Servers: servers, Chroot: chroot, Timeout: f.timeout, ReadOnly: f.readOnly, OnEvent: onEvent,
		Dial: func(ctx context.Context, server string) (io.ReadWriteCloser, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", server)
		},
	}), nil
}

// splitConnectString reads "host[:port][,host[:port]...][/chroot]".
func splitConnectString(text string) (servers []string, chroot string, err error) {
	hosts, chroot, has := strings.Cut(text, "/")
	if has && chroot != "" {
		chroot = "/" + chroot
	}
	if strings.HasSuffix(chroot, "/") || strings.Contains(chroot, "//") {
		return nil, "", fmt.Errorf("%q has a malformed chroot", text)
	}
	for _, host := range strings.Split(hosts, ",") {
		if host = strings.TrimSpace(host); host == "" {
			return nil, "", fmt.Errorf("%q has an empty server", text)
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), "2181")
		}
		servers = append(servers, host)
	}
	return servers, chroot, nil
}

// isTerminal reports whether someone sits before the input.
func isTerminal(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// cliVersion is the version text in the manner of zkCli.
func cliVersion() string {
	b := readBuild()
	return zooKeeperVersion + "-" + b.commit + ", built on " + b.built()
}
