package metrics

import (
	"cmp"
	"context"
	"slices"

	"go.opentelemetry.io/otel/metric"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// maxExpiring bounds the proxies of a fleet whose certificates are told: those whose first one ends soonest.
const maxExpiring = 100

// observeCertificates tells when certificates of proxies end.
func (m *Metrics) observeCertificates(source Source) error {
	ends, err := m.meter.Int64ObservableGauge("proxy_certificate_expiry_timestamp_seconds",
		metric.WithDescription("When the first certificate ends that a connected proxy shows to clients, origins or the control plane, in Unix seconds; of each fleet the 100 that end first."))
	if err != nil {
		return err
	}
	_, err = m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, p := range soonest(source.Proxies("")) {
			o.ObserveInt64(ends, p.GetCertificateExpiry().GetSeconds(), labels("fleet", p.GetFleet(), "proxy", p.GetProxy()))
		}
		return nil
	}, ends)
	return err
}

// soonest are the connected proxies of each fleet whose certificates end first.
func soonest(proxies []*crossfadev1.Proxy) []*crossfadev1.Proxy {
	proxies = slices.DeleteFunc(proxies, func(p *crossfadev1.Proxy) bool { return !p.GetConnected() || p.GetCertificateExpiry() == nil })
	slices.SortFunc(proxies, func(a, b *crossfadev1.Proxy) int {
		return cmp.Or(cmp.Compare(a.GetFleet(), b.GetFleet()), cmp.Compare(a.GetCertificateExpiry().GetSeconds(), b.GetCertificateExpiry().GetSeconds()), cmp.Compare(a.GetProxy(), b.GetProxy()))
	})
	told := map[string]int{}
	return slices.DeleteFunc(proxies, func(p *crossfadev1.Proxy) bool {
		told[p.GetFleet()]++
		return told[p.GetFleet()] > maxExpiring
	})
}
