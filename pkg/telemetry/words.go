package telemetry

import (
	"fmt"
	"strings"
	"time"
)

// list names origins.
func list(names []string) string { return strings.Join(names, " or ") }

// after says how long after a moment another was.
func after(at, from time.Time) string {
	return fmt.Sprintf("%.2f s", at.Sub(from).Seconds())
}

// reason says why, and how many others there are in the same state.
func (p ProxyProof) reason(others int) string {
	if p.Reason == "" {
		return ""
	}
	if others == 0 {
		return p.Proxy + ": " + p.Reason
	}
	are := "are"
	if others == 1 {
		are = "is"
	}
	return fmt.Sprintf("%s: %s; %d more %s %s", p.Proxy, p.Reason, others, are, p.State)
}
