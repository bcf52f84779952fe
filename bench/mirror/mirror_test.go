package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func TestInSecondFindsTheBusiestSecond(t *testing.T) {
	ms := func(all ...int) (out []time.Duration) {
		for _, n := range all {
			out = append(out, time.Duration(n)*time.Millisecond)
		}
		return out
	}
	if got := inSecond(ms(2600, 0, 900, 1000, 1899, 1900)); !slices.Equal(got, []float64{2, 3, 3, 3, 2, 1}) {
		t.Error(got)
	}
}

func TestAuditFindsWhatDoesNotFit(t *testing.T) {
	fits := func() audit {
		return audit{live: 110, sent: 105, candidate: 100, control: 100, report: &crossfadev1.MirrorReport{
			Mirrored: 105, Compared: 97, Unrepresentative: 2, TargetFailed: 1, Dropped: map[string]int64{"cap": 4, "late": 1},
		}}
	}
	if got := fits().errors(); len(got) > 0 {
		t.Error(got)
	}
	for want, change := range map[string]func(*audit){
		"105 came, 106 are accounted for":              func(a *audit) { a.report.Answered = 1 },
		"105 came, of 104 requests":                    func(a *audit) { a.live = 104 },
		"proxies sent 106":                             func(a *audit) { a.sent = 106 },
		"eks was asked 99 times for 100 to 101 pairs":  func(a *audit) { a.candidate = 99 },
		"ecs was asked 102 times for 100 to 101 pairs": func(a *audit) { a.control = 102 },
		"104 came, 105 are accounted for":              func(a *audit) { a.report.Mirrored = 104 },
	} {
		a := fits()
		change(&a)
		if got := a.errors(); len(got) == 0 || !strings.Contains(strings.Join(got, "; "), want) {
			t.Errorf("%v, want %q", got, want)
		}
	}
}
