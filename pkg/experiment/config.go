package experiment

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Config is what a desk works with. All of it is optional.
type Config struct {
	// Dir is where what was counted and the keys of hashes are kept over a restart, a file each for each run; empty: nowhere.
	Dir string
	// Token is the secret by which comparators are known: whoever knows it gets copies, identities and the keys of hashes. Empty: none is needed.
	Token string
	// Secure says that copies travel by TLS: comparators may be anywhere.
	Secure bool
	Log    *slog.Logger
	Now    func() time.Time
	// End is called when a run has to end, why is one of MirrorRun's and detail is for people; and again every 5 s until Set says that it has
	// ended. Nobody is asked meanwhile.
	End func(mirror, run, why, detail string)
	// Comparators is called with the addresses of those at work, sorted, whenever these have changed; one call at a time.
	Comparators func([]netip.AddrPort)
	// Proxies are those that are connected and have an experiment listener: its address by node.id. The map is not changed afterwards.
	Proxies func() map[string]string
	// Traffic is what a service gets live.
	Traffic func(service string) Traffic
	// Identities are the test identities of the settings, by name.
	Identities map[string]Identity
	// Lease is for how long orders hold; 0: 60 s.
	Lease time.Duration
	// Retention is for how long the report of a run that has ended is kept; 0: 30 days.
	Retention time.Duration
	// MaxRPS bounds the copies per second of all experiments of a fleet together; 0: nothing does.
	MaxRPS float64
}

// Traffic is what a service gets live.
type Traffic struct {
	RPS     map[string]float64 // by origin, over the last 10 s
	Classes [6]uint64          // answers by hundreds of their status, of all origins, since the start of this process
}

// Identity is a test identity that copies get in place of credentials. It prints without its value.
type Identity struct {
	Header string
	Value  string // a secret
}

// Format prints the name of the header.
func (i Identity) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "identity in %s", i.Header) }

// LogValue logs the name of the header.
func (i Identity) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(i)) }

// MarshalText writes the name of the header.
func (i Identity) MarshalText() ([]byte, error) { return fmt.Append(nil, i), nil }

// Mirror is an experiment as it is now, running or ended.
type Mirror struct {
	Doc    *crossfadev1.Mirror // not changed afterwards
	Policy *policy.Mirror      // the same, resolved against its service, if that exists
	Fleets []string            // of the service
	// Revision is the last one of the document.
	Revision int64
}

const (
	defaultLease     = time.Minute
	defaultRetention = 30 * 24 * time.Hour
)

func (c *Config) fill() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.End == nil {
		c.End = func(string, string, string, string) {}
	}
	if c.Comparators == nil {
		c.Comparators = func([]netip.AddrPort) {}
	}
	if c.Proxies == nil {
		c.Proxies = func() map[string]string { return nil }
	}
	if c.Traffic == nil {
		c.Traffic = func(string) Traffic { return Traffic{} }
	}
	if c.Lease <= 0 {
		c.Lease = defaultLease
	}
	if c.Retention <= 0 {
		c.Retention = defaultRetention
	}
}
