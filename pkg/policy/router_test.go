package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func named(name string, change func(*crossfadev1.Service)) *crossfadev1.Service {
	doc := orders()
	doc.Name = name
	change(doc)
	return doc
}

func routerOf(t testing.TB, fleet *policy.Fleet, docs ...*crossfadev1.Service) *policy.Router {
	t.Helper()
	var services []*policy.Service
	for _, d := range docs {
		services = append(services, mustCompile(t, d))
	}
	if errs := policy.CheckServices(services); errs != nil {
		t.Fatal(errs)
	}
	return policy.NewRouter(fleet, services)
}

// Every line was seen on Envoy 1.37 and 1.40.
func TestRouteByHost(t *testing.T) {
	host := func(name string, hosts ...string) *crossfadev1.Service {
		return named(name, func(d *crossfadev1.Service) { d.Hosts = hosts })
	}
	r := routerOf(t, nil, host("exact", "h.t"), host("wild", "*.w.t"), host("wild2", "*.b.w.t"), host("ip6", "::1"), host("any", "*"))
	for h, want := range map[string]string{
		"h.t": "exact", "H.T": "exact", "h.t.": "exact", "h.t:80": "exact", "h.t.:80": "exact", "h.t:": "exact", "h.t:abc": "exact", "h.t:80.": "exact",
		"h.t..": "any", "x.w.t": "wild", "w.t": "any", ".w.t": "any", "a.b.w.t": "wild2", "b.w.t": "wild", "x.b.w.t.": "wild2", "X.B.W.T:1": "wild2",
		"[::1]": "ip6", "[::1]:80": "ip6", "[::1].": "ip6", "::1": "any", "": "any", "h.t:80:90": "any", "a@h.t": "any", "*.w.t": "wild", "x.w.t..": "any", "..w.t": "wild",
	} {
		if d := r.Route(policy.Request{Host: h, Path: "/"}); d.Service != want {
			t.Errorf("%q: %q, want %q\n%s", h, d.Service, want, strings.Join(d.Steps, "\n"))
		}
	}
}

func TestRouteByPrefix(t *testing.T) {
	at := func(name string, prefixes ...string) *crossfadev1.Service {
		return named(name, func(d *crossfadev1.Service) { d.PathPrefixes = prefixes })
	}
	r := routerOf(t, nil, at("root"), at("api", "/api", "/x"), at("v1", "/api/v1"), at("pct", "/a%2Fb"))
	for path, want := range map[string]string{
		"/": "root", "/api": "api", "/api/": "api", "/api/x": "api", "/apix": "root", "/api?x": "api", "/api;x": "root", "/API": "root", "/api//x": "api",
		"//api": "root", "/x/../api": "api", "/y/../api": "root", "/api%2Fx": "root", "/a%2Fb": "pct", "/a%2fb/c": "root", "/api/v1": "v1", "/api/v1x": "api", "/?/api": "root", "*": "",
	} {
		if d := r.Route(policy.Request{Host: "orders.test", Path: path}); d.Service != want {
			t.Errorf("%q: %q, want %q\n%s", path, d.Service, want, strings.Join(d.Steps, "\n"))
		}
	}
}

