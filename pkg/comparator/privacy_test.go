package comparator

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestNothingOfTheTrafficIsTold: secrets in every part of requests and answers, and the test identity's, are in no log and in no message to
// the server, whatever becomes of the copy.
func TestNothingOfTheTrafficIsTold(t *testing.T) {
	t.Parallel()
	const secret = "Zebra7Quagga9Secret"
	leaky := func(mark string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("content-type", "application/json")
			w.Header().Set("x-"+secret, secret+mark)
			w.Header().Set("set-cookie", secret+"="+secret+mark)
			switch {
			case strings.Contains(r.URL.Path, "broken"):
				_, _ = io.WriteString(w, `{"`+secret+mark)
			case strings.Contains(r.URL.Path, "abort"):
				panic(http.ErrAbortHandler)
			default:
				_, _ = io.WriteString(w, `{"state":"`+secret+mark+`","`+secret+`":"`+secret+mark+`"}`)
			}
		})
	}
	w := newWorld(t, leaky("a"), leaky("b"), Limits{Spread: time.Minute})
	doc := document()
	doc.Methods, doc.AllowWrites, doc.KeepHeaders = []string{"GET", "POST"}, true, []string{"x-kept"}
	w.run(doc, func(o *crossfadev1.RunOrder) { o.IdentityHeader, o.IdentityValue = "authorization", "Bearer "+secret })
	n := uint64(0)
	for _, learning := range []bool{false, true} {
		w.server.order(func(o *crossfadev1.WorkResponse) { o.Runs[0].Learning = learning })
		for _, path := range []string{"/a/", "/broken/", "/abort/", "/logout/"} {
			for _, change := range []func(*http.Request){
				func(*http.Request) {},
				func(r *http.Request) { r.Header.Set("x-cf-sent", secret) },
				func(r *http.Request) { r.Header.Set("x-cf-proxy", secret) },
				func(r *http.Request) { r.Header.Add("x-shadow", secret) },
				func(r *http.Request) { r.Method = "BREW" },
			} {
				r := w.copyOf("POST", path+secret+"?"+secret+"="+secret, `{"`+secret+`":"`+secret+`"}`)
				r.Header.Set("x-"+secret, secret)
				r.Header.Set("x-kept", secret+path)
				r.Header.Set("cookie", "a="+secret)
				change(r)
				w.send(r)
				n++
			}
		}
	}
	w.awaitCounted(n)
	// Those that are of no run.
	r := w.copyOf("GET", "/"+secret, "")
	r.Header.Set("x-cf-mirror", secret+"/"+secret)
	w.send(r)
	w.end()
	w.server.mu.Lock()
	wire := w.server.wire.Bytes()
	w.server.mu.Unlock()
	for name, told := range map[string][]byte{"the log": []byte(w.log.String()), "the messages": wire} {
		if at := bytes.Index(bytes.ToLower(told), []byte(strings.ToLower(secret))); at >= 0 {
			t.Errorf("%s: %q", name, told[max(0, at-200):min(len(told), at+60)])
		}
	}
	if len(wire) == 0 {
		t.Error("nothing was told at all")
	}
}

