package main

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestSentences holds what a person reads after a rollback against one file, with every way in which it can end.
func TestSentences(t *testing.T) {
	tests := []struct {
		name string
		edit func(*crossfadev1.Change)
	}{
		{"proven", func(*crossfadev1.Change) {}},
		{"some silent", func(c *crossfadev1.Change) {
			c.Proof.State, c.Proof.OpenStreams = "silent", nil
			c.Proof.PerProxy = []*crossfadev1.ProxyProof{{Proxy: "edge-1", State: "proven"}, {Proxy: "edge-2", State: "silent"}}
		}},
		{"one stream", func(c *crossfadev1.Change) { c.Proof.OpenStreams = map[string]int64{"eks": 1, "gke": 0} }},
		{"silent", func(c *crossfadev1.Change) { c.Proof = &crossfadev1.Proof{State: "silent", ResolutionMs: 250} }},
		{"unknown: lost", func(c *crossfadev1.Change) {
			c.Fleet.Lost = []string{"edge-9"}
			c.Proof = &crossfadev1.Proof{State: "unknown", Reason: "edge-9 is not connected"}
		}},
		{"unknown: override", func(c *crossfadev1.Change) {
			c.Proof = &crossfadev1.Proof{State: "unknown", PerProxy: []*crossfadev1.ProxyProof{{Proxy: "edge-1", State: "proven"}, {Proxy: "edge-2", State: "unknown", Reason: "runtime keys are overridden by hand"}}}
		}},
		{"unknown: said once", func(c *crossfadev1.Change) {
			c.Proof = &crossfadev1.Proof{State: "unknown", Reason: "edge-2: sends no metrics", PerProxy: []*crossfadev1.ProxyProof{{Proxy: "edge-2", State: "unknown", Reason: "sends no metrics"}}}
		}},
		{"unknown: many alike, many different", func(c *crossfadev1.Change) {
			c.Proof = &crossfadev1.Proof{State: "unknown", Reason: "a-1: pins are kept; 11 more are unknown"}
			for i := range 12 {
				name := fmt.Sprintf("-%d", i+1)
				c.Proof.PerProxy = append(c.Proof.PerProxy, &crossfadev1.ProxyProof{Proxy: "a" + name, State: "unknown", Reason: "pins are kept"},
					&crossfadev1.ProxyProof{Proxy: "b" + name, State: "pending", Reason: fmt.Sprintf("requests may have picked eks until %d.50 s after the call", i)})
			}
		}},
		{"a step to nothing, proof not waited for", func(c *crossfadev1.Change) {
			c.Action, c.Proof = "split set", &crossfadev1.Proof{
				State: "pending", Reason: "edge-1: no report yet",
				PerProxy: []*crossfadev1.ProxyProof{{Proxy: "edge-1", State: "pending", Reason: "no report yet"}},
			}
		}},
		{"unknown: pins kept", func(c *crossfadev1.Change) { c.Proof = &crossfadev1.Proof{State: "unknown", Reason: "pins kept"} }},
		{"pending", func(c *crossfadev1.Change) {
			c.Fleet.Acked, c.Fleet.Pending = 5, []string{"a-1", "a-2", "a-3", "a-4", "a-5", "a-6", "a-7"}
			c.Proof = &crossfadev1.Proof{State: "pending", Reason: "7 proxies have not acknowledged"}
		}},
		{"nobody acknowledged", func(c *crossfadev1.Change) {
			c.Fleet.Acked, c.Fleet.Pending, c.Proof = 0, []string{"edge-1"}, nil
		}},
		{"refused", func(c *crossfadev1.Change) {
			c.Fleet.Acked = 11
			c.Fleet.Refused = []*crossfadev1.Refusal{{Proxy: "edge-2", Type: "Listener", Message: "cannot bind '0.0.0.0:10000'"}}
		}},
		{"not recorded", func(c *crossfadev1.Change) {
			c.Recorded, c.Revision, c.Warnings = false, 0, []string{"the store is not reachable: no space left on device"}
		}},
		{"proof not asked for", func(c *crossfadev1.Change) { c.Proof = nil }},
		{"as it is live", func(c *crossfadev1.Change) { c.Action, c.Proof = "none", nil }},
		{"already back", func(c *crossfadev1.Change) { c.Revision, c.Proof.OpenStreams = 0, nil }},
		{"no proxy", func(c *crossfadev1.Change) {
			c.Fleet, c.Proof = &crossfadev1.FleetState{Name: "default"}, &crossfadev1.Proof{State: "unknown", Reason: "no proxy is connected"}
			c.Warnings = []string{"no proxy of fleet default is connected: nothing serves orders yet"}
		}},
		{"only lost proxies", func(c *crossfadev1.Change) {
			c.Fleet, c.Proof = &crossfadev1.FleetState{Name: "default", Lost: []string{"edge-1", "edge-2"}}, nil
		}},
		{"three origins", func(c *crossfadev1.Change) { c.Split = map[string]int32{"ecs": 10000, "eks": 0, "gke": 0} }},
		{"a step", func(c *crossfadev1.Change) {
			c.Action, c.Split, c.Proof.OpenStreams = "split set", map[string]int32{"ecs": 8750, "eks": 1250}, nil
		}},
		{"not waited for", func(c *crossfadev1.Change) { c.Action, c.Fleet, c.Proof = "split set", nil, nil }},
		{"nothing to change", func(c *crossfadev1.Change) {
			c.Action, c.Revision, c.Recorded, c.Proof = "apply", 0, false, nil
		}},
		{"deleted", func(c *crossfadev1.Change) { c.Action, c.Split, c.Proof = "delete", nil, nil }},
		{"several fleets", func(c *crossfadev1.Change) { c.Fleets, c.Fleet.Name = twoFleets(c), "eu,us" }},
		{"several fleets, one rolled back", func(c *crossfadev1.Change) {
			c.Action, c.Split, c.Proof = "pin add", map[string]int32{"ecs": 5000, "eks": 5000}, nil
			c.Fleets, c.Fleet.Name = twoFleets(c), "eu,us"
			c.Fleets[1].Split, c.Fleets[1].Proof = c.Split, nil
			c.Warnings = []string{"rolled back in eu: whatever the split, the primary has everything there until `shadowctl split set` or `undo`"}
		}},
		{"several fleets, without proxies", func(c *crossfadev1.Change) {
			c.Fleet, c.Proof = &crossfadev1.FleetState{Name: "eu,us"}, nil
			c.Fleets = []*crossfadev1.FleetChange{{Name: "eu", Split: c.Split, Fleet: &crossfadev1.FleetState{Name: "eu"}}, {Name: "us", Split: c.Split, Fleet: &crossfadev1.FleetState{Name: "us"}}}
		}},
		{"undone", func(c *crossfadev1.Change) {
			c.Action, c.Proof, c.UndoneBy = "apply", nil, 43
			c.Fleet.Acked, c.Fleet.Refused = 11, []*crossfadev1.Refusal{{Proxy: "edge-2", Type: "Listener", Message: "cannot bind '0.0.0.0:10000'"}}
		}},
		{"fleet", func(c *crossfadev1.Change) {
			c.Action, c.Kind, c.Service, c.Split, c.Proof = "apply", "Fleet", "edge", nil, nil
		}},
	}
	var out strings.Builder
	for _, tt := range tests {
		c := proto.CloneOf(rolledBack())
		tt.edit(c)
		a := &app{out: &out}
		fmt.Fprintf(&out, "# %s\n", tt.name)
		a.sayChange(c, "")
	}
	golden(t, "sentences", out.String())
}

