package policy_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// orders is a small valid document that cases change.
func orders() *crossfadev1.Service {
	static := func(endpoint string) *crossfadev1.Origin_Static {
		return &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: []string{endpoint}}}
	}
	return &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: "orders", Hosts: []string{"orders.test"}, Primary: "ecs",
		Origins: []*crossfadev1.Origin{
			{Name: "ecs", Discovery: static("10.0.0.1:8080")},
			{Name: "eks", Discovery: static("10.0.0.2:8080")},
		},
	}
}

func headerPin(name string, m *crossfadev1.ValueMatch) *crossfadev1.Pin {
	return &crossfadev1.Pin{Name: name, Origin: "eks", Match: &crossfadev1.Pin_Header{Header: m}}
}

func exact(name, value string) *crossfadev1.ValueMatch {
	return &crossfadev1.ValueMatch{Name: name, Condition: &crossfadev1.ValueMatch_Exact{Exact: value}}
}

func regex(name, value string) *crossfadev1.ValueMatch {
	return &crossfadev1.ValueMatch{Name: name, Condition: &crossfadev1.ValueMatch_Regex{Regex: value}}
}

func prefix(name, value string) *crossfadev1.ValueMatch {
	return &crossfadev1.ValueMatch{Name: name, Condition: &crossfadev1.ValueMatch_Prefix{Prefix: value}}
}

func mustCompile(t testing.TB, doc *crossfadev1.Service) *policy.Service {
	t.Helper()
	s, errs := policy.CompileService(doc)
	if errs != nil {
		t.Fatalf("%s\n%s", errs, protojson.Format(doc))
	}
	return s
}

// badService is a document with something wrong, and what has to be said about it: "code field", in this order.
type badService struct {
	name   string
	change func(*crossfadev1.Service)
	want   []string
}

func TestCompileServiceRefuses(t *testing.T) {
	var golden strings.Builder
	for _, c := range badServices() {
		t.Run(c.name, func(t *testing.T) {
			doc := orders()
			c.change(doc)
			before := proto.CloneOf(doc)
			s, errs := policy.CompileService(doc)
			if s != nil {
				t.Error("a service came with the errors")
			}
			if got := codesAndFields(errs); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if !proto.Equal(doc, before) {
				t.Error("the document was changed")
			}
			fmt.Fprintf(&golden, "# %s\n%s\n\n", c.name, errs)
		})
	}
	checkGolden(t, "errors.golden", golden.String())
}

func codesAndFields(errs policy.Errors) []string {
	var out []string
	for _, e := range errs {
		out = append(out, e.Code+" "+e.Field)
	}
	return out
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run the test with -update and read the difference", path)
	}
}

func TestCompileServiceDefaults(t *testing.T) {
	s := mustCompile(t, orders())
	if !slices.Equal(s.Fleets, []string{"default"}) || s.Port != 10000 || !slices.Equal(s.PathPrefixes, []string{"/"}) {
		t.Errorf("fleets %q, port %d, prefixes %q", s.Fleets, s.Port, s.PathPrefixes)
	}
	if want := (policy.Timeouts{Idle: time.Minute}); s.Timeouts != want {
		t.Errorf("timeouts %+v, want those of an ALB: %+v", s.Timeouts, want)
	}
	if s.Pins != nil || s.Split.Sticky != nil {
		t.Errorf("pins %v, sticky %v; want none", s.Pins, s.Split.Sticky)
	}
	if r := s.Retries; r == nil || !slices.Equal(r.On, []string{"connect-failure", "refused-stream"}) || r.Attempts != 3 {
		t.Errorf("retries %+v, want what is safe", r)
	}
	if w := s.Split.Weights; len(w) != 2 || w["ecs"] != 10000 || w["eks"] != 0 {
		t.Errorf("weights %v, want everything at the primary", w)
	}
	o := s.Origins[0]
	if o.Protocol != policy.HTTP1 || o.ConnectTimeout != 5*time.Second || o.HealthCheck != nil || o.OutlierDetection != nil {
		t.Errorf("origin %+v", o)
	}
	if want := (policy.CircuitBreakers{MaxConnections: 100_000, MaxPendingRequests: 100_000, MaxRequests: 100_000, MaxRetries: 1000}); o.CircuitBreakers != want {
		t.Errorf("circuit breakers %+v, want %+v", o.CircuitBreakers, want)
	}
}

