package report

import (
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
)

// commit is the short hash of HEAD, with "-dirty" if what is built differs from it: tracked files, reports aside (those of the benchmark before this one are
// among them), or new ones that Go builds.
func commit() string {
	head, err := exec.Command("git", "rev-parse", "--short=7", "HEAD").Output()
	if err != nil {
		return unknown
	}
	hash := strings.TrimSpace(string(head))
	changed, err := exec.Command("git", "status", "--porcelain", "-z", "--untracked-files=all", "--", ":/", ":(top,exclude)bench/results").Output()
	if err != nil || slices.ContainsFunc(strings.Split(string(changed), "\x00"), differs) {
		hash += dirty
	}
	return hash
}

// differs says of an entry of git status whether another program may be built for it.
func differs(entry string) bool {
	name, untracked := strings.CutPrefix(entry, "?? ")
	return entry != "" && (!untracked || path.Ext(name) == ".go" || path.Base(name) == "go.mod" || path.Base(name) == "go.sum")
}

// unknown is the commit of what was not measured in a clone of the repository, and the version of a module that is not in go.mod.
const unknown = "unknown"

// module is the version of a module by go.mod: it may be one of a program that is measured, and not of the benchmark.
func module(path string) string {
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", path).Output()
	if err != nil {
		return unknown
	}
	return strings.TrimSpace(string(version))
}

// machine describes where it ran.
func machine() map[string]any {
	m := map[string]any{"os": runtime.GOOS, "arch": runtime.GOARCH, "cores": runtime.NumCPU()}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m["kernel"] = strings.TrimSpace(string(b))
	}
	if v := field("/proc/cpuinfo", "model name"); v != "" {
		m["cpu"] = v
	}
	if kb, err := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m["memoryBytes"] = kb << 10
	}
	if one, ok := load(); ok {
		m["loadBefore"] = one
	}
	return m
}

// load is the load average of the last minute.
func load() (one float64, ok bool) {
	one, err := strconv.ParseFloat(usage.LoadAverage(), 64)
	return one, err == nil
}

// busy is what all processors together have done since they were started, in ticks.
type busy struct{ all, stolen float64 }

// busyNow is zero where the machine does not say it.
func busyNow() busy {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return busy{}
	}
	return busyOf(string(b))
}

// busyOf reads the first line of /proc/stat: "cpu", user, nice, system, idle, iowait, irq, softirq, steal, and guests, who are in the first two.
func busyOf(stat string) (out busy) {
	line, _, _ := strings.Cut(stat, "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return busy{}
	}
	for _, text := range f[1:9] {
		ticks, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return busy{}
		}
		out.all, out.stolen = out.all+ticks, ticks
	}
	return out
}

// stolenSince is the share of the processors' time that other guests of the host had, 0 to 1.
func (b busy) stolenSince(start busy) (share float64, ok bool) {
	if start.all == 0 || b.all <= start.all {
		return 0, false
	}
	return (b.stolen - start.stolen) / (b.all - start.all), true
}

// field is the value of the first line "key: value" of a file, "" without one.
func field(file, key string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
