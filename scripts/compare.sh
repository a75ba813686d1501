#!/bin/sh
# Measures Quorate against Debian's ZooKeeper on this machine and prints the
# table of targets and figures as Markdown. Flags: see -help. A full run takes
# about half an hour and 4 GB of disk.
set -eu
cd "$(dirname "$0")/.."
exec go run ./internal/bench/compare "$@"
