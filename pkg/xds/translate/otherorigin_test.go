package translate_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// otherOrigin is a service whose users stay where they are, and may be tried at the other origin, two at a time.
const otherOrigin = twoOrigins + `split: {weights: {ecs: 50%, eks: 50%}, sticky: {header: {name: x-user}}}
pins: [{name: beta, origin: eks, header: {name: x-beta, present: true}}]
retries: {on: [none], otherOrigin: {on: [5xx], maxConcurrent: 2}}
`

const atECS, atEKS = "orders/ecs", "orders/eks"

// user finds one who is at an origin.
func (l *lab) user(origin string) string {
	l.t.Helper()
	for i := range 100 {
		if u := fmt.Sprint("x-user: u", i); l.get("orders.test", "/", u).origin() == origin {
			return u
		}
	}
	l.t.Fatalf("no user of %s", origin)
	return ""
}

// as sends a request of a user.
func (l *lab) as(user, method string, more ...string) reply {
	l.t.Helper()
	h := http.Header{}
	for _, kv := range append(more, user) {
		k, v, _ := strings.Cut(kv, ": ")
		h.Add(k, v)
	}
	return l.send(request{method: method, host: "orders.test", path: "/", header: h})
}

func unwell(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }

// TestWhatTheOtherOriginAnswers: each way to fail is answered by the other origin, for the methods that may be sent twice.
func TestWhatTheOtherOriginAnswers(t *testing.T) {
	fails := map[string]func(t *testing.T, l *lab){
		"503":             func(_ *testing.T, l *lab) { l.origins[atEKS].answer(unwell) },
		"503 over HTTP/2": func(_ *testing.T, l *lab) { l.origins[atEKS].answer(unwell) },
		"reset": func(t *testing.T, l *lab) {
			l.moveTo(startPeer(t, func(c net.Conn) {
				_, _ = c.Read(make([]byte, 1))
				_ = c.(*net.TCPConn).SetLinger(0)
			}))
		},
		"refused": func(t *testing.T, l *lab) { l.moveTo(netip.MustParseAddrPort(envoytest.Port(t).Addr())) },
	}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for name, fail := range fails {
			t.Run(name, func(t *testing.T) {
				docs := otherOrigin
				if name == "503 over HTTP/2" {
					docs = strings.NewReplacer("{name: ecs,", "{name: ecs, protocol: http2,", "{name: eks,", "{name: eks, protocol: http2,").Replace(otherOrigin)
				}
				l := newLab(t, version, docs)
				user := l.user(atEKS)
				for _, method := range []string{"GET", "POST"} {
					if r := l.as(user, method); r.StatusCode != 200 || r.origin() != atEKS {
						t.Fatalf("%s of %q: %s of %q", method, user, r.Status, r.origin())
					}
					if got, want := l.origins[atEKS].last(t).ProtoMajor == 2, docs != otherOrigin; got != want {
						t.Errorf("%s by HTTP/2: %v, want %v", method, got, want)
					}
				}
				fail(t, l)
				for method, saved := range map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "PUT": false, "DELETE": false, "POST": false, "PATCH": false} {
					r := l.as(user, method)
					if want := map[bool]int{true: 200, false: 503}[saved]; r.StatusCode != want || saved != (r.origin() == atECS) {
						t.Errorf("%s: %s of %q", method, r.Status, r.origin())
					}
				}
				if r := l.as(user, "GET", "x-beta: 1"); r.StatusCode != 503 || r.origin() == atECS {
					t.Errorf("pinned: %s of %q", r.Status, r.origin())
				}
				if r := l.as(user, "GET", "upgrade: websocket", "connection: upgrade"); r.StatusCode == 200 || r.origin() == atECS {
					t.Errorf("an upgrade: %s of %q", r.Status, r.origin())
				}
			})
		}
	})
}

// moveTo makes eks be somewhere else.
func (l *lab) moveTo(address netip.AddrPort) {
	l.t.Helper()
	l.setEndpoints("orders", "eks", address)
	l.awaitHost(atEKS, address.String())
}

// TestTriesAtTheOtherOriginAreBounded: beyond maxConcurrent, requests get the answer that they would have got.
func TestTriesAtTheOtherOriginAreBounded(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, otherOrigin)
		user := l.user(atEKS)
		open := make(chan struct{})
		l.origins[atECS].answer(func(http.ResponseWriter, *http.Request) { <-open })
		l.origins[atEKS].answer(unwell)
		before := l.origins[atECS].count()
		answers, waiting := make(chan reply, 20), sync.WaitGroup{}
		for range cap(answers) {
			waiting.Go(func() { answers <- l.as(user, "GET") })
		}
		for range cap(answers) - 2 {
			if r := <-answers; r.StatusCode != 503 || r.origin() != atEKS {
				t.Errorf("%s of %q", r.Status, r.origin())
			}
		}
		close(open)
		waiting.Wait()
		for range 2 {
			if r := <-answers; r.StatusCode != 200 || r.origin() != atECS {
				t.Errorf("%s of %q", r.Status, r.origin())
			}
		}
		if n := l.origins[atECS].count() - before; n != 2 {
			t.Errorf("%d reached the other origin", n)
		}
	})
}

