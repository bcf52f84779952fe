package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// send sends requests to origins directly, and returns what the client knows of them.
func send(t *testing.T, o *origin.Origin, names ...string) []sent {
	t.Helper()
	results := make(chan loadgen.Result, len(names))
	_, err := loadgen.Do(t.Context(), loadgen.Config{
		Target: o.Addr(), Rate: 1000, Count: uint64(len(names)), Connections: 2,
		OnResult: func(r loadgen.Result) { results <- r },
		Make:     func(i uint64) loadgen.Request { return loadgen.Request{Host: host, Path: names[i]} },
	})
	if err != nil {
		t.Fatal(err)
	}
	close(results)
	var out []sent
	for r := range results {
		out = append(out, sent{names[r.Index], r})
	}
	return out
}

// What the logs of the origins say wins over what the client believes.
func TestLook(t *testing.T) {
	var origins []*origin.Origin
	for _, name := range []string{"ecs", "eks"} {
		origins = append(origins, envoytest.Origin(t, name))
	}
	requests := slices.Concat(send(t, origins[0], "/fine/1", "/fine/2", "/twice", "/elsewhere"), send(t, origins[1], "/fine/3"))
	send(t, origins[1], "/twice")
	for i := range requests {
		if requests[i].name == "/elsewhere" {
			requests[i].Origin = "eks"
		}
	}
	requests = append(requests,
		sent{"/invented", loadgen.Result{Status: 200, Origin: "ecs"}},
		sent{"/lost", loadgen.Result{Err: errors.New("connection reset")}}, // failed, and in no log: that is no contradiction
		sent{"/proxy", loadgen.Result{Status: 503}},
		sent{"/broken", loadgen.Result{Status: 503, Origin: "eks"}},
	)
	v := look(requests, origins)
	slices.Sort(v.stray)
	if got := strings.Join(v.stray, " "); got != "/broken /elsewhere /invented /twice" {
		t.Errorf("stray: %s", got)
	}
	if v.requests != 9 || v.failed != 2 {
		t.Errorf("%d requests, %d failed", v.requests, v.failed)
	}
	got := ""
	for _, o := range v.origins {
		got += fmt.Sprintf("%s answered %d, errors %d, logged %d. ", o.name, o.answered, o.errors, o.logged)
	}
	if got != "ecs answered 4, errors 0, logged 4. eks answered 3, errors 1, logged 2. " {
		t.Error(got)
	}
}

func TestP99(t *testing.T) {
	for _, c := range []struct{ n, want int }{{0, 0}, {1, 1}, {99, 99}, {100, 99}, {101, 100}, {200, 198}, {1000, 990}} {
		all := make([]int64, c.n)
		for i := range all {
			all[i] = int64(c.n - i)
		}
		if got := p99(durations(all)); int(got) != c.want {
			t.Errorf("of %d: %d, want %d", c.n, got, c.want)
		}
	}
}
