package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/deploys"
)

// testLab has the flags of a full run, and nothing that runs.
func testLab(t *testing.T) *lab {
	t.Helper()
	o, err := parse([]string{"-full"})
	if err != nil {
		t.Fatal(err)
	}
	return &lab{options: o}
}

// TestDeploysMustArriveOnce: of good applications ours may fail nothing, lose nothing and bring nothing twice; peers and others have no aim.
func TestDeploysMustArriveOnce(t *testing.T) {
	l := testLab(t)
	good, bad := cases()[0], cases()[2]
	full := sum{done: 1000, offered: 500, achieved: 499}
	failing, slow := full, full
	failing.failed, slow.achieved = 1, 480
	for name, c := range map[string]struct {
		system  string
		apps    apps
		sum     sum
		arrived uint64
		met     string
	}{
		"once":               {system, good, full, 1000, "true"},
		"one twice":          {system, good, full, 1001, "false"},
		"one elsewhere":      {system, good, full, 999, "false"},
		"one failed":         {system, good, failing, 999, "false"},
		"one failed, twice":  {system, good, failing, 1000, "false"},
		"rate not reached":   {system, good, slow, 1000, "false"},
		"bad applications":   {system, bad, full, 1000, ""},
		"a peer":             {peer, good, full, 1000, ""},
		"without retries":    {peerBare, good, full, 1000, ""},
		"a peer not reached": {peer, good, slow, 1000, ""},
	} {
		t.Run(name, func(t *testing.T) {
			line := l.deployLine(&asked{name: "eks-http1", origin: "eks", system: c.system}, c.apps, c.sum, c.arrived, "")
			met := ""
			if line.Met != nil {
				met = map[bool]string{true: "true", false: "false"}[*line.Met]
			}
			if met != c.met || line.N != 1000 || line.Failed != int(c.sum.failed) || (line.Invalid != "") != (c.sum.achieved < 485) {
				t.Errorf("met %q, want %q: %+v", met, c.met, line)
			}
			if (c.system == system) == strings.Contains(line.Note, "addresses up to 3s old") {
				t.Errorf("note %q", line.Note)
			}
		})
	}
}

// TestPeersDifferInOneThing: the first peer differs from ours in where addresses come from, the second one in retries besides.
func TestPeersDifferInOneThing(t *testing.T) {
	a := &app{name: "orders", namespace: "orders", pods: &deploys.Kubernetes{Workload: &deploys.Workload{}}, tasks: &deploys.ECS{Workload: &deploys.Workload{}}}
	systems := map[string]int{}
	for _, s := range testLab(t).allAsked() {
		systems[s.system+" "+s.origin]++
		doc := s.document(a)
		if none := slices.Equal(doc.GetRetries().GetOn(), []string{"none"}); none != (s.system == peerBare) || !none && doc.GetRetries() != nil {
			t.Errorf("%s of %s has retries %v", s.name, s.system, doc.GetRetries())
		}
		for _, o := range doc.GetOrigins() {
			if follows := o.GetStatic() == nil; follows != (s.system == system) {
				t.Errorf("%s of %s: %s follows its source: %t", s.name, s.system, o.GetName(), follows)
			}
		}
	}
	for _, origin := range []string{"eks", "ecs"} {
		if systems[system+" "+origin] != 2 || systems[peer+" "+origin] != 1 || systems[peerBare+" "+origin] != 1 {
			t.Errorf("asked are %v", systems)
		}
	}
}

// TestFollowing: EKS has 150 ms, ECS as much from the end of a poll, which is up to a tenth longer than a second; and the load must have been there.
func TestFollowing(t *testing.T) {
	l := testLab(t)
	full := sum{done: 1000, offered: 500, achieved: 499}
	slow, failing := full, full
	slow.achieved, failing.failed = 480, 1
	const eksAim = "p99 <= 150 ms, 0 failed"
	const ecsAim = "p99 <= 1.25 s, 0 failed: 1.1 s until ECS was asked, 150 ms from then on"
	for name, c := range map[string]struct {
		origin  string
		wait    float64
		seconds float64
		sum     sum
		aim     string
		met     bool
	}{
		"eks":                   {"eks", 0, 0.15, full, eksAim, true},
		"eks, late":             {"eks", 0, 0.16, full, eksAim, false},
		"ecs":                   {"ecs", 1.1, 1.24, full, ecsAim, true},
		"ecs, late":             {"ecs", 1.1, 1.26, full, ecsAim, false},
		"ecs, one failed":       {"ecs", 1.1, 1, failing, ecsAim, false},
		"ecs, rate not reached": {"ecs", 1.1, 1, slow, ecsAim, false},
		"eks, rate not reached": {"eks", 0, 0.1, slow, eksAim, false},
	} {
		t.Run(name, func(t *testing.T) {
			samples := []float64{c.seconds}
			lines := l.followLines(c.origin, &followed{routed: samples, left: samples, proxies: samples, sum: c.sum}, c.wait)
			for _, line := range lines {
				if line.Metric == "routed_proxy" {
					if line.Aim != nil {
						t.Errorf("%+v", line)
					}
					continue
				}
				if *line.Aim != c.aim || *line.Met != c.met || !strings.HasPrefix(line.Measured, "p99 "+report.Amount(c.seconds, "s")) {
					t.Errorf("%s: aim %q, met %t by %q", line.Metric, *line.Aim, *line.Met, line.Measured)
				}
			}
			if len(lines) != 3 {
				t.Errorf("%d lines", len(lines))
			}
		})
	}
}

// TestRequestsUnderTooLittleLoad: what fails nothing says nothing either if too little was sent, or too late.
func TestRequestsUnderTooLittleLoad(t *testing.T) {
	for of, met := range map[[2]float64]bool{{97, 1}: true, {96.9, 1}: false, {97, 1.1}: false} {
		l := sum{done: 10, offered: 100, achieved: of[0], lateness: of[1]}.line(system, nil).AimNone()
		if *l.Met != met || (l.Invalid == "") != met {
			t.Errorf("%g of 100 per second, %g s late: met %t, invalid %q", of[0], of[1], *l.Met, l.Invalid)
		}
	}
}

// TestRollbacksUnderTooLittleLoad: a rollback under half of the load is not one under the load that the line says, even if the other half was there.
func TestRollbacksUnderTooLittleLoad(t *testing.T) {
	l := testLab(t)
	for achieved, valid := range map[float64]bool{500: true, 480: false} {
		line := l.rollbackLine("AWS down", []float64{0.01, 0.02}, sum{offered: 500, achieved: 500}, sum{offered: 500, achieved: achieved})
		if (line.Invalid == "") != valid || *line.OfferedRPS != 1000 || *line.AchievedRPS != 500+achieved || line.N != 2 || line.Failed != 0 {
			t.Errorf("%g of 500 per second: %+v", achieved, line)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"-ttl", "0s"}, {"-replicas", "0"}, {"-services", "901"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	if o, err := parse(nil); err != nil || o.ttl != 3*time.Second || o.times != 3 {
		t.Errorf("a short run is %+v, %v", o, err)
	}
}