// TestAllLegsAreAskedTheSame: but for their target, and without what belongs to the way of the copy.
func TestAllLegsAreAskedTheSame(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []*http.Request
	var bodies []string
	keep := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got, bodies = append(got, r), append(bodies, string(body))
	})
	w := newWorld(t, keep, keep, Limits{Spread: time.Minute})
	w.proxy.Config.Handler = w.proxy.with(keep) // the proxy is what is looked at
	doc := document()
	all := int32(10_000)
	doc.Noise.Share, doc.Methods, doc.AllowWrites = &all, []string{"POST"}, true
	w.run(doc, func(o *crossfadev1.RunOrder) { o.IdentityHeader, o.IdentityValue = "Authorization", "Bearer test" })
	r := w.copyOf("POST", "/a/%2e%2E/b%20c;d?q=%41&q", "hello")
	for k, v := range map[string]string{
		"if-none-match": "x", "if-modified-since": "x", "if-range": "x", "range": "bytes=0-9", "connection": "x-hop, keep-alive", "x-hop": "1", "traceparent": "00-1", "tracestate": "x",
		"b3": "1", "x-b3-traceid": "1", "x-envoy-attempt-count": "1", "x-request-id": "live", "x-forwarded-for": "10.0.0.1, 10.0.0.2,127.0.0.1", "x-forwarded-proto": "https",
		"accept-encoding": "br;q=1.0, gzip;q=0.8, zstd, *;q=0.1", "x-own": "kept", "te": "trailers", "user-agent": "",
	} {
		r.Header.Set(k, v)
	}
	w.send(r)
	w.awaitCounted(1)
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 3 {
		t.Fatalf("%d legs", len(got))
	}
	var targets []string
	for i, q := range got {
		targets = append(targets, q.Header.Get("x-cf-target"))
		q.Header.Del("x-cf-target")
		if q.Header.Get("x-request-id") == "live" || q.Header.Get("x-request-id") == "" || len(q.Header.Get("traceparent")) != 55 {
			t.Errorf("marks: %v", q.Header)
		}
		want := http.Header{
			"Range": {"bytes=0-9"}, "X-Forwarded-For": {"10.0.0.1, 10.0.0.2"}, "X-Forwarded-Proto": {"https"}, "Accept-Encoding": {"gzip;q=0.8, gzip"}, "X-Own": {"kept"},
			"X-Shadow": {"m"}, "Authorization": {"Bearer test"}, "X-Request-Id": got[0].Header["X-Request-Id"], "Traceparent": got[0].Header["Traceparent"], "Content-Length": {"5"},
		}
		if d := diffHeaders(want, q.Header); len(d) > 0 {
			t.Errorf("leg %d: %v", i, d)
		}
		if q.Host != "shop.example" || q.RequestURI != "/a/%2e%2E/b%20c;d?q=%41&q" || q.Method != "POST" || bodies[i] != "hello" {
			t.Errorf("%s %s %s %q", q.Method, q.Host, q.RequestURI, bodies[i])
		}
	}
	slices.Sort(targets)
	if !slices.Equal(targets, []string{"shop/ecs@shadow", "shop/ecs@shadow", "shop/eks@shadow"}) {
		t.Error(targets)
	}
}

func diffHeaders(want, got http.Header) (out []string) {
	for k := range want {
		if !slices.Equal(want[k], got[k]) {
			out = append(out, k+": "+strings.Join(got[k], "|"))
		}
	}
	for k := range got {
		if want[k] == nil {
			out = append(out, k+" is there")
		}
	}
	return out
}

// TestAPanicIsThatOfOnePair: it is counted, told without what it says, and the next pair is compared.
func TestAPanicIsThatOfOnePair(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	k := newComparator(Config{Log: logTo(log)})
	r, err := newRun("m/r1", &crossfadev1.RunOrder{Mirror: document(), Key: hashKey}, 1)
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{copied: &copied{run: r, cost: &loan{from: k.budget}}, control: &leg{}} // without the candidate's leg
	for range 2 * cap(k.judging) {
		if _, dropped := k.judge(p, true); dropped != dropPanic {
			t.Fatalf("dropped: %q", dropped)
		}
	}
	p.candidate = &leg{side: candidate}
	if _, dropped := k.judge(p, false); dropped != "" {
		t.Errorf("dropped: %q", dropped)
	}
	if !strings.Contains(log.String(), "comparing failed") {
		t.Error(log.String())
	}
}

func TestLegsThatDoNotStartTogetherAreDropped(t *testing.T) {
	t.Parallel()
	k := newComparator(Config{})
	r, err := newRun("m/r1", &crossfadev1.RunOrder{Mirror: document(), Key: hashKey}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for spread, want := range map[time.Duration]string{0: "", 5 * time.Millisecond: "", 6 * time.Millisecond: dropLate} {
		legs := []*leg{{started: epoch.Add(spread / 2)}, {side: candidate, started: epoch.Add(spread)}, {started: epoch}}
		if got := k.together(&copied{run: r}, legs); got != want {
			t.Errorf("%v: %q", spread, got)
		}
	}
}

func TestOrdersThatCannotBeFollowedAreSaidOnce(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	k := newComparator(Config{Log: logTo(log)})
	bad := document()
	bad.Share = 0
	noControl := document()
	noControl.Name, noControl.Control = "n", ""
	short := document()
	short.Name = "k"
	for range 3 {
		k.obey(&crossfadev1.WorkResponse{Runs: []*crossfadev1.RunOrder{{Mirror: bad, Key: hashKey}, {Mirror: noControl, Key: hashKey}, {Mirror: short, Key: []byte("short")}, {}}}, epoch)
	}
	if n := strings.Count(log.String(), "cannot be followed"); n != 4 || len(k.runs) != 0 {
		t.Errorf("%d lines, %d runs: %s", n, len(k.runs), log.String())
	}
}
