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
	cmd := &cobra.Command{
		Use:   "export [zoo.cfg] directory",
		Short: "Write the data of a stopped server as files that Java ZooKeeper starts from",
		Long: `Writes directory/version-2/snapshot.<zxid> and the epoch files: all znodes with
their Stats and ACLs, and all sessions. Give the directory to ZooKeeper as its
dataDir. The server that owns the data must be stopped.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := offlineConfig(args[:len(args)-1], sets)
			if err != nil {
				return err
			}
			out := args[len(args)-1]
			r, err := server.Export(cfg, out)
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
	return cmd
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
