// Package stats reads what the guest knows about itself.
package stats

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Stats is the result of a `stats` stream.
type Stats struct {
	UptimeS         float64 `json:"uptime_s"`
	MemTotalKiB     uint64  `json:"mem_total_kib"`
	MemAvailableKiB uint64  `json:"mem_available_kib"`
	DiskTotalBytes  uint64  `json:"disk_total_bytes"`
	DiskFreeBytes   uint64  `json:"disk_free_bytes"`
	Load1m          float64 `json:"load_1m"`
	Processes       int     `json:"processes"`
}

// Read returns the present figures; what can't be read is zero.
func Read() Stats {
	s := Stats{
		UptimeS:         first("/proc/uptime"),
		Load1m:          first("/proc/loadavg"),
		MemTotalKiB:     memory("MemTotal:"),
		MemAvailableKiB: memory("MemAvailable:"),
	}
	var disk syscall.Statfs_t
	if syscall.Statfs("/", &disk) == nil {
		s.DiskTotalBytes = disk.Blocks * uint64(disk.Bsize)
		s.DiskFreeBytes = disk.Bavail * uint64(disk.Bsize)
	}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err == nil {
			s.Processes++
		}
	}
	return s
}

func first(path string) float64 {
	text, _ := os.ReadFile(path)
	word, _, _ := strings.Cut(string(text), " ")
	value, _ := strconv.ParseFloat(word, 64)
	return value
}

func memory(name string) uint64 {
	text, _ := os.ReadFile("/proc/meminfo")
	for _, line := range strings.Split(string(text), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			value, _ := strconv.ParseUint(fields[1], 10, 64)
			return value
		}
	}
	return 0
}
