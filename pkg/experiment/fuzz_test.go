package experiment

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// fuzzed is a desk on which one run is, with a key that is always the same, and a tally under that key.
func fuzzed(t testing.TB) (*Desk, *run, []byte) {
	t.Helper()
	d := Open(Config{Now: func() time.Time { return began.Add(time.Minute) }})
	d.Set([]Mirror{mirrorOf(t, document(nil))})
	r := d.runs["try"]
	r.gone = ""
	r.key = make([]byte, keyBytes)
	o, errs := shadow.OptionsOf(r.policy, r.key)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	r.options = o
	c, errs := shadow.NewComparer(o)
	sum, errs2 := shadow.NewTally(o)
	if len(errs)+len(errs2) > 0 {
		t.Fatal(errs, errs2)
	}
	for i := range 60 {
		a, b := &shadow.Answer{Status: 200, Body: []byte(`{"a":1}`)}, &shadow.Answer{Status: 200 + i, Body: []byte(`{"a":2,"b":[]}`)}
		sum.Add(c.Judge(&shadow.Pair{Method: "GET", Path: "/a/1", Control: a, Candidate: b, Second: a}, shadow.Live{}, nil), began)
	}
	sum.Drop("cap", 5)
	tally, err := sum.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return d, r, tally
}

// FuzzCounts: whatever an instance tells, nothing breaks, and what is taken can be kept, read again, and gives the same report.
func FuzzCounts(f *testing.F) {
	_, _, tally := fuzzed(f)
	for _, rc := range []*crossfadev1.RunCounts{
		{Mirror: "try", Run: "run-1", Tally: tally, InFlight: 3, CandidateErrors: 9, CandidateP99Ms: 1.5, ControlRefusals: 2, AskedControl: 100, AskedCandidate: 90},
		{Mirror: "try", Run: "run-1", Seen: []*crossfadev1.MirrorPath{{Method: "GET", Endpoint: "/a/{id}", Count: 7, Excluded: "looks like <logout>"}}},
		{Mirror: "try", Run: "run-0"},
	} {
		raw, err := proto.Marshal(rc)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var rc crossfadev1.RunCounts
		if proto.Unmarshal(raw, &rc) != nil {
			return
		}
		d, r, _ := fuzzed(t)
		s := &session{wake: make(chan struct{}, 1), ended: make(chan struct{})}
		if err := d.greet(s, &crossfadev1.ComparatorHello{Instance: "one", Address: "127.0.0.1:1"}); err != nil {
			t.Fatal(err)
		}
		if err := d.take(s, &crossfadev1.ComparatorCounts{Sequence: 1, Runs: []*crossfadev1.RunCounts{&rc}}); err != nil {
			return
		}
		d.leave(s)
		keptAndRead(t, d, r)
	})
}

// FuzzNote: whatever is in a file, nothing breaks, and what is read can be written and read again.
func FuzzNote(f *testing.F) {
	d, r, tally := fuzzed(f)
	s := &session{wake: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := d.greet(s, &crossfadev1.ComparatorHello{Instance: "one", Address: "127.0.0.1:1"}); err != nil {
		f.Fatal(err)
	}
	rc := &crossfadev1.RunCounts{Mirror: "try", Run: "run-1", Tally: tally, InFlight: 3, Seen: []*crossfadev1.MirrorPath{{Method: "GET", Endpoint: "/a"}}}
	if err := d.take(s, &crossfadev1.ComparatorCounts{Sequence: 1, Runs: []*crossfadev1.RunCounts{rc}}); err != nil {
		f.Fatal(err)
	}
	d.summarize(r)
	for range 2 {
		data, err := r.note().encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		if p := r.parts["one"]; p != nil {
			if err := r.foldOne(p); err != nil {
				f.Fatal(err)
			}
		}
		r.parts["two"] = &part{instance: "two", held: 5, connected: true, heard: began}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := parse(data)
		if err != nil {
			return
		}
		d, r, _ := fuzzed(t)
		if n.restore(r, time.Minute, began.Add(time.Minute)) {
			keptAndRead(t, d, r)
		}
	})
}

// keptAndRead writes a run and reads it again.
func keptAndRead(t *testing.T, d *Desk, r *run) {
	t.Helper()
	before, _ := d.Report("try")
	data, err := r.note().encode()
	if err != nil {
		t.Fatal(err)
	}
	n, err := parse(data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if !n.restore(r, time.Minute, began.Add(time.Minute)) {
		t.Fatalf("it was not restored\n%s", data)
	}
	after, _ := d.Report("try")
	before.AskedRps, after.AskedRps = nil, nil
	if !proto.Equal(before, after) {
		t.Errorf("before %v\nafter %v", before, after)
	}
}