func TestRouteAnswersNothing(t *testing.T) {
	only := named("only", func(d *crossfadev1.Service) { d.PathPrefixes = []string{"/api"} })
	all := named("all", func(d *crossfadev1.Service) { d.Hosts = []string{"*.test"} })
	elsewhere := named("elsewhere", func(d *crossfadev1.Service) { d.Fleet = "other"; d.Hosts = []string{"*"} })
	r := routerOf(t, nil, only, all, elsewhere)
	for name, q := range map[string]policy.Request{
		"a port of nobody":                     {Port: 1, Host: "orders.test", Path: "/api"},
		"a host of another fleet":              {Host: "example.com", Path: "/"},
		"the exact host wins, then the prefix": {Host: "orders.test", Path: "/other"},
	} {
		if d := r.Route(q); d.Service != "" || d.Origin != "" || d.Chances != nil || len(d.Steps) == 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if d := r.Route(policy.Request{Host: "a.test", Path: "/other"}); d.Service != "all" || d.Origin != "ecs" {
		t.Errorf("%+v", d)
	}
}

func TestFirstPinWins(t *testing.T) {
	doc := named("orders", func(d *crossfadev1.Service) {
		off := headerPin("off", exact("x-a", "1"))
		off.Enabled = new(false)
		toEcs := headerPin("to-ecs", exact("x-a", "1"))
		toEcs.Origin = "ecs"
		d.Pins = []*crossfadev1.Pin{off, headerPin("other", exact("x-b", "1")), toEcs, headerPin("late", prefix("x-a", "1"))}
		d.Split = &crossfadev1.Split{Weights: map[string]int32{"eks": 10000}}
	})
	r := routerOf(t, nil, doc)
	q := headers("X-A", "1")
	q.Host, q.Path = "orders.test", "/"
	d := r.Route(q)
	if d.Pin != "to-ecs" || d.Origin != "ecs" {
		t.Errorf("%+v", d)
	}
	want := `host "orders.test" selects "orders.test" on port 10000
path prefix "/" selects service "orders"
pin "off" is off
pin "other" does not match: it wants header x-b = "1"
pin "to-ecs" matches header x-a = "1" and sends to "ecs"`
	if got := strings.Join(d.Steps, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if d := r.Route(policy.Request{Host: "orders.test", Path: "/"}); d.Pin != "" || d.Origin != "eks" {
		t.Errorf("%+v", d)
	}
}

func TestRouteDraws(t *testing.T) {
	doc := named("orders", func(d *crossfadev1.Service) {
		d.Split = &crossfadev1.Split{Weights: map[string]int32{"ecs": 9000, "eks": 1000}}
	})
	d := routerOf(t, nil, doc).Route(policy.Request{Host: "orders.test", Path: "/"})
	if d.Origin != "" || fmt.Sprint(d.Chances) != "map[ecs:9000 eks:1000]" || d.Hash != nil {
		t.Errorf("%+v", d)
	}
	if last := d.Steps[len(d.Steps)-1]; last != "drawn at random by the split ecs=90% eks=10%" {
		t.Error(last)
	}
}

func sticky(d *crossfadev1.Service, key string) {
	d.Split = &crossfadev1.Split{Weights: map[string]int32{"ecs": 3000, "eks": 7000}, Sticky: &crossfadev1.Sticky{}}
	switch key {
	case "cookie":
		d.Split.Sticky.Key = &crossfadev1.Sticky_Cookie{Cookie: &crossfadev1.StickyCookie{Name: "cf"}}
	case "header":
		d.Split.Sticky.Key = &crossfadev1.Sticky_Header{Header: &crossfadev1.StickyHeader{Name: "X-User"}}
	case "agent":
		d.Split.Sticky.Key = &crossfadev1.Sticky_Header{Header: &crossfadev1.StickyHeader{Name: "User-Agent"}}
	case "address":
		d.Split.Sticky.Key = &crossfadev1.Sticky_ClientAddress{ClientAddress: &crossfadev1.StickyClientAddress{}}
	}
}

// The hashes were seen on Envoy 1.37 and 1.40: each value of a repeated header seeds the next, in sorted order.
func TestRouteSticky(t *testing.T) {
	chained := func(values ...string) uint64 {
		var h uint64
		for _, v := range values {
			digest := xxhash.NewWithSeed(h)
			_, _ = digest.WriteString(v)
			h = digest.Sum64()
		}
		return h
	}
	cases := []struct {
		key  string
		q    policy.Request
		hash uint64 // 0: not recognised
	}{
		{"cookie", headers("cookie", "a=b; cf=user1"), xxhash.Sum64String("user1")},
		{"cookie", headers("cookie", `cf="user1"`), xxhash.Sum64String("user1")},
		{"cookie", headers("cookie", "cf="), 0},
		{"cookie", headers("x-cf-key", "forged"), 0},
		{"header", headers("x-user", "u1"), xxhash.Sum64String("u1")},
		{"header", headers("x-user", ""), xxhash.Sum64String("")},
		{"header", headers("x-user", "u2", "X-User", "u1"), chained("u1", "u2")},
		{"header", headers("x-other", "u2"), 0},
		{"agent", headers("user-agent", "b", "user-agent", "a"), xxhash.Sum64String("b,a")},
		{"address", headers("x-forwarded-for", "9.9.9.9"), xxhash.Sum64String("127.0.0.1")},
	}
	for _, c := range cases {
		r := routerOf(t, nil, named("orders", func(d *crossfadev1.Service) { sticky(d, c.key) }))
		c.q.Host, c.q.Path, c.q.ClientAddress = "orders.test", "/", "127.0.0.1"
		d := r.Route(c.q)
		if c.hash == 0 {
			if d.Hash != nil || d.Chances == nil {
				t.Errorf("%s %v: %+v, want a draw", c.key, c.q.Headers, d)
			}
			continue
		}
		want := "ecs"
		if c.hash%10_000 >= 3000 {
			want = "eks"
		}
		if d.Hash == nil || d.Hash.Hash != c.hash || d.Origin != want || d.Chances != nil {
			t.Errorf("%s %v: %+v, want %s by %d", c.key, c.q.Headers, d, want, c.hash)
		}
	}
}

// Every line was seen on Envoy 1.37 and 1.40, by %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%.
func TestClientBehindTrustedHops(t *testing.T) {
	cases := []struct {
		hops int
		xff  []string
		want string
	}{
		{0, []string{"1.2.3.4"}, "127.0.0.1"},
		{1, nil, "127.0.0.1"},
		{1, []string{"1.2.3.4"}, "1.2.3.4"},
		{1, []string{"9.9.9.9, 1.2.3.4"}, "1.2.3.4"},
		{1, []string{"9.9.9.9", "1.2.3.4"}, "1.2.3.4"},
		{1, []string{"1.2.3.4,"}, "127.0.0.1"},
		{1, []string{"bad"}, "127.0.0.1"},
		{1, []string{"1.2.3.4:80"}, "127.0.0.1"},
		{1, []string{"[::2]"}, "127.0.0.1"},
		{1, []string{"::2"}, "::2"},
		{1, []string{"8.8.8.8,bad"}, "127.0.0.1"},
		{1, []string{"8.8.8.8,::102:304"}, "::1.2.3.4"},
		{1, []string{"::1:2"}, "::0.1.0.2"},
		{1, []string{"::5"}, "::5"},
		{1, []string{"::ffff:1.2.3.4"}, "::ffff:1.2.3.4"},
		{1, []string{"2001:DB8:0:0::1"}, "2001:db8::1"},
		{1, []string{"2001:db8:0:1:1:1:1:1"}, "2001:db8:0:1:1:1:1:1"},
		{1, []string{"1:0:0:2:0:0:0:3"}, "1:0:0:2::3"},
		{1, []string{"01.2.3.4"}, "127.0.0.1"},
		{1, []string{"1.2.3.4,\t5.6.7.8"}, "5.6.7.8"},
		{2, []string{"1.2.3.4"}, "127.0.0.1"},
		{2, []string{"1.2.3.4,"}, "1.2.3.4"},
		{2, []string{"1.1.1.1,2.2.2.2,3.3.3.3"}, "2.2.2.2"},
		{2, []string{"8.8.8.8,bad"}, "8.8.8.8"},
		{2, []string{"bad,1.2.3.4"}, "127.0.0.1"},
	}
	for _, c := range cases {
		r := routerOf(t, &policy.Fleet{Name: "default", TrustedHops: c.hops}, named("orders", func(d *crossfadev1.Service) { sticky(d, "address") }))
		q := policy.Request{Host: "orders.test", Path: "/", ClientAddress: "127.0.0.1"}
		for _, line := range c.xff {
			q.Headers = append(q.Headers, policy.Header{Name: "X-Forwarded-For", Value: line})
		}
		if d := r.Route(q); d.Hash == nil || d.Hash.Key != c.want {
			t.Errorf("%d hops, %q: %+v, want %s", c.hops, c.xff, d.Hash, c.want)
		}
	}
}

// Raising one of two origins, or moving between the primary and one neighbour of three, moves users one way only.
func TestRowIsMonotone(t *testing.T) {
	ramp := func(name string, origins []string, primary string, steps []map[string]int32, raised string) {
		before := map[int]string{}
		for n, weights := range steps {
			doc := named("orders", func(d *crossfadev1.Service) {
				d.Origins = nil
				for i, o := range origins {
					d.Origins = append(d.Origins, &crossfadev1.Origin{Name: o, Discovery: &crossfadev1.Origin_Static{
						Static: &crossfadev1.StaticEndpoints{Endpoints: []string{fmt.Sprintf("10.0.0.%d:80", i+1)}},
					}})
				}
				d.Primary = primary
				sticky(d, "header")
				d.Split.Weights = weights
			})
			r := routerOf(t, nil, doc)
			for user := range 2000 {
				q := headers("x-user", fmt.Sprint(user))
				q.Host, q.Path = "orders.test", "/"
				now := r.Route(q).Origin
				if was, ok := before[user]; ok && was != now && now != raised {
					t.Fatalf("%s, step %d: user %d went from %s to %s", name, n, user, was, now)
				}
				before[user] = now
			}
		}
	}
	for _, primary := range []string{"ecs", "eks"} {
		ramp("two", []string{"ecs", "eks"}, primary, []map[string]int32{{"ecs": 10000}, {"ecs": 9000, "eks": 1000}, {"ecs": 5000, "eks": 5000}, {"eks": 10000}}, "eks")
	}
	ramp("three", []string{"ecs", "eks", "gke"}, "ecs", []map[string]int32{
		{"ecs": 8000, "eks": 2000}, {"ecs": 7000, "eks": 2000, "gke": 1000}, {"ecs": 4000, "eks": 2000, "gke": 4000}, {"eks": 2000, "gke": 8000},
	}, "gke")
}
