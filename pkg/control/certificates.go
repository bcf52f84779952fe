package control

import (
	"fmt"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// certificateWarning is how long before the end of a certificate its proxy is shown with a warning.
const certificateWarning = 14 * 24 * time.Hour

// certificates says when the first certificate of a proxy ends, with a warning where that is soon. The state stays: the proxy serves what it should.
func (c *Controller) certificates(p *crossfadev1.Proxy) {
	if c.telemetry == nil {
		return
	}
	ends := c.telemetry.CertificateExpiry(p.GetFleet(), p.GetProxy())
	if ends.IsZero() {
		return
	}
	p.CertificateExpiry = stamp(ends)
	warning := expiryWarning(ends, c.now())
	switch {
	case warning == "":
	case p.GetDetail() == "":
		p.Detail = warning
	default:
		p.Detail += "; " + warning
	}
}

// expiryWarning says that a certificate ends soon or has ended; empty if it holds for long.
func expiryWarning(ends, now time.Time) string {
	const next = ": put a new one in its place, it is read by itself"
	switch left := ends.Sub(now); {
	case left >= certificateWarning:
		return ""
	case left < 0:
		return "a certificate that it shows ended on " + ends.Format(time.RFC3339) + next
	case left < 48*time.Hour:
		return fmt.Sprintf("a certificate that it shows ends in %d h%s", int(left.Hours()), next)
	default:
		return fmt.Sprintf("a certificate that it shows ends in %d days%s", int(left.Hours()/24), next)
	}
}
