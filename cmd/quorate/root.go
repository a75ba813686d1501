package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit codes of the program. Supervisors and start scripts of ZooKeeper look
// at these numbers, so they are ZooKeeper's. A command may choose others
// through exitCoder.
const (
	exitOK      = 0
	exitFailure = 1 // the command was understood and did not succeed
	exitUsage   = 2 // bad invocation or invalid configuration
)

// exitCoder is what an error implements to choose the exit code; every other
// error means exitFailure. conf.Error, for one, answers 2.
type exitCoder interface {
	error
	ExitCode() int
}

// newRootCmd assembles the command tree. Each subcommand lives in its own
// file and has a constructor newXxxCmd() *cobra.Command; add it here.
func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "quorate",
		Short: "A coordination service for every ZooKeeper client",
		Long: "Quorate is a coordination service in one binary. It speaks ZooKeeper's client\n" +
			"protocol, so every existing client works with it unmodified.",
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(newServerCmd(), newCLICmd(), newBenchCmd(), newExportCmd(), newCheckCmd(), newVersionCmd())
	return root
}

// run executes one command line and returns the exit code. What a command
// prints goes to stdout, what went wrong to stderr, each line once.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return execute(newRootCmd(), args, stdin, stdout, stderr)
}

func execute(root *cobra.Command, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// Everything cobra refuses by itself (unknown command or flag, wrong
	// number of arguments) is refused before the hook runs: that is how a
	// usage error is told from a failure of the command.
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(stderr, "quorate: %s\n", text)
	}
	if !started {
		fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitCodeOf(err)
}

// exitCodeOf maps an error to the exit code of the process.
func exitCodeOf(err error) int {
	var coder exitCoder
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coder):
		return coder.ExitCode()
	default:
		return exitFailure
	}
}
