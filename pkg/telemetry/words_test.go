package telemetry

import "testing"

func TestReason(t *testing.T) {
	p := ProxyProof{Proxy: "p1", State: Pending, Reason: "has not acknowledged"}
	for others, want := range map[int]string{
		0: "p1: has not acknowledged", 1: "p1: has not acknowledged; 1 more is pending", 2: "p1: has not acknowledged; 2 more are pending",
	} {
		if got := p.reason(others); got != want {
			t.Errorf("%d others: %q, want %q", others, got, want)
		}
	}
	if got := (ProxyProof{Proxy: "p1"}).reason(3); got != "" {
		t.Errorf("without a reason: %q", got)
	}
}
