package shadow

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// secrets are what may be in traffic, in some of the forms that it has there. Each has a part that would give it away.
func secrets(r *rand.Rand) (values []string, tell string) {
	tell = fmt.Sprintf("%c%d%06x", 'a'+r.IntN(6), r.IntN(10), r.IntN(1<<24))
	return []string{tell + "4711", "patient-" + tell, tell + "@example.com", "Bearer " + tell + ".x.y", "Jane Doe " + tell}, tell
}

// TestASecretIsNowhere: a secret in any part of requests and answers is in no difference, no report, no state, no error and no print.
func TestASecretIsNowhere(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 3))
	for run := range 300 {
		values, tell := secrets(r)
		secret := func() string { return values[r.IntN(len(values))] }
		quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
		side := func() *Answer {
			bodies := []string{
				fmt.Sprintf(`{"name":%s,%s:1,"deep":[{%s:[%s]}],"n":%d}`, quoted(secret()), quoted(secret()), quoted(secret()), quoted(secret()), r.IntN(3)),
				`{"broken":` + secret(), "plain " + secret(), "\xff\x00" + secret(),
				frame("\x0a" + string(rune(len(tell))) + tell + "\x10\x01"),
			}
			media := []string{"application/json", "application/json; x=" + tell, "text/plain", "application/octet-stream", "application/grpc", "x/" + secret()}
			a := answer(200+r.IntN(2)*300, bodies[r.IntN(len(bodies))], "content-type: "+media[r.IntN(len(media))], "x-name: "+secret(), strings.ReplaceAll(secret(), ": ", "")+": x",
				"set-cookie: "+secret()+"="+secret(), "location: /login/"+secret(), "trailer:grpc-status: "+[]string{"0", secret()}[r.IntN(2)], "trailer:x-t: "+secret())
			a.OverCap = r.IntN(4) == 0
			if r.IntN(8) == 0 {
				a.Failure = Failure(secret())
			}
			return a
		}
		rules := []rule.Rule{{Path: "$.deep", Action: rule.Set}}
		c, tally := newPair(t, Options{Rules: rules})
		var said []string
		for range 30 {
			p := &Pair{Method: "GET", Path: "/" + []string{"a", "b"}[r.IntN(2)] + "/" + secret() + "?token=" + secret(), Control: side(), Candidate: side(), Second: side(), Chosen: Chosen(r.IntN(2))}
			o := c.Judge(p, Live{2: 1000}, nil)
			said = append(said, fmt.Sprintf("%v %+v %#v %s %v %v", o, *o, o, p, *p.Control, o.Differences))
			j, _ := json.Marshal([]any{o, p, p.Control, o.Differences})
			said = append(said, string(j))
			tally.Add(o, began)
		}
		report, _ := json.Marshal(tally.Report(Policy{MinPairs: 1}))
		state, _ := tally.Encode()
		_, _, err := Decode("gzip", []byte(secret()), DecodeLimits{Bytes: 100, Ratio: 10})
		said = append(said, string(report), string(state), fmt.Sprint(err))
		for _, s := range said {
			if i := strings.Index(strings.ToLower(s), tell); i >= 0 {
				t.Fatalf("seed %d, run %d: %s", seed, run, s[max(0, i-200):min(len(s), i+40)])
			}
		}
	}
}

// TestOnlyAllowedValuesAreShown: a value is shown if its path is allowed, and only then.
func TestOnlyAllowedValuesAreShown(t *testing.T) {
	p := &Pair{Path: "/", Control: answer(200, `{"state":"open","name":"Ann"}`, "x-mode: fast"), Candidate: answer(200, `{"state":"closed","name":"Bob"}`, "x-mode: slow")}
	c, tally := newPair(t, Options{Values: []string{"$.state", "header:x-mode"}})
	tally.Add(c.Judge(p, Live{}, nil), began)
	report, _ := json.Marshal(tally.Report(Policy{}))
	for _, want := range []string{"open", "closed", "fast", "slow"} {
		if !strings.Contains(string(report), want) {
			t.Errorf("%s is not in %s", want, report)
		}
	}
	for _, not := range []string{"Ann", "Bob"} {
		if strings.Contains(string(report), not) {
			t.Errorf("%s is in %s", not, report)
		}
	}
	if d := c.Judge(p, Live{}, nil).Differences[2]; !strings.HasPrefix(d.Control.String(), "string(3) #") {
		t.Error(d.Control)
	}
}

// TestHashesNeedTheKey: equal values have equal hashes under one key, and others under another.
func TestHashesNeedTheKey(t *testing.T) {
	a, b, c := newHasher(key), newHasher(key), newHasher([]byte("fedcba9876543210"))
	if a.text([]byte("x")) != b.text([]byte("x")) || a.text([]byte("x")) == c.text([]byte("x")) || a.of(useValue, []byte("x")) == a.of(usePath, []byte("x")) {
		t.Error("hashes")
	}
}
