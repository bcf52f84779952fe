package envoy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/adstest"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// proxy is a bootstrap with a control plane that serves one service.
type proxy struct {
	ads            *adstest.Server
	listener       *loopback.Port
	ready          *loopback.Port
	origin         netip.AddrPort
	service        *policy.Service
	bootstrapBytes []byte
}

func newProxy(t *testing.T, b envoy.Bootstrap, handler http.HandlerFunc) *proxy {
	t.Helper()
	p := &proxy{ads: adstest.Start(t), listener: envoytest.Port(t), ready: envoytest.Port(t), origin: startOrigin(t, handler)}
	p.service = &policy.Service{
		Name: "orders", Fleets: []string{policy.DefaultFleet}, Hosts: []string{"*"}, PathPrefixes: []string{"/"}, Port: p.listener.Number(), Primary: "ecs",
		Origins: []policy.Origin{origin("ecs"), origin("eks")},
		Split:   policy.Split{Weights: map[string]policy.BasisPoints{"ecs": policy.Whole, "eks": 0}},
	}
	b.NodeID, b.ListenAddress, b.XDSAddress, b.ReadyAddress, b.AdminAddress = "p1", p.listener.Host(), p.ads.Addr, p.ready.Addr(), "127.0.0.1:0"
	var out bytes.Buffer
	if err := envoy.Render(&out, b); err != nil {
		t.Fatal(err)
	}
	p.bootstrapBytes = out.Bytes()
	return p
}

func origin(name string) policy.Origin {
	return policy.Origin{
		Name: name, Protocol: policy.HTTP1, ConnectTimeout: time.Second,
		CircuitBreakers: policy.CircuitBreakers{MaxConnections: 1000, MaxPendingRequests: 1000, MaxRequests: 1000, MaxRetries: 10},
	}
}

// serve hands out the configuration, all but readiness.
func (p *proxy) serve() {
	st := translate.Build(nil, []*policy.Service{p.service}, translate.Options{})
	p.ads.Set(translate.Endpoints("orders", "ecs", translate.Static([]netip.AddrPort{p.origin})), translate.Endpoints("orders", "eks", nil))
	p.ads.SetStructure(st, p.listener.Host())
}

