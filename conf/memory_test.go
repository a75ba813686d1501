package conf

import (
	"io/fs"
	"testing"
)

func TestMemoryIsTheTightestLimit(t *testing.T) {
	const meminfo = "MemTotal:       1000 kB\nMemFree: 10 kB\n"
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"nothing readable", nil, fallbackMemoryBytes},
		{"machine only", map[string]string{"/proc/meminfo": meminfo}, 1000 << 10},
		{"nonsense", map[string]string{"/proc/meminfo": "MemTotal: -1 kB", "/proc/self/cgroup": "x\n0::"}, fallbackMemoryBytes},
		{"version 2, limit above the own group", map[string]string{
			"/proc/meminfo":                 meminfo,
			"/proc/self/cgroup":             "0::/a/b\n",
			"/sys/fs/cgroup/a/b/memory.max": "max\n",
			"/sys/fs/cgroup/a/memory.max":   "5000\n",
		}, 5000},
		{"version 1 in a container", map[string]string{
			"/proc/meminfo":     meminfo,
			"/proc/self/cgroup": "9:cpu,cpuacct:/\n4:memory:/docker/x\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "6000\n",
		}, 6000},
		{"version 1 without a limit", map[string]string{
			"/proc/meminfo":     meminfo,
			"/proc/self/cgroup": "4:memory:/\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 1000 << 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := memoryBytes(func(path string) ([]byte, error) {
				if text, ok := tc.files[path]; ok {
					return []byte(text), nil
				}
				return nil, fs.ErrNotExist
			})
			if got != tc.want {
				t.Errorf("%d bytes, want %d", got, tc.want)
			}
		})
	}
}
