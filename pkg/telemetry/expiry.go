package telemetry

import "time"

// expires takes the end of a certificate, in Unix seconds. Envoy says 0 of one that is not there yet.
func (f *flush) expires(at int64) {
	if at > 0 && (f.expiry == 0 || at < f.expiry) {
		f.expiry = at
	}
}

// expires takes the first end that a flush says; more says that the flush is more of the one before.
func (p *proxy) expires(fl *flush, more bool) {
	if more && (fl.expiry == 0 || p.expiry > 0 && p.expiry < fl.expiry) {
		return
	}
	p.expiry = fl.expiry
}

// CertificateExpiry says when the first of the certificates ends that a proxy shows to clients, to origins and to the control plane, by its last
// report; zero if it has said none.
func (t *Telemetry) CertificateExpiry(fleetName, proxy string) time.Time {
	t.mu.Lock()
	f := t.fleets[fleetName]
	t.mu.Unlock()
	if f == nil {
		return time.Time{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.proxies[proxy]; p != nil && p.expiry > 0 {
		return time.Unix(p.expiry, 0).UTC()
	}
	return time.Time{}
}
