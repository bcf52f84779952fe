package translate_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

const twoOrigins = `
apiVersion: crossfade/v1
kind: Service
name: orders
hosts: [orders.test]
listener: {port: PORT}
primary: ecs
origins:
- {name: ecs, static: {endpoints: ["127.0.0.1:1"]}}
- {name: eks, static: {endpoints: ["127.0.0.1:1"]}}
`

// weights of eks over a rising ramp, in basis points.
var ramp = []policy.BasisPoints{0, 100, 500, 1000, 2500, 5000, 7500, 9000, 9900, 10000}

// TestStickyNobodyChangesSides lets 1,000 clients come back at each step of a ramp, new ones among them: nobody who was sent to eks once
// is ever sent back, from the first request on.
func TestStickyNobodyChangesSides(t *testing.T) {
	for name, c := range map[string]struct {
		sticky  string
		headers func(client int, jar map[int]string) []string
	}{
		"header": {"header: {name: X-User}", func(client int, _ map[int]string) []string { return []string{fmt.Sprintf("x-user: u%d", client)} }},
		"cookie": {"cookie: {name: cf, ttl: 24h}", func(client int, jar map[int]string) []string {
			if jar[client] == "" {
				return nil
			}
			return []string{"cookie: other=1; " + jar[client]}
		}},
		"client-address": {"clientAddress: {}", func(client int, _ map[int]string) []string {
			return []string{fmt.Sprintf("x-forwarded-for: 203.%d.%d.7", client/256, client%256)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			envoytest.EachVersion(t, func(t *testing.T, version string) {
				l := newLab(t, version, twoOrigins+"split: {weights: {ecs: 10000}, sticky: {"+c.sticky+"}}\n---\n{apiVersion: crossfade/v1, kind: Fleet, name: default, trustedHops: 1}\n")
				const clients = 1000
				jar, moved := map[int]string{}, map[int]bool{}
				for step, eks := range ramp {
					l.split("orders", map[string]policy.BasisPoints{"ecs": policy.Whole - eks, "eks": eks})
					onEKS := 0
					for client := range clients * (step + 1) / len(ramp) {
						r := l.get("orders.test", "/", c.headers(client, jar)...)
						if set := r.Header.Get("set-cookie"); set != "" {
							if jar[client] != "" {
								t.Fatalf("client %d got a second cookie: %q", client, set)
							}
							jar[client], _, _ = strings.Cut(set, ";")
						}
						switch {
						case r.origin() == "orders/eks":
							moved[client] = true
							onEKS++
						case moved[client]:
							t.Fatalf("at %d: client %d went back to %s", eks, client, r.origin())
						}
					}
					t.Logf("%5d: %d of %d on eks", eks, onEKS, clients*(step+1)/len(ramp))
				}
			})
		})
	}
}

// TestStickyCookie looks at the cookie and at what the origin sees.
func TestStickyCookie(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, twoOrigins+"split: {weights: {ecs: 10000}, sticky: {cookie: {name: cf, ttl: 24h, path: /shop}}}\n")
		l.origins["orders/ecs"].answer(func(w http.ResponseWriter, _ *http.Request) { w.Header().Add("Set-Cookie", "app=1") })

		r := l.get("orders.test", "/", "x-cf-key: forged", "x-cf-other: forged")
		set := r.Header.Values("set-cookie")
		if len(set) != 2 || set[0] != "app=1" || !strings.HasPrefix(set[1], "cf=") || !strings.HasSuffix(set[1], "; Path=/shop; Max-Age=86400; HttpOnly; SameSite=Lax") {
			t.Errorf("set-cookie: %q", set)
		}
		if strings.Contains(set[len(set)-1], "forged") {
			t.Errorf("the client chose its key: %q", set)
		}
		for name := range l.origins["orders/ecs"].last(t).Header {
			if strings.HasPrefix(strings.ToLower(name), "x-cf-") {
				t.Errorf("the origin saw %s", name)
			}
		}
		for _, cookie := range []string{"cf=abc", "a=1; cf=abc", `cf="abc"; b=2`} {
			if r := l.get("orders.test", "/", "cookie: "+cookie); len(r.Header.Values("set-cookie")) != 1 {
				t.Errorf("with %q: set-cookie %q", cookie, r.Header.Values("set-cookie"))
			}
			if got := l.origins["orders/ecs"].last(t).Header.Get("cookie"); got != cookie {
				t.Errorf("the origin saw cookie %q, want %q", got, cookie)
			}
		}
		for _, cookie := range []string{"cf=", "xcf=1", "a=cf=1"} {
			if r := l.get("orders.test", "/", "cookie: "+cookie); len(r.Header.Values("set-cookie")) != 2 {
				t.Errorf("with %q: set-cookie %q", cookie, r.Header.Values("set-cookie"))
			}
		}
	})
}

const threeOrigins = twoOrigins + `- {name: new, static: {endpoints: ["127.0.0.1:1"]}}
split: {weights: {ecs: 8000, eks: 2000}, sticky: {header: {name: x-user}}}
`

// TestStickyThreeOrigins moves weight between the primary and each of the others, up and down, by levers alone: only users of the two
// origins whose weights change are moved, in the direction of the change.
func TestStickyThreeOrigins(t *testing.T) {
	steps := []map[string]policy.BasisPoints{
		{"ecs": 8000, "eks": 2000, "new": 0},
		{"ecs": 7000, "eks": 2000, "new": 1000},
		{"ecs": 5000, "eks": 4000, "new": 1000},
		{"ecs": 2000, "eks": 4000, "new": 4000},
		{"ecs": 0, "eks": 6000, "new": 4000},
		{"ecs": 3000, "eks": 6000, "new": 1000},
		{"ecs": 9000, "eks": 0, "new": 1000},
	}
	const clients = 300
	for _, primary := range []string{"ecs", "eks", "new"} {
		t.Run(primary, func(t *testing.T) {
			envoytest.EachVersion(t, func(t *testing.T, version string) {
				l := newLab(t, version, strings.Replace(threeOrigins, "primary: ecs", "primary: "+primary, 1))
				at := map[int]string{}
				rename := map[string]string{"ecs": primary, primary: "ecs"} // the first of the steps' origins is the primary
				var before map[string]policy.BasisPoints
				for _, step := range steps {
					weights := map[string]policy.BasisPoints{}
					for o, w := range step {
						if to, ok := rename[o]; ok {
							o = to
						}
						weights[o] = w
					}
					l.split("orders", weights)
					for client := range clients {
						_, now, _ := strings.Cut(l.get("orders.test", "/", fmt.Sprintf("x-user: u%d", client)).origin(), "/")
						if was := at[client]; was != "" && was != now && (weights[was] >= before[was] || weights[now] <= before[now]) {
							t.Fatalf("%v to %v: client %d went from %s to %s", before, weights, client, was, now)
						}
						at[client] = now
					}
					before = weights
				}
			})
		})
	}
}