// twoFleets is a rollback in two fleets: one proven, one without traffic.
func twoFleets(c *crossfadev1.Change) []*crossfadev1.FleetChange {
	back := map[string]int32{"ecs": 10000, "eks": 0}
	return []*crossfadev1.FleetChange{
		{
			Name: "eu", Split: back, Fleet: &crossfadev1.FleetState{Name: "eu", Connected: 7, Acked: 7, AckMs: 4},
			Proof: &crossfadev1.Proof{State: "proven", SinceMs: 200, ResolutionMs: 250, OpenStreams: map[string]int64{"eks": 3}},
		},
		{Name: "us", Split: back, Fleet: &crossfadev1.FleetState{Name: "us", Connected: 5, Acked: 5, AckMs: c.GetFleet().GetAckMs()}, Proof: &crossfadev1.Proof{State: "silent"}},
	}
}

// Of a service of several fleets, the table says in which it is rolled back.
func TestServicesOfSeveralFleets(t *testing.T) {
	s := ordersStatus()
	s.Fleet, s.Fleets, s.RolledBackIn = "", []string{"eu", "us"}, []string{"eu"}
	if got := stateRemarks(s).text; !strings.HasSuffix(got, "; rolled back in eu, so the primary has everything there") {
		t.Error(got)
	}
	spread := ordersDocument(9000).GetService()
	spread.Fleet, spread.Fleets = "", s.GetFleets()
	back := policy.RolledBackIn(spread, "eu", false)
	for want, r := range map[string][2]*crossfadev1.Service{"rolled back in eu": {spread, back}, "no longer rolled back in eu": {back, spread}} {
		doc := func(s *crossfadev1.Service) *crossfadev1.Document {
			return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: s}}
		}
		if got := revisionChange(&crossfadev1.Revision{Before: doc(r[0]), After: doc(r[1])}); got != want {
			t.Errorf("history: %q, want %q", got, want)
		}
	}
	d := serve(t, &double{answer: canned(map[string]proto.Message{"List": &crossfadev1.ListResponse{Items: []*crossfadev1.ServiceStatus{s, paymentsStatus()}}})})
	if r := d.at(t, "__completeNoDesc", "rollback", "orders", "--fleet", ""); !strings.HasPrefix(r.out, "edge\neu\nus\n") {
		t.Errorf("completion of --fleet: %q", r.out)
	}
}

// TestTheMissionsSentence: the one that the on-call engineer was promised, word for word.
func TestTheMissionsSentence(t *testing.T) {
	var out strings.Builder
	(&app{out: &out}).sayChange(rolledBack(), "")
	const want = "orders: 100% ecs. 12/12 proxies acknowledged in 9 ms; no new request to eks since +0.2 s (resolution 0.25 s); 3 streams still open on eks. Revision 42, recorded.\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
}

func TestNumbers(t *testing.T) {
	for in, want := range map[float64]string{0: "0 ms", 0.42: "0.4 ms", 3: "3 ms", 9.96: "10 ms", 31.2: "31 ms", 999.4: "999 ms", 1240: "1.24 s"} {
		if got := milliseconds(in); got != want {
			t.Errorf("milliseconds(%v) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0: "0 s", 200: "0.2 s", 250: "0.25 s", 1000: "1 s", 12346: "12.35 s", 4: "0.004 s"} {
		if got := seconds(in); got != want {
			t.Errorf("seconds(%v) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0: "0", 0.34: "0.3", 9.9: "9.9", 12.6: "13", 1204.4: "1,204", 1234567: "1,234,567"} {
		if got := rate(in); got != want {
			t.Errorf("rate(%v) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0: "0%", 0.00001: "<0.01%", 0.0123: "1.23%", 1: "100%"} {
		if got := share(in); got != want {
			t.Errorf("share(%v) = %q, want %q", in, got, want)
		}
	}
}
