package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func (p *problems) healthCheck(field string, d *crossfadev1.HealthCheck) *HealthCheck {
	if d == nil {
		return nil
	}
	p.healthPath(field+".path", d.GetPath())
	p.healthHost(field+".host", d.GetHost())
	h := &HealthCheck{
		Path:     d.GetPath(),
		Host:     strings.ToLower(d.GetHost()),
		Interval: p.duration(field+".interval", d.GetInterval(), durationRule{def: 10 * time.Second, min: MinHealthInterval}),
	}
	h.Timeout = p.duration(field+".timeout", d.GetTimeout(), durationRule{def: min(5*time.Second, h.Interval), min: time.Millisecond})
	if h.Timeout > h.Interval {
		p.add(field+".timeout", "timeout_above_interval", h.Timeout.String(), fmt.Sprintf("one check may take at most as long as the interval, %s", h.Interval), "lower the timeout or raise the interval")
	}
	h.UnhealthyThreshold = p.number(field+".unhealthyThreshold", d.GetUnhealthyThreshold(), 2, 1, MaxThreshold)
	h.HealthyThreshold = p.number(field+".healthyThreshold", d.GetHealthyThreshold(), 2, 1, MaxThreshold)
	h.ExpectedStatuses = p.statuses(field+".expectedStatuses", d.GetExpectedStatuses())
	return h
}

func (p *problems) healthPath(field, path string) {
	bare, query, _ := strings.Cut(path, "?")
	switch {
	case path == "":
		p.add(field, "health_path", "", "the path to ask is needed", `write for example "/healthz"`)
	case len(path) > MaxPrefixBytes:
		p.add(field, "too_long", path, fmt.Sprintf("has %d bytes; at most %d are allowed", len(path), MaxPrefixBytes), "")
	case path[0] != '/' || !isPath(strings.ReplaceAll(bare, "*", "")) || !isPath(strings.ReplaceAll(query, "?", "")):
		p.add(field, "health_path", path, `must be a path that begins with "/", without spaces or a fragment, other bytes percent-encoded`, `write for example "/healthz"`)
	}
}

// healthHost accepts what a client could send as Host: a name or an address, with or without a port.
func (p *problems) healthHost(field, host string) {
	if host == "" {
		return
	}
	name := host
	if before, port, ok := cutLast(host, ":"); ok && isDigits(port) && !strings.HasSuffix(host, "]") {
		name = before
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			p.add(field, "port_range", host, "a port is 1 to 65535", "")
			return
		}
	}
	if canonical, wrong := canonicalHost(name); wrong != nil || strings.HasPrefix(canonical, "*") {
		p.add(field, "host_invalid", host, "must be a host name or IP address, with or without a port (IPv6 in brackets)", "leave it out for the first host of the service")
	}
}

func (p *problems) statuses(field string, written []string) []StatusRange {
	if len(written) == 0 {
		return []StatusRange{{200, 200}}
	}
	if p.count(field, len(written), MaxStatusRanges, "ranges of status codes") {
		return nil
	}
	var out []StatusRange
	for i, w := range written {
		r, ok := parseStatusRange(w)
		if !ok {
			p.add(at(field, i), "status_invalid", w, `must be a status code of 100 to 599 ("200") or a range of them, the lower one first ("200-399")`, "")
			continue
		}
		out = append(out, r)
	}
	return out
}

func parseStatusRange(s string) (StatusRange, bool) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	a, okA := parseStatus(from)
	b, okB := parseStatus(to)
	return StatusRange{a, b}, okA && okB && a <= b
}

func parseStatus(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && len(s) == 3 && n >= 100 && n <= 599
}