// TestARollbackEndsTriesAtTheOtherOrigin: also those of requests that were sent off before it.
func TestARollbackEndsTriesAtTheOtherOrigin(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, otherOrigin)
		user, other := l.user(atECS), l.user(atEKS)
		arrived, open := make(chan struct{}), make(chan struct{})
		fail := func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("x-again") != "" && w.Header().Get("x-test-origin") == atECS {
				return // what eks has failed
			}
			arrived <- struct{}{}
			<-open
			unwell(w, r)
		}
		l.origins[atECS].answer(fail)
		l.origins[atEKS].answer(fail)
		answer, leaving := make(chan reply, 1), make(chan reply, 1)
		go func() { answer <- l.as(user, "GET") }()
		go func() { leaving <- l.as(other, "GET", "x-again: 1") }()
		<-arrived
		<-arrived
		before := l.origins[atEKS].count()
		l.split("orders", map[string]policy.BasisPoints{"ecs": policy.Whole, "eks": 0})
		s := l.intent.service(t, "orders")
		l.envoy.AwaitRuntime(policy.OtherTriesKey("orders", "ecs"), "0")
		l.envoy.AwaitRuntime(s.OtherOriginKey(), "0")
		close(open)
		if r := <-answer; r.StatusCode != 503 || r.origin() != atECS {
			t.Errorf("sent off before: %s of %q", r.Status, r.origin())
		}
		if got := <-leaving; got.StatusCode != 200 || got.origin() != atECS {
			t.Errorf("sent off to the origin that was left: %s of %q", got.Status, got.origin())
		}
		l.origins[atECS].answer(unwell)
		l.origins[atEKS].answer(nil)
		for range 20 {
			if r := l.as(user, "GET"); r.StatusCode != 503 || r.origin() != atECS {
				t.Errorf("%s of %q", r.Status, r.origin())
			}
		}
		if n := l.origins[atEKS].count() - before; n != 0 {
			t.Errorf("%d reached the origin that was left", n)
		}
		l.split("orders", map[string]policy.BasisPoints{"ecs": 9000, "eks": 1000})
		l.envoy.AwaitRuntime(policy.OtherTriesKey("orders", "ecs"), "2")
		if r := l.as(user, "GET"); r.StatusCode != 200 || r.origin() != atEKS {
			t.Errorf("after the rollback: %s of %q", r.Status, r.origin())
		}
	})
}

// TestTheOtherOriginMovesNobody: a user is at the same origin by whichever route, at every weight.
func TestTheOtherOriginMovesNobody(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, otherOrigin)
		for _, eks := range []policy.BasisPoints{1, 2500, 9999} {
			l.split("orders", map[string]policy.BasisPoints{"ecs": policy.Whole - eks, "eks": eks})
			for i := range 40 {
				user := fmt.Sprint("x-user: ", i)
				if get, post := l.as(user, "GET"), l.as(user, "POST"); get.origin() != post.origin() || get.StatusCode != 200 {
					t.Errorf("eks has %d: a GET of %s is at %q, its POST at %q", eks, user, get.origin(), post.origin())
				}
			}
		}
	})
}

// TestEitherRoutesReadTheSameWeights: their keys are those of the split, so that levers, and break-glass, are for both.
func TestEitherRoutesReadTheSameWeights(t *testing.T) {
	if got, want := policy.WeightKeyRoot+"."+policy.EitherClusterName("orders", "ecs"), policy.WeightKey("orders", "ecs"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestTheOtherOriginIsOffByDefault: nothing of it is there, and nothing of it for a proxy that gets no levers.
func TestTheOtherOriginIsOffByDefault(t *testing.T) {
	with, without := compile(t, "with", []byte(strings.ReplaceAll(otherOrigin, "PORT", "10000"))), compile(t, "without", []byte(strings.ReplaceAll(twoOrigins, "PORT", "10000")))
	clusters := func(in intent) int {
		return len(translate.Build(in.fleet(), in.services, translate.Options{}).Clusters)
	}
	if w, wo := clusters(with), clusters(without); w != 4 || wo != 2 {
		t.Errorf("%d clusters with, %d without", w, wo)
	}
	for _, l := range translate.Levers(without.services[0]) {
		if l.Count || strings.HasPrefix(l.Key, "o.") {
			t.Errorf("lever %+v", l)
		}
	}
	inline := translate.Build(with.fleet(), with.services, translate.Options{InlineWeights: true})
	for _, v := range inline.VirtualHosts {
		if strings.Contains(string(v.Body.GetValue()), policy.EitherClusterName("orders", "ecs")) {
			t.Error("a proxy without levers has a route to the other origin")
		}
	}
}
