package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/quorate/quorate/conf"
	"github.com/quorate/quorate/internal/server"
)

// newExportCmd returns the command that writes a Java data directory.
func newExportCmd() *cobra.Command {
	var sets []string
	var inPlace bool
	cmd := &cobra.Command{
		Use:   "export [zoo.cfg] directory",
		Short: "Write the data of a stopped server as files that Java ZooKeeper starts from",
		Long: `Writes directory/version-2/snapshot.<zxid> and the epoch files: all znodes with
their Stats and ACLs, and all sessions. Give the directory to ZooKeeper as its
dataDir. The server that owns the data must be stopped.

With --in-place and no directory, the server's own directories become those of a
Java server: the snapshot is written beside log and epochs, and the tree at rest is
removed. This is how one member of an ensemble goes back to Java: nothing is lost
that it has acknowledged. A later start of Quorate there takes over from Java.`,
		Example: "  quorate export /etc/zookeeper/conf/zoo.cfg /var/lib/java\n  quorate export --in-place /etc/zookeeper/conf/zoo.cfg",
		Args: func(cmd *cobra.Command, args []string) error {
			if inPlace {
				return cobra.MaximumNArgs(1)(cmd, args)
			}
			return cobra.RangeArgs(1, 2)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := runExport(args, sets, inPlace)
			if err != nil {
				return err
			}
			for _, f := range r.Files {
				fmt.Fprintln(cmd.OutOrStdout(), f)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "quorate: exported %d znodes and %d sessions as of zxid 0x%x\n",
				r.Znodes, r.Sessions, r.Zxid)
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&sets, "set", nil, "set a configuration key: `key=value`; may be repeated")
	cmd.Flags().BoolVar(&inPlace, "in-place", false, "turn the server's own directories into those of a Java server")
	return cmd
}

func runExport(args, sets []string, inPlace bool) (server.Report, error) {
	file, out := args, ""
	if !inPlace {
		file, out = args[:len(args)-1], args[len(args)-1]
	}
	cfg, err := offlineConfig(file, sets)
	if err != nil {
		return server.Report{}, err
	}
	if inPlace {
		return server.ExportInPlace(cfg)
	}
	return server.Export(cfg, out)
}

// newCheckCmd returns the command that verifies a data directory.
func newCheckCmd() *cobra.Command {
	var sets []string
	cmd := &cobra.Command{
		Use:   "check [zoo.cfg]",
		Short: "Read and verify the data of a stopped server",
		Long: `Opens the data as a start would, replays the log, reads every znode and compares
count and digest with what the checkpoint says.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := offlineConfig(args, sets)
			if err != nil {
				return err
			}
			r, err := server.Check(cfg)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(),
				"quorate: sound: %d znodes, %d sessions, zxid 0x%x, digest %d, %d transactions replayed\n",
				r.Znodes, r.Sessions, r.Zxid, r.Digest, r.Replayed)
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&sets, "set", nil, "set a configuration key: `key=value`; may be repeated")
	return cmd
}

// offlineConfig loads the configuration of a command that works on the data of
// a stopped server.
func offlineConfig(args, sets []string) (server.Config, error) {
	path := ""
	if len(args) > 0 {
		path = args[0]
	}
	cfg, _, err := conf.Load(path, os.Environ(), sets)
	if err != nil {
		return server.Config{}, err
	}
	return serverConfig(cfg, zap.NewNop()), nil
}
