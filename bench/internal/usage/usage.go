// Package usage reads what a process has used, for benchmarks. What the system does not say is 0.
package usage

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// CPU is the CPU time of a process in seconds, its own and the kernel's for it.
func CPU(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	const ticks = 100 // per second, on every Linux that Go runs on
	user, _ := strconv.ParseFloat(fields[11], 64)
	kernel, _ := strconv.ParseFloat(fields[12], 64)
	return (user + kernel) / ticks
}

// Memory is a size that the kernel knows of a process, in bytes: VmRSS, or VmHWM for its peak.
func Memory(pid int, name string) float64 { return bytesOf(fmt.Sprintf("/proc/%d/status", pid), name) }

// Free is the memory that the machine has left, in bytes.
func Free() float64 { return bytesOf("/proc/meminfo", "MemAvailable") }

// bytesOf is the size in a line "name: … kB" of a file, in bytes.
func bytesOf(file, name string) float64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kb, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kb * 1024
		}
	}
	return 0
}

// LoadAverage is that of the last minute, others' work included, as the kernel writes it; "unknown" where it does not.
func LoadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}

// Threads is the CPU time of all threads that a process has now, in seconds, to the nanosecond.
func Threads(pid int) (sum float64) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // the pattern is a good one
	for _, name := range threads {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it ended
		}
		ran, _, _ := strings.Cut(string(b), " ")
		nanoseconds, _ := strconv.ParseFloat(ran, 64)
		sum += nanoseconds / 1e9
	}
	return sum
}