func TestCompileServiceDefaultsOfParts(t *testing.T) {
	doc := orders()
	doc.Hosts = []string{"*.orders.test", "Orders.Test."}
	doc.Origins[0].HealthCheck = &crossfadev1.HealthCheck{Path: "/healthz"}
	doc.Origins[1].HealthCheck = &crossfadev1.HealthCheck{Path: "/", Interval: durationpb.New(time.Second)}
	doc.Origins[1].OutlierDetection = &crossfadev1.OutlierDetection{}
	doc.Retries = &crossfadev1.Retries{On: []string{"refused-stream", "connect-failure"}}
	doc.Split = &crossfadev1.Split{Sticky: &crossfadev1.Sticky{Key: &crossfadev1.Sticky_Cookie{Cookie: &crossfadev1.StickyCookie{Name: "cf"}}}}
	doc.Pins = []*crossfadev1.Pin{headerPin("beta", exact("X-Beta", "1"))}
	s := mustCompile(t, doc)
	if h := s.Origins[0].HealthCheck; h.Host != "orders.test" || h.Interval != 10*time.Second || h.Timeout != 5*time.Second ||
		h.UnhealthyThreshold != 2 || h.HealthyThreshold != 2 || !slices.Equal(h.ExpectedStatuses, []policy.StatusRange{{From: 200, To: 200}}) {
		t.Errorf("health check %+v", h)
	}
	if h := s.Origins[1].HealthCheck; h.Timeout != time.Second {
		t.Errorf("timeout of a check %s, want at most the interval", h.Timeout)
	}
	if o := *s.Origins[1].OutlierDetection; o != (policy.OutlierDetection{ConsecutiveFailures: 5, Interval: 10 * time.Second, BaseEjectionTime: 30 * time.Second, MaxEjectionPercent: 50}) {
		t.Errorf("outlier detection %+v", o)
	}
	if r := s.Retries; r.Attempts != 1 || r.PerTryTimeout != 0 || !slices.Equal(r.On, []string{"connect-failure", "refused-stream"}) {
		t.Errorf("retries %+v", r)
	}
	if c := s.Split.Sticky.Cookie; *c != (policy.StickyCookie{Name: "cf", Path: "/"}) {
		t.Errorf("cookie %+v", c)
	}
	if p := s.Pins[0]; !p.Enabled || p.Match.Name != "x-beta" {
		t.Errorf("pin %+v, want it on, with its header in lower case", p)
	}
}

func TestHostsAreFolded(t *testing.T) {
	cases := map[string]string{
		"Orders.TEST": "orders.test", "orders.test.": "orders.test", "*": "*", "*.Orders.test": "*.orders.test", "localhost": "localhost",
		"10.0.0.1": "10.0.0.1", "::1": "[::1]", "[::1]": "[::1]", "[2001:DB8::0]": "[2001:db8::]", "a_b.test": "a_b.test",
		"xn--bcher-kva.test": "xn--bcher-kva.test", "a.b--c.test": "a.b--c.test", "1a.test": "1a.test", "*.t": "*.t",
	}
	for written, want := range cases {
		doc := orders()
		doc.Hosts = []string{written}
		if s, errs := policy.CompileService(doc); errs != nil || s.Hosts[0] != want {
			t.Errorf("%q: %v, %v; want %q", written, s, errs, want)
		}
	}
}

func TestPathPrefixesAreTrimmed(t *testing.T) {
	doc := orders()
	doc.PathPrefixes = []string{"/b/", "/", "/a/x.y~z/%2F", "/..a"}
	if s := mustCompile(t, doc); !slices.Equal(s.PathPrefixes, []string{"/", "/..a", "/a/x.y~z/%2F", "/b"}) {
		t.Errorf("%q", s.PathPrefixes)
	}
}

func TestMappedEndpointIsIPv4(t *testing.T) {
	doc := orders()
	doc.Origins[0].GetStatic().Endpoints = []string{"[::ffff:10.0.0.9]:80", "[2001:db8::1]:80"}
	s := mustCompile(t, doc)
	if got := fmt.Sprint(s.Origins[0].Static); got != "[10.0.0.9:80 [2001:db8::1]:80]" {
		t.Error(got)
	}
}

func TestCompileServiceNil(t *testing.T) {
	if _, errs := policy.CompileService(nil); len(errs) != 1 || errs[0].Code != "document_empty" {
		t.Error(errs)
	}
	hollow := &crossfadev1.Service{
		Listener: &crossfadev1.Listener{}, Origins: []*crossfadev1.Origin{nil, {Discovery: &crossfadev1.Origin_Static{}}},
		Split: &crossfadev1.Split{Sticky: &crossfadev1.Sticky{Key: &crossfadev1.Sticky_Cookie{}}}, Retries: &crossfadev1.Retries{},
		Pins: []*crossfadev1.Pin{nil, {}, {Match: &crossfadev1.Pin_Header{}}, {Match: &crossfadev1.Pin_Query{Query: &crossfadev1.ValueMatch{}}}},
	}
	if _, errs := policy.CompileService(hollow); len(errs) < 15 {
		t.Errorf("only %d errors: %v", len(errs), errs)
	}
}

func TestCompileFleet(t *testing.T) {
	f, errs := policy.CompileFleet(&crossfadev1.Fleet{ApiVersion: "crossfade/v1", Kind: "Fleet", Name: "edge", TrustedHops: 1, ProxyProtocol: true})
	if want := (&policy.Fleet{Name: "edge", TrustedHops: 1, ProxyProtocol: true}); errs != nil || !reflect.DeepEqual(f, want) {
		t.Error(f, errs)
	}
	if _, errs := policy.CompileFleet(nil); len(errs) != 1 {
		t.Error(errs)
	}
	var golden strings.Builder
	for _, doc := range []*crossfadev1.Fleet{{}, {ApiVersion: "crossfade/v1", Kind: "Service", Name: "Edge", TrustedHops: -1}, {ApiVersion: "crossfade/v2", Kind: "Fleet", Name: "edge", TrustedHops: 17}} {
		_, errs := policy.CompileFleet(doc)
		fmt.Fprintf(&golden, "%s\n\n", errs)
	}
	checkGolden(t, "fleet_errors.golden", golden.String())
}
