package conf

import (
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// fallbackMemoryBytes stands for the machine's memory where it cannot be read.
const fallbackMemoryBytes = 2 << 30

// By default the tree has half of the memory this process may use: of the
// machine's, or of the tightest control group's. The other half is for connections,
// the log, Pebble's caches and the garbage collector; of it a quarter for answers
// that clients do not take.
const (
	budgetPart = 2
	unsentPart = 8
	unsentMin  = 128 << 20 // two of the longest answers
)

// memoryBytes is the machine's memory or the control group's limit, whichever
// is less. read is os.ReadFile, or a test's.
func memoryBytes(read func(string) ([]byte, error)) int64 {
	bytes := int64(fallbackMemoryBytes)
	if text, err := read("/proc/meminfo"); err == nil {
		if total := memTotal(string(text)); total > 0 {
			bytes = total
		}
	}
	if text, err := read("/proc/self/cgroup"); err == nil {
		for _, path := range limitFiles(string(text)) {
			if limit := limitIn(read, path); limit > 0 {
				bytes = min(bytes, limit)
			}
		}
	}
	return bytes
}

func memTotal(meminfo string) int64 {
	for _, line := range strings.Split(meminfo, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "MemTotal:" {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil || kib < 0 || kib > math.MaxInt64/1024 {
			return 0
		}
		return kib * 1024
	}
	return 0
}

// limitFiles lists the files that may hold a limit: of the process's group
// and of every group above it, in both versions of control groups. Inside a
// container the path of the group is often not visible, but its root is.
func limitFiles(cgroups string) []string {
	var files []string
	for _, line := range strings.Split(cgroups, "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, name := "", ""
		switch {
		case parts[0] == "0" && parts[1] == "":
			root, name = "/sys/fs/cgroup", "memory.max"
		case slices.Contains(strings.Split(parts[1], ","), "memory"):
			root, name = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for dir := filepath.Join("/", parts[2]); ; dir = filepath.Dir(dir) {
			files = append(files, filepath.Join(root, dir, name))
			if dir == "/" {
				break
			}
		}
	}
	return files
}

// limitIn reads a limit; 0 when there is none.
func limitIn(read func(string) ([]byte, error), path string) int64 {
	text, err := read(path)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || limit < 0 {
		return 0
	}
	return limit
}