func startOrigin(t *testing.T, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", loopback.Host()+":0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// ask returns status and body of one request on a connection of its own; 0 if nobody listens.
func ask(t *testing.T, url string) (int, string) {
	t.Helper()
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return 0, ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (p *proxy) awaitReady(t *testing.T, want int) string {
	t.Helper()
	var body string
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll.Until(ctx, 10*time.Millisecond, func(context.Context) error {
		var got int
		if got, body = ask(t, "http://"+p.ready.Addr()+"/ready"); got != want {
			return fmt.Errorf("got %d %s", got, body)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return body
}

// TestReadiness follows a proxy from its start to the failing of its health.
func TestReadiness(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		p := newProxy(t, envoy.Bootstrap{}, func(http.ResponseWriter, *http.Request) {})
		p.ads.Set(translate.Build(nil, []*policy.Service{p.service}, translate.Options{}).Listeners(p.listener.Host(), "")...)
		e := envoytest.Start(t, envoytest.Config{Version: version, Bootstrap: p.bootstrapBytes})
		e.AwaitStat("control_plane.connected_state", func(n uint64) bool { return n == 1 })
		if status, _ := ask(t, "http://"+p.ready.Addr()+"/ready"); status != 0 {
			t.Errorf("before any configuration: %d", status)
		}
		p.serve()
		e.AwaitReady()
		p.ads.AwaitAcked(t)
		if status, body := ask(t, "http://"+p.ready.Addr()+"/ready"); status != 503 || !strings.Contains(body, "first complete configuration") {
			t.Errorf("before the control plane says ready: %d %s", status, body)
		}
		p.ads.Set(translate.Ready(true))
		p.awaitReady(t, 200)
		if status, _ := ask(t, "http://"+p.listener.Addr()+"/"); status != 200 {
			t.Errorf("ready, but the service answers %d", status)
		}
		if got := rawReady(t, p.ready.Addr(), "PROXY TCP4 203.0.113.9 10.0.0.1 5000 443\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("behind a PROXY protocol header: %q", got)
		}
		if _, err := e.Post(t.Context(), "/healthcheck/fail"); err != nil {
			t.Fatal(err)
		}
		p.awaitReady(t, 503)
		if _, err := e.Post(t.Context(), "/healthcheck/ok"); err != nil {
			t.Fatal(err)
		}
		p.awaitReady(t, 200)
		p.ads.Set(translate.Ready(false))
		p.awaitReady(t, 503)
		if log := e.Logs(); strings.Contains(log, "][warning]") || strings.Contains(log, "][error]") {
			t.Errorf("Envoy warns:\n%s", log)
		}
	})
}

func rawReady(t *testing.T, address, before string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "%sGET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", before)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestStatistics reads what reaches the control plane: what is listed, named by cluster, and nothing else.
func TestStatistics(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		p := newProxy(t, envoy.Bootstrap{FlushInterval: 100 * time.Millisecond, Zone: "a"}, func(http.ResponseWriter, *http.Request) {})
		p.serve()
		e := envoytest.Start(t, envoytest.Config{Version: version, Bootstrap: p.bootstrapBytes})
		e.AwaitReady()
		p.ads.AwaitAcked(t)
		for range 3 {
			if status, _ := ask(t, "http://"+p.listener.Addr()+"/"); status != 200 {
				t.Fatal(status)
			}
		}
		seen := map[string]float64{}
		read := 0
		p.ads.Await(t, "the statistics of three requests", func() bool {
			reports := p.ads.ReportsLocked()
			for _, r := range reports[read:] {
				for _, m := range r.GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics() {
					for _, p := range m.GetSum().GetDataPoints() {
						seen[series(m.GetName(), p.GetAttributes())] += float64(p.GetAsInt())
					}
					for _, p := range m.GetHistogram().GetDataPoints() {
						seen[series(m.GetName(), p.GetAttributes())] += float64(p.GetCount())
					}
					for _, p := range m.GetGauge().GetDataPoints() {
						seen[series(m.GetName(), p.GetAttributes())] = float64(p.GetAsInt())
					}
				}
			}
			read = len(reports)
			return seen["cluster.upstream_rq_total envoy.cluster_name=orders/ecs"] == 3 &&
				seen["cluster.upstream_rq_xx envoy.cluster_name=orders/ecs envoy.response_code_class=2"] == 3 &&
				seen["cluster.upstream_rq_time envoy.cluster_name=orders/ecs"] == 3
		})
		allowed := regexp.MustCompile(`^(cluster\.upstream_(rq|cx)_\w+ .*envoy\.cluster_name=orders/e[ck]s.*|cluster\.upstream_rq_total envoy\.cluster_name=xds|http\.ingress\.[\w.]+( envoy\.response_code_class=\d)?|server\.\w+|control_plane\.\w+|runtime\.\w+|listener_manager\.\w+|cluster_manager\.\w+|listener\..*cx_overflow|overload\..*)$`)
		for name := range seen {
			if !allowed.MatchString(name) {
				t.Errorf("also sent: %s", name)
			}
		}
	})
}

// series names one series: its metric and its attributes, sorted.
func series(metric string, attributes []*commonv1.KeyValue) string {
	var out []string
	for _, a := range attributes {
		out = append(out, a.GetKey()+"="+a.GetValue().GetStringValue())
	}
	slices.Sort(out)
	return strings.Join(append([]string{metric}, out...), " ")
}

// TestConnectionLimit opens more connections than allowed; readiness and the admin interface are not counted and still answer.
func TestConnectionLimit(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		p := newProxy(t, envoy.Bootstrap{MaxConnections: 2}, func(http.ResponseWriter, *http.Request) {})
		p.serve()
		p.ads.Set(translate.Ready(true))
		e := envoytest.Start(t, envoytest.Config{Version: version, Bootstrap: p.bootstrapBytes})
		e.AwaitReady()
		p.awaitReady(t, 200)
		var held []net.Conn
		for range 2 {
			c, err := net.Dial("tcp", p.listener.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			held = append(held, c)
		}
		e.AwaitStat("http.ingress.downstream_cx_active", func(n uint64) bool { return n == uint64(len(held)) })
		third, err := net.Dial("tcp", p.listener.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer third.Close()
		if n, err := third.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("a third connection is open: %d bytes, %v", n, err)
		}
		p.awaitReady(t, 200)
	})
}
