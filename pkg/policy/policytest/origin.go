package policytest

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func (g *generator) origins(service string) []*crossfadev1.Origin {
	names := []string{"ecs", "eks", "blue", "green", "o5", "o6", "o7", "o8"}[:min(8, g.opts.MaxOrigins)]
	var out []*crossfadev1.Origin
	for _, i := range g.Perm(len(names))[:2+g.IntN(len(names)-1)] {
		out = append(out, g.origin(service, names[i]))
	}
	return out
}

func (g *generator) origin(service, name string) *crossfadev1.Origin {
	o := &crossfadev1.Origin{Name: name, Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: g.endpoints(service, name)}}}
	if g.one(4) {
		o.Protocol = pick(g.Rand, []string{"http1", "http2"})
	}
	if g.one(3) {
		o.ConnectTimeout = g.millis(500, 10_000)
	}
	if g.one(4) {
		o.Capacity = &crossfadev1.Capacity{RequestsPerSecond: 1 + g.Int32N(10_000)}
	}
	if g.opts.Elsewhere {
		g.elsewhere(o)
	}
	if g.opts.Quiet {
		return o
	}
	if g.one(4) {
		o.SlowStart = g.millis(1_000, 60_000)
	}
	if g.one(4) {
		o.HealthCheck = g.healthCheck()
	}
	if g.one(3) {
		o.OutlierDetection = g.outlierDetection()
	}
	if g.one(3) {
		o.CircuitBreakers = &crossfadev1.CircuitBreakers{MaxConnections: g.limit(), MaxPendingRequests: g.limit(), MaxRequests: g.limit(), MaxRetries: g.limit()}
	}
	return o
}

// elsewhere lets the endpoints come from another source than the document, half of the time.
func (g *generator) elsewhere(o *crossfadev1.Origin) {
	maybe := func(s string) string { return pick(g.Rand, []string{"", s}) }
	switch g.IntN(8) {
	case 0:
		e := &crossfadev1.EcsService{Region: maybe("eu-central-1"), Cluster: pick(g.Rand, []string{"prod", "arn:aws:ecs:eu-central-1:1:cluster/x"}), Container: maybe("app"), Port: 1 + g.Int32N(65535)}
		if e.Service = maybe("orders"); e.Service == "" {
			e.Group = "family:orders"
		}
		o.Discovery = &crossfadev1.Origin_Ecs{Ecs: e}
	case 1:
		o.Discovery = &crossfadev1.Origin_CloudMap{CloudMap: &crossfadev1.CloudMapService{Region: maybe("us-east-1"), Namespace: "shop", Service: "orders", Port: pick(g.Rand, []int32{0, 8080})}}
	case 2:
		o.Discovery = &crossfadev1.Origin_Kubernetes{Kubernetes: &crossfadev1.KubernetesService{Cluster: "prod", Namespace: "shop", Service: "orders", Port: pick(g.Rand, []string{"", "http", "8080"})}}
	case 3:
		d := &crossfadev1.DnsName{Host: "orders.internal", Port: 1 + g.Int32N(65535), Lookup: pick(g.Rand, []string{"", "strict", "logical"})}
		if g.one(2) {
			d.Resolvers = []string{"127.0.0.53:53", "[::1]:5353"}[:1+g.IntN(2)]
		}
		o.Discovery = &crossfadev1.Origin_Dns{Dns: d}
	}
	if o.GetStatic() == nil && o.GetDns() == nil && g.one(2) {
		o.Zone = &crossfadev1.ZonePreference{MinEndpoints: 1 + g.Int32N(5)}
	}
	if !g.one(3) {
		return
	}
	o.Tls = &crossfadev1.Tls{ServerName: "orders.internal", InsecureSkipVerify: g.one(3)}
	if !o.Tls.InsecureSkipVerify {
		o.Tls.CaFile = maybe("/etc/pki/tls/certs/ca-bundle.crt")
	}
	if g.one(2) {
		o.Tls.CertificateFile, o.Tls.KeyFile = "/etc/pki/tls/certs/proxy.crt", "/etc/pki/tls/private/proxy.key"
	}
}

func (g *generator) endpoints(service, origin string) []string {
	if g.opts.Endpoints != nil {
		return g.opts.Endpoints(service, origin)
	}
	seen := map[string]bool{}
	var out []string
	for range 1 + g.IntN(4) {
		e := fmt.Sprintf("127.%d.%d.%d:%d", 1+g.IntN(254), g.IntN(256), 1+g.IntN(254), 1+g.IntN(65535))
		if g.one(5) {
			e = fmt.Sprintf("[2001:db8::%x]:%d", 1+g.IntN(65535), 1+g.IntN(65535))
		}
		if !seen[e] {
			seen[e] = true
			out = append(out, e)
		}
	}
	return out
}

// limit is 0, the default, once in three times.
func (g *generator) limit() int32 {
	if g.one(3) {
		return 0
	}
	return 1000 + g.Int32N(100_000)
}

func (g *generator) healthCheck() *crossfadev1.HealthCheck {
	h := &crossfadev1.HealthCheck{Path: pick(g.Rand, []string{"/healthz", "/", "/ready?deep=1"})}
	if g.one(2) {
		h.Host = pick(g.Rand, []string{"health.test", "health.test:8080", "[::1]:80"})
	}
	if g.one(2) {
		h.Interval = g.millis(6_000, 60_000)
	}
	if g.one(2) {
		h.Timeout = g.millis(100, 6_000)
	}
	if g.one(2) {
		h.UnhealthyThreshold, h.HealthyThreshold = 1+g.Int32N(9), 1+g.Int32N(9)
	}
	if g.one(2) {
		h.ExpectedStatuses = g.some([]string{"200", "204", "200-399", "404"}, 3)
	}
	return h
}

func (g *generator) outlierDetection() *crossfadev1.OutlierDetection {
	d := &crossfadev1.OutlierDetection{}
	if g.one(2) {
		d.ConsecutiveFailures = 1 + g.Int32N(20)
	}
	if g.one(2) {
		d.Interval = g.millis(100, 60_000)
	}
	if g.one(2) {
		d.BaseEjectionTime = durationpb.New(time.Duration(1+g.IntN(300)) * time.Second)
	}
	if g.one(2) {
		d.MaxEjectionPercent = 1 + g.Int32N(100)
	}
	return d
}
