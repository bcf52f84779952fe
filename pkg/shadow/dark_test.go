package shadow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

// fillDark counts 30 answers of the candidate, 3 that it did not give, and 2 copies that nobody was asked.
func fillDark(tally *Tally) {
	for i := range 30 {
		a := answer(200+300*(i%2), "x")
		a.Duration = time.Duration(i+1) * time.Millisecond
		tally.AddDark(fmt.Sprintf("/orders/%d?who=me", i), a, began)
	}
	tally.AddDark("/orders/1", failed(Timeout), began)
	tally.AddDark("/carts", failed(Refused), began)
	tally.AddDark("/carts", failed("of another kind"), began)
	tally.Drop("stale", 2)
}

func darkState(t testing.TB) []byte {
	_, tally := newPair(t, Options{})
	fillDark(tally)
	state, err := tally.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestInTheDarkEveryCopyIsCounted(t *testing.T) {
	_, tally := newPair(t, Options{})
	fillDark(tally)
	r := tally.Report(Policy{Dark: true, Candidate: "eks"})
	if r.Answered != 30 || r.TargetFailed != 3 || r.Mirrored != 35 || r.Compared+r.Unrepresentative != 0 {
		t.Errorf("%+v", r)
	}
	if got := fmt.Sprint(r.Reasons); got != "map[other:1 refused:1 timeout:1]" {
		t.Error(got)
	}
	if l, ok := r.Latency["eks"]; !ok || len(r.Latency) != 1 || l.P50 < Duration(10*time.Millisecond) || l.P99 > Duration(40*time.Millisecond) || r.SlowerP != 0 {
		t.Errorf("latency %v, slower %v with p=%v", r.Latency, r.Slower, r.SlowerP)
	}
	var endpoints []string
	for _, e := range r.Endpoints {
		endpoints = append(endpoints, e.Endpoint)
	}
	if !slices.Equal(endpoints, []string{"/carts", "/orders/{id}"}) {
		t.Errorf("%q", endpoints)
	}
}

// A load test that shows no difference is no all-clear, even if nobody says that it was one, or nothing was answered.
func TestInTheDarkNothingPasses(t *testing.T) {
	_, tally := newPair(t, Options{})
	judge := func(p Policy) {
		t.Helper()
		if r := tally.Report(p); r.Verdict != Inconclusive || len(r.Why) != 1 || r.Why[0].Code != "dark" {
			t.Errorf("%s, %v", r.Verdict, r.Why)
		}
	}
	judge(Policy{Dark: true})
	for range 100 {
		tally.AddDark("/a", failed(Refused), began)
	}
	judge(Policy{Dark: true, MinPairs: 1})
	tally.AddDark("/a", answer(200, ""), began)
	judge(Policy{MinPairs: 1})
}

func TestDarkCountsOfManyComparatorsAreAdded(t *testing.T) {
	_, all := newPair(t, Options{})
	fillDark(all)
	fillDark(all)
	_, sum := newPair(t, Options{})
	for range 2 {
		part, err := DecodeTally(Options{Key: key}, darkState(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := sum.Merge(part); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := json.Marshal(all.Report(Policy{Dark: true}))
	if got, _ := json.Marshal(sum.Report(Policy{Dark: true})); !bytes.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	broken := bytes.Replace(darkState(t), []byte(`"answered":30`), []byte(`"answered":9007199254740993`), 1)
	if _, err := DecodeTally(Options{Key: key}, broken); err == nil {
		t.Error("more answers than can be counted are believed")
	}
}

// Proxies count statuses by class: what live traffic gets of a class, control may answer, and nothing else.
func TestLiveStatusesAreKnownByClass(t *testing.T) {
	live := Live{2: 900, 4: 100}
	for status, want := range map[int]bool{200: true, 204: true, 302: false, 404: true, 499: true, 500: false, 99: false, 600: false, -1: false} {
		if live.gets(status) != want {
			t.Errorf("%d: %t", status, !want)
		}
		if few := (Live{2: minLive - 1}); !few.gets(status) || !(Live{}).gets(status) {
			t.Errorf("%d is not live, and nothing is known of what is", status)
		}
	}
	c, tally := newPair(t, Options{})
	for i := range 200 {
		status := []int{200, 201, 204, 206}[i%4]
		tally.Add(c.Judge(&Pair{Method: "GET", Path: fmt.Sprint("/a/", i), Control: answer(status, ""), Candidate: answer(status, "")}, live, nil), began)
	}
	if d := tally.departure(Live{2: 1000}); d != 0 {
		t.Errorf("statuses of one class depart by %v", d)
	}
	if d := tally.departure(Live{2: 500, 5: 500}); d != 0.5 {
		t.Errorf("half of live answers are of another class, and the departure is %v", d)
	}
}
