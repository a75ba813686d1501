#!/bin/sh
# Measures an ensemble of three Quorate servers against one of three of Debian's
# ZooKeeper on this machine and prints the table of targets and figures as
# Markdown. Flags: see -help. A full run takes about 20 minutes, 8 GB of disk
# and 8 GB of memory.
set -eu
cd "$(dirname "$0")/.."
exec go run ./integration/figures "$@"
