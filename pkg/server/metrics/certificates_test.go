package metrics_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/server/metrics"
)

type crowd struct{ source }

// Proxies are 300 in each of two fleets, in no order, and one that is lost.
func (crowd) Proxies(string) []*crossfadev1.Proxy {
	out := []*crossfadev1.Proxy{{Fleet: "a", Proxy: "lost", CertificateExpiry: &timestamppb.Timestamp{Seconds: 1}}}
	for i := range 300 {
		for _, fleet := range []string{"b", "a"} {
			out = append(out, &crossfadev1.Proxy{Fleet: fleet, Proxy: fmt.Sprint("p", i), Connected: true, CertificateExpiry: &timestamppb.Timestamp{Seconds: int64(1000 + i*7%300)}})
		}
	}
	return out
}

// TestCertificatesAreBounded: of each fleet the proxies are told whose certificates end first.
func TestCertificatesAreBounded(t *testing.T) {
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Observe(crowd{}, func() []metrics.Requests { return nil }, calls); err != nil {
		t.Fatal(err)
	}
	n, worst := map[string]int{}, 0
	for line := range strings.Lines(scrape(t, m)) {
		var fleet string
		var ends int
		if labels, ok := strings.CutPrefix(line, "crossfade_proxy_certificate_expiry_timestamp_seconds{fleet=\""); ok {
			fleet = labels[:1]
			if _, err := fmt.Sscan(labels[strings.Index(labels, "} ")+2:], &ends); err != nil {
				t.Fatal(err, line)
			}
			n[fleet]++
			worst = max(worst, ends)
		}
	}
	if n["a"] != 100 || n["b"] != 100 || worst != 1099 {
		t.Errorf("%v, the last one ends at %d", n, worst)
	}
}
