package shadow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

func newPair(t testing.TB, o Options) (*Comparer, *Tally) {
	t.Helper()
	o.Key = key
	c, errs := NewComparer(o)
	tally, errs2 := NewTally(o)
	if errs.Err() != nil || errs2.Err() != nil {
		t.Fatal(errs, errs2)
	}
	return c, tally
}

// add judges and counts pairs of a path with an id of its own each.
func add(c *Comparer, tally *Tally, n int, path string, p Pair) {
	for i := range n {
		q := p
		q.Method, q.Path = "GET", fmt.Sprintf("%s/%d", path, i)
		a := *p.Control
		if len(a.Body) > 0 && !bytes.Contains(a.Body, []byte("same")) {
			a.Body = fmt.Appendf(nil, "%s %d", a.Body, i)
			b := *p.Candidate
			if q.Control = &a; bytes.Equal(p.Control.Body, p.Candidate.Body) {
				b.Body = a.Body
			}
			q.Candidate = &b
		}
		tally.Add(c.Judge(&q, Live{}, nil), began)
	}
}

func TestVerdicts(t *testing.T) {
	fine := Pair{Control: answer(200, "fine"), Candidate: answer(200, "fine")}
	for name, c := range map[string]struct {
		fill   func(*Comparer, *Tally)
		rules  []rule.Rule
		policy Policy
		want   Verdict
		why    string
	}{
		"nothing was seen": {func(*Comparer, *Tally) {}, nil, Policy{}, Inconclusive, "too_few"},
		"all is well":      {func(c *Comparer, t *Tally) { add(c, t, 200, "/a", fine) }, nil, Policy{MinPairs: 200}, Pass, ""},
		"too few":          {func(c *Comparer, t *Tally) { add(c, t, 199, "/a", fine) }, nil, Policy{MinPairs: 200}, Inconclusive, "too_few"},
		"unauthorized": {func(c *Comparer, t *Tally) {
			add(c, t, 200, "/a", Pair{Control: answer(401, ""), Candidate: answer(401, "")})
		}, nil, Policy{MinPairs: 1}, Inconclusive, "unrepresentative"},
		"one small endpoint unauthorized": {func(c *Comparer, t *Tally) {
			add(c, t, 1000, "/a", fine)
			add(c, t, 1, "/b", Pair{Control: answer(403, ""), Candidate: answer(401, "")})
		}, nil, Policy{MinPairs: 200}, Inconclusive, "endpoint_unauthorized"},
		"login": {func(c *Comparer, t *Tally) {
			add(c, t, 200, "/a", Pair{Control: answer(302, "", "location: https://sso.test/login"), Candidate: answer(303, "", "location: /login")})
		}, nil, Policy{MinPairs: 1}, Inconclusive, "unrepresentative"},
		"gRPC without credentials": {func(c *Comparer, t *Tally) {
			add(c, t, 200, "/a", Pair{Control: answer(200, "", "grpc-status: 16"), Candidate: answer(200, "", "grpc-status: 16")})
		}, nil, Policy{MinPairs: 1}, Inconclusive, "unrepresentative"},
		"one body": {func(c *Comparer, t *Tally) {
			add(c, t, 200, "/a", Pair{Control: answer(200, "same"), Candidate: answer(200, "same")})
		}, nil, Policy{MinPairs: 1}, Inconclusive, "one_body"},
		"one body is fine": {func(c *Comparer, t *Tally) {
			add(c, t, 200, "/a", Pair{Control: answer(200, "same"), Candidate: answer(200, "same")})
		}, nil, Policy{MinPairs: 200, OneBody: true}, Pass, ""},
		"throttled": {func(c *Comparer, t *Tally) {
			add(c, t, 200, "/a", Pair{Control: answer(200, "x"), Candidate: answer(429, "")})
		}, nil, Policy{MinPairs: 1}, Inconclusive, "unrepresentative"},
		"control failed": {func(c *Comparer, t *Tally) {
			add(c, t, 200, "/a", Pair{Control: failed(Timeout), Candidate: answer(200, "x")})
		}, nil, Policy{MinPairs: 1}, Error, "control_failed"},
		"statuses not live": {func(c *Comparer, t *Tally) {
			add(c, t, 100, "/a", fine)
			add(c, t, 100, "/b", Pair{Control: answer(404, "x"), Candidate: answer(404, "x")})
		}, nil, Policy{MinPairs: 200, Live: Live{2: 970, 4: 30}}, Inconclusive, "status_mix"},
		"nothing is known of live traffic": {func(c *Comparer, t *Tally) {
			add(c, t, 200, "/a", fine)
		}, nil, Policy{MinPairs: 200}, Inconclusive, "live_unknown"},
		"nothing is known of noise": {func(c *Comparer, t *Tally) {
			add(c, t, 200, "/a", fine)
			add(c, t, 1, "/a", Pair{Control: answer(200, "x"), Candidate: answer(500, "")})
		}, nil, Policy{MinPairs: 200}, Inconclusive, "open"},
		"must be equal": {func(c *Comparer, t *Tally) {
			add(c, t, 200, "/a", fine)
			add(c, t, 1, "/a", Pair{Control: answer(200, "x"), Candidate: answer(500, "")})
		}, []rule.Rule{{Path: "status", Action: rule.MustEqual}}, Policy{MinPairs: 200}, Fail, "differences"},
		"each time": {func(c *Comparer, t *Tally) {
			add(c, t, 40, "/a", Pair{Control: answer(200, "x"), Candidate: answer(500, ""), Second: answer(200, "x")})
		}, nil, Policy{MinPairs: 200}, Fail, "differences"},
		"the candidate is gone": {func(c *Comparer, t *Tally) {
			add(c, t, 40, "/a", Pair{Control: answer(200, "x"), Candidate: failed(Refused), Second: answer(200, "x"), Chosen: ByDifference})
		}, nil, Policy{MinPairs: 200}, Fail, "differences"},
		"the candidate lets in whom control does not": {func(c *Comparer, t *Tally) {
			add(c, t, 40, "/a", Pair{Control: answer(401, "x"), Candidate: answer(200, "y"), Second: answer(401, "x")})
		}, nil, Policy{MinPairs: 1}, Fail, "differences"},
	} {
		comparer, tally := newPair(t, Options{Rules: c.rules})
		c.fill(comparer, tally)
		tally.Drop("stale", 3)
		if c.policy.Live == (Live{}) && c.why != "live_unknown" {
			c.policy.Live = Live{2: 1000, 3: 1, 4: 1, 5: 1}
		}
		r := tally.Report(c.policy)
		if r.Verdict != c.want || c.why != "" && !slices.ContainsFunc(r.Why, func(w Why) bool { return w.Code == c.why && w.Message != "" && w.Next != "" }) {
			t.Errorf("%s: %s, %v", name, r.Verdict, r.Why)
		}
		if r.Mirrored != r.Compared+r.Unrepresentative+r.TargetFailed+3 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestAnOriginThatAnswers401NeverPasses: whatever else origins answer, in whichever mix, if control answers 401 where it lacks credentials on
// any endpoint, there is no Pass.
func TestAnOriginThatAnswers401NeverPasses(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	passed := 0
	for run := range 150 {
		c, tally := newPair(t, Options{})
		guarded := r.IntN(4) // how many endpoints of 4 ask for credentials; 0: none, to see that the test can pass
		where := r.Perm(4)[:guarded]
		ways := r.IntN(4)
		for i := range 400 + r.IntN(400) {
			e := r.IntN(4)
			body := fmt.Sprintf(`{"n":%d}`, i)
			p := &Pair{Method: "GET", Path: fmt.Sprintf("/e%d/%d", e, i), Control: asJSONOf(body), Candidate: asJSONOf(body), Second: asJSONOf(body)}
			if slices.Contains(where, e) {
				p.Control, p.Second = answer(401, "who are you?"), answer(401, "who are you?")
				switch (ways + i*(ways/3)) % 3 {
				case 0:
					p.Candidate = answer(401, "who are you?")
				case 1:
					p.Candidate = answer(403, "no")
				default:
					p.Candidate = answer(302, "", "location: /login?next=x")
				}
			}
			tally.Add(c.Judge(p, Live{}, nil), began)
		}
		report := tally.Report(Policy{MinPairs: 1, OneBody: r.IntN(2) == 0, Live: Live{2: 1000, 4: 1}})
		if guarded > 0 && len(tally.endpoints) > 0 && report.Verdict == Pass {
			t.Fatalf("seed %d, run %d: %d endpoints answer 401, and it passes", seed, run, guarded)
		}
		if report.Verdict == Pass {
			passed++
		}
	}
	if passed == 0 {
		t.Error("nothing ever passes: what does this test test?")
	}
}

// TestSharedWorkGivesOneReport: outcomes that are spread over tallies in any order and merged in any order give the same bytes as one tally,
// and so does one that was kept and read again.
func TestSharedWorkGivesOneReport(t *testing.T) {
	seed := rand.Uint64()
	descs, _ := ReadDescriptors(shadowtest.Descriptors())
	o := Options{Key: key, Descriptors: descs}
	w := shadowtest.New(seed, shadowtest.Options{Endpoints: 3, Rate: 0.2, Noise: 0.3, Noisy: 20})
	r := rand.New(rand.NewPCG(seed, 2))
	e := &experiment{world: w, r: r}
	var pairs []*Pair
	for range 2000 {
		q := w.Ask(r)
		pairs = append(pairs, &Pair{Method: q.Method, Path: q.Path + "/" + []string{"x", "y"}[r.IntN(2)] + string(rune('a'+r.IntN(26))), Control: e.ask(q, false), Candidate: e.ask(q, true), Second: e.ask(q, false)})
	}
	var want []byte
	for run := range 4 {
		order := r.Perm(len(pairs))
		parts := make([]*Tally, run+1)
		c, _ := NewComparer(o)
		for i := range parts {
			parts[i], _ = NewTally(o)
			parts[i].Drop("stale", uint64(6/(run+1)*0))
		}
		for _, i := range order {
			parts[r.IntN(len(parts))].Add(c.Judge(pairs[i], Live{}, nil), began.Add(time.Duration(i)*time.Second))
		}
		for _, p := range parts[1:] {
			state, err := p.Encode()
			if err != nil {
				t.Fatal(err)
			}
			again, err := DecodeTally(o, state)
			if err != nil {
				t.Fatal(err)
			}
			if err := parts[0].Merge(again); err != nil {
				t.Fatal(err)
			}
		}
		got, _ := json.Marshal(parts[0].Report(Policy{}))
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %d tallies give\n%s\none gives\n%s", seed, run+1, got, want)
		}
		first, _ := parts[0].Encode()
		again, err := DecodeTally(o, first)
		if err != nil {
			t.Fatal(err)
		}
		if second, _ := again.Encode(); !bytes.Equal(first, second) {
			t.Fatalf("seed %d: what was kept is not what is read:\n%s\n%s", seed, first, second)
		}
	}
}

func TestStatesThatAreRefused(t *testing.T) {
	_, tally := newPair(t, Options{})
	good, _ := tally.Encode()
	other, _ := NewTally(Options{Key: []byte("another key of 16")})
	foreign, _ := other.Encode()
	for name, c := range map[string]struct {
		state []byte
		want  error
	}{
		"good": {good, nil}, "empty": {nil, ErrState}, "text": {[]byte("hello"), ErrState}, "foreign": {foreign, ErrKey},
		"newer":  {bytes.Replace(good, []byte(`"version":1`), []byte(`"version":2`), 1), ErrState},
		"counts": {bytes.Replace(good, []byte(`"compared":0`), []byte(`"compared":7`), 1), ErrState},
	} {
		if _, err := DecodeTally(Options{Key: key}, c.state); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := tally.Merge(other); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

// FuzzDecodeTally: whatever is read as a state is refused or can be reported, merged and kept.
func FuzzDecodeTally(f *testing.F) {
	e := newExperiment(f, 1, shadowtest.Options{Endpoints: 2, Rate: 0.5, Noise: 0.1, Noisy: 5}, 0.2, true)
	e.run(200)
	state, _ := e.tally.Encode()
	f.Add(state)
	f.Add([]byte(`{"version":1}`))
	f.Add(darkState(f))
	f.Fuzz(func(t *testing.T, state []byte) {
		tally, err := DecodeTally(Options{Key: key}, state)
		if err != nil {
			return
		}
		if r := tally.Report(Policy{}); r.Mirrored != r.Compared+r.Unrepresentative+r.TargetFailed+r.Answered+sum(r.Dropped) {
			t.Fatalf("%+v", r)
		}
		first, err := tally.Encode()
		if err != nil {
			return // a year that JSON does not have
		}
		again, err := DecodeTally(Options{Key: key}, first)
		if err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		if second, _ := again.Encode(); !bytes.Equal(first, second) {
			t.Fatalf("%s, then %s", first, second)
		}
		if err := again.Merge(tally); err != nil {
			t.Fatal(err)
		}
		again.Report(Policy{})
	})
}

func TestTalliesAreBounded(t *testing.T) {
	c, tally := newPair(t, Options{})
	r := rand.New(rand.NewPCG(1, 1))
	word := func() string {
		return strings.Repeat(string(rune('g'+r.IntN(20))), 1+r.IntN(3)) + string(rune('a'+r.IntN(26)))
	}
	for range 20_000 {
		p := &Pair{Method: "GET", Path: "/" + word() + "/" + word() + "/" + word(), Control: asJSONOf(fmt.Sprintf(`{"%s_%s":1}`, word(), word())), Candidate: asJSONOf(fmt.Sprintf(`{"%s_%s":1}`, word(), word()))}
		tally.Add(c.Judge(p, Live{}, nil), began)
		tally.Drop(word()+word(), 1)
	}
	state, _ := tally.Encode()
	if len(tally.endpoints) > MaxEndpoints+1 || tally.places > MaxPlaces || len(tally.dropped) > MaxReasons+1 || len(state) > 4<<20 {
		t.Errorf("%d endpoints, %d places, %d reasons, %d bytes", len(tally.endpoints), tally.places, len(tally.dropped), len(state))
	}
	rep := tally.Report(Policy{MinPairs: 1})
	if tally.crowded == 0 || rep.Verdict != Inconclusive || len(rep.Differences) > MaxRows {
		t.Errorf("%s, %d crowded", rep.Verdict, tally.crowded)
	}
}

// TestASumOfStatusesCanBeReadBack: each side has as many as there may be, and their sum no more, with nothing lost.
func TestASumOfStatusesCanBeReadBack(t *testing.T) {
	_, sum := newPair(t, Options{})
	_, other := newPair(t, Options{})
	for i := range 100 {
		sum.countStatus(200+i, 3)
		other.countStatus(400+i, 3)
	}
	if err := sum.Merge(other); err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	for _, of := range sum.statuses {
		n += of
	}
	if state, _ := sum.Encode(); len(sum.statuses) > maxStatuses+1 || n != 600 {
		t.Errorf("%d statuses, %d answers", len(sum.statuses), n)
	} else if _, err := DecodeTally(Options{Key: key}, state); err != nil {
		t.Error(err)
	}
}
