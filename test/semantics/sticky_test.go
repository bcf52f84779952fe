package semantics

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// ramp is the weight of the new origin over time, in basis points.
var ramp = []policy.BasisPoints{0, 100, 500, 1_000, 2_500, 5_000, 7_500, 10_000}

// TestNobodyChangesSides raises a split by levers, step by step, while clients come back at each step and new ones join. Each is recognised
// by a cookie (in a cookie jar as browsers have it), by a header or by its address. Whoever has been served by the new origin is never
// served by the old one again, from a client's very first request on; at each step the share of the new origin is right; and every client is where
// the model says.
func TestNobodyChangesSides(t *testing.T) {
	for _, kind := range []stickyKind{
		{"cookie", &crossfadev1.Sticky{Key: &crossfadev1.Sticky_Cookie{Cookie: &crossfadev1.StickyCookie{Name: "cf"}}}, cookieClient},
		{"header", &crossfadev1.Sticky{Key: &crossfadev1.Sticky_Header{Header: &crossfadev1.StickyHeader{Name: "X-User"}}}, headerClient},
		{"address", &crossfadev1.Sticky{Key: &crossfadev1.Sticky_ClientAddress{ClientAddress: &crossfadev1.StickyClientAddress{}}}, addressClient},
	} {
		t.Run(kind.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version string) { kind.test(t, version) })
		})
	}
}

type stickyKind struct {
	name   string
	sticky *crossfadev1.Sticky
	client func(t *testing.T, f *fleet, n int) stickyClient
}

// stickyClient is one user. What the model needs to recognise it is in a request.
type stickyClient struct {
	http     *http.Client
	header   http.Header
	followUp func() policy.Request
}

func (k stickyKind) test(t *testing.T, version string) {
	f := newWorld(t, version).fleet("default", 1, false)
	f.envoy.AwaitReady()
	settings, services := compile(t, &crossfadev1.Fleet{ApiVersion: policy.APIVersion, Kind: policy.KindFleet, Name: f.name}, &crossfadev1.Service{
		ApiVersion: policy.APIVersion, Kind: policy.KindService, Name: "orders", Hosts: []string{"orders.test"}, Primary: "ecs", Listener: &crossfadev1.Listener{Port: int32(f.ports[0])},
		Origins: []*crossfadev1.Origin{staticOrigin("ecs", "127.0.0.1:1"), staticOrigin("eks", "127.0.0.1:1")}, Split: &crossfadev1.Split{Sticky: k.sticky},
	})
	startOrigins(t, services[0])
	f.publish(settings, services)

	var clients []stickyClient
	moved := map[int]bool{}
	for step, eks := range ramp {
		service := withWeights(services[0], map[string]policy.BasisPoints{"ecs": policy.Whole - eks, "eks": eks})
		f.flip(service)
		router := policy.NewRouter(settings, []*policy.Service{service})
		onEKS, all := 0, run.clients*(step+1)/len(ramp)
		for n := range all {
			if n == len(clients) {
				clients = append(clients, k.client(t, f, n))
			}
			for request := range 2 { // a new client's second request is the first with a cookie
				got := clients[n].origin(t, f)
				if moved[n] && got != "orders/eks" {
					t.Fatalf("%v: client %d, request %d of this step, went back to %s", eks, n, request+1, got)
				}
				q := clients[n].followUp()
				d := router.Route(q)
				if want := policy.ClusterName(d.Service, d.Origin); got != want {
					t.Fatalf("%v: client %d, request %d of this step, went to %s, the model says %s\n%+v", eks, n, request+1, got, want, q)
				}
				moved[n] = got == "orders/eks"
			}
			if moved[n] {
				onEKS++
			}
		}
		if surprising(onEKS, all, float64(eks)/float64(policy.Whole), falseAlarm/float64(3*len(run.versions)*len(ramp))) {
			t.Errorf("%v: %d of %d clients are at the new origin", eks, onEKS, all)
		}
	}
}

// cookieClient has a cookie jar, and nothing else that would tell it from others.
func cookieClient(t *testing.T, f *fleet, _ int) stickyClient {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return stickyClient{http: &http.Client{Jar: jar, Timeout: 15 * time.Second, Transport: f.transport(nil)}, followUp: func() policy.Request {
		q := policy.Request{Port: f.ports[0], Host: "orders.test", Path: "/cart"}
		req, _ := http.NewRequest(http.MethodGet, f.url(), nil)
		for _, c := range jar.Cookies(req.URL) {
			q.Headers = append(q.Headers, policy.Header{Name: "cookie", Value: c.Name + "=" + c.Value})
		}
		return q
	}}
}

func headerClient(_ *testing.T, f *fleet, n int) stickyClient {
	user := fmt.Sprintf("user-%d-%d", run.seed, n)
	return stickyClient{http: &http.Client{Timeout: 15 * time.Second, Transport: f.transport(nil)}, header: http.Header{"X-User": {user}}, followUp: func() policy.Request {
		return policy.Request{Port: f.ports[0], Host: "orders.test", Path: "/cart", Headers: []policy.Header{{Name: "x-user", Value: user}}}
	}}
}

// addressClient connects from an address of its own.
func addressClient(t *testing.T, f *fleet, n int) stickyClient {
	ip := net.IPv4(127, 100+byte(run.seed%100), byte(1+n/250), byte(1+n%250))
	transport := f.transport(&net.TCPAddr{IP: ip})
	t.Cleanup(transport.CloseIdleConnections)
	return stickyClient{http: &http.Client{Timeout: 15 * time.Second, Transport: transport}, followUp: func() policy.Request {
		return policy.Request{Port: f.ports[0], Host: "orders.test", Path: "/cart", ClientAddress: ip.String()}
	}}
}

// url is what clients ask for: a name, as browsers do.
func (f *fleet) url() string { return fmt.Sprintf("http://orders.test:%d/cart", f.ports[0]) }

// transport connects to the proxy, whatever the name.
func (f *fleet) transport(from net.Addr) *http.Transport {
	if from == nil && f.shared != nil {
		return f.shared
	}
	d := net.Dialer{LocalAddr: from}
	out := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, net.JoinHostPort(f.host, fmt.Sprint(f.ports[0])))
	}}
	if from == nil {
		f.shared = out
		f.t.Cleanup(out.CloseIdleConnections)
	}
	return out
}

// origin sends one request and returns who answered.
func (c stickyClient) origin(t *testing.T, f *fleet) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.header != nil {
		req.Header = c.header.Clone()
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", resp.Status, body, err)
	}
	return resp.Header.Get("x-origin")
}
