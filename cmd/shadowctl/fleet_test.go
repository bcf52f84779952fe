package main

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestFleetShowsWhenCertificatesEnd: the column is there where a proxy has one, and says how long all of its certificates hold.
func TestFleetShowsWhenCertificatesEnd(t *testing.T) {
	in := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(d)) }
	answers := canned(world())
	w := world()
	w["ListProxies"] = &crossfadev1.ListProxiesResponse{Items: []*crossfadev1.Proxy{
		{Proxy: "far", Fleet: "default", Connected: true, Version: "1.40.0", State: "ok", CertificateExpiry: in(90 * 24 * time.Hour)},
		{Proxy: "near", Fleet: "default", Connected: true, Version: "1.40.0", State: "ok", CertificateExpiry: in(30 * time.Hour), Detail: "a certificate that it shows ends in 30 h"},
		{Proxy: "over", Fleet: "default", Connected: true, Version: "1.40.0", State: "ok", CertificateExpiry: in(-time.Hour), Detail: "a certificate that it shows ended"},
		{Proxy: "none", Fleet: "default", Connected: true, Version: "1.40.0", State: "ok"},
	}}
	golden(t, "fleet-certificates", serve(t, &double{answer: canned(w)}).at(t, "fleet").out)
	if got := serve(t, &double{answer: answers}).at(t, "fleet").out; strings.Contains(got, "CERTIFICATES") {
		t.Errorf("without certificates:\n%s", got)
	}
	if got := serve(t, &double{answer: canned(w)}).at(t, "fleet", "-o", "json").out; !strings.Contains(got, `"certificateExpiry"`) {
		t.Error(got)
	}
}
