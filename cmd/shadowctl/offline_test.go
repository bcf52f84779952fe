package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/version"
)

// offline runs a command line where there is no server.
func offline(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return shadowctl(t.Context(), invocation{args: append(args, "--server", closedAddress(t)), stdin: stdin})
}

const full = `apiVersion: crossfade/v1
kind: Service
name: orders
fleet: edge
hosts: [orders.test]
primary: ecs
origins:
  - {name: ecs, static: {endpoints: ["127.0.0.2:80"]}}
  - {name: eks, static: {endpoints: ["127.0.0.3:80"]}}
split: {weights: {ecs: 75%, eks: 25%}}
pins:
  - {name: beta, origin: eks, header: {name: x-beta, exact: "1"}}
  - {name: stay, origin: ecs, cookie: {name: stay, present: true}}
`

// TestExamplesAreValid: what "example" prints is accepted by "validate".
func TestExamplesAreValid(t *testing.T) {
	for _, kind := range []string{"service", "service --discovery", "fleet", "mirror", "rollout"} {
		example := offline(t, "", append([]string{"example"}, strings.Fields(kind)...)...)
		if r := offline(t, example.out, "validate", "-f", "-"); r.exit != 0 || !strings.HasSuffix(r.out, " is valid\n") {
			t.Errorf("%s: exit %d, %s%s", kind, r.exit, r.out, r.err)
		}
	}
}

// TestValidate: everything that is wrong in any file is said with its place.
func TestValidate(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yaml", full)
	bad := write("bad.yaml", full+"---\n"+strings.Replace(full, "primary: ecs", "primary: gke", 1))
	sources := 0
	source := func(text string) string {
		sources++
		return write(fmt.Sprintf("source%d.yaml", sources), strings.Replace(full, `static: {endpoints: ["127.0.0.3:80"]}`, text, 1))
	}
	typo := write("typo.yaml", "apiVersion: crossfade/v1\nkind: Service\nnam: x\n")
	for _, tt := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"-f", good}, 0, ""},
		{[]string{"-f", good, bad}, 2, "error: " + bad + `:20: primary: "gke": the service has no origin of this name`},
		{[]string{"-f", good, "-f", good}, 2, "error: " + good + `:3: name: "orders": two services are named "orders"`},
		{[]string{"-f", typo, "-f", bad}, 2, "error: " + typo + `:3:1: nam: there is no such field`},
		{[]string{"-f", write("fleets.yaml", exampleFleet+"---\n"+exampleFleet)}, 2, "error: " + dir + `/fleets.yaml:18: name: "default": two documents set fleet "default"`},
		{[]string{"-f", source("kubernetes: {cluster: prod, namespace: shop, service: orders, port: 8080}")}, 0, ""},
		{[]string{"-f", source("cloudMap: {namespace: shop.local, service: orders}, slowStart: 30s, capacity: {requestsPerSecond: 10}")}, 0, ""},
		{[]string{"-f", source("kubernetes: {cluster: prod, service: orders}")}, 2, "error: " + dir + `/source3.yaml:9: origins[1].kubernetes.namespace: `},
		{[]string{"-f", source("connectTimeout: 1s")}, 2, "error: " + dir + `/source4.yaml:9: origins[1]: it is not said where its endpoints come from: static, ecs, cloudMap, kubernetes or dns`},
		{[]string{"-f", source("ecs: {cluster: prod, service: orders, port: 80}, dns: {host: lb.test, port: 80}")}, 2, "error: " + dir + `/source5.yaml:9:66: origins[1].dns: cannot be set together with ecs`},
		{[]string{"-f", source("kubernetes: {cluster: prod, namespace: shop, service: orders, ports: http}")}, 2, "error: " + dir + `/source6.yaml:9:79: origins[1].kubernetes.ports: there is no such field`},
	} {
		r := offline(t, "", append([]string{"validate"}, tt.args...)...)
		if r.exit != tt.exit || !strings.HasPrefix(r.err, tt.want) {
			t.Errorf("%v: exit %d\ngot  %s\nwant %s", tt.args, r.exit, r.err, tt.want)
		}
	}
}

// TestExplainOffline answers like the proxies would, from a file.
func TestExplainOffline(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
	}{
		{"--host orders.test /", "orders, origin drawn: ecs 75% · eks 25%\n"},
		{"--host ORDERS.test.:1234 --header x-beta=1 /", "orders, origin eks\n"},
		{"--host orders.test --header cookie=stay=1 /", "orders, origin ecs\n"},
		{"--host other.test /", "No service takes it.\n"},
		{"--host orders.test --port 80 /", "No service takes it.\n"},
		{"--host orders.test --fleet default /", "No service takes it.\n"},
	} {
		r := offline(t, full, append([]string{"route", "explain", "-f", "-"}, strings.Fields(tt.args)...)...)
		if r.exit != 0 || !strings.HasPrefix(r.out, tt.want) {
			t.Errorf("%s: exit %d: %s%s", tt.args, r.exit, r.out, r.err)
		}
	}
}

// TestBreakGlassOffline: the commands need only the file.
func TestBreakGlassOffline(t *testing.T) {
	const curl = "curl -fsS -X POST 'http://127.0.0.1:9901/runtime_modify?"
	for _, tt := range []struct{ args, do, undo string }{
		{"", "w.orders.orders/ecs=10000&w.orders.orders/eks=0&p.orders.beta=0'", "w.orders.orders/ecs=&w.orders.orders/eks=&p.orders.beta='"},
		{"--keep-pins", "w.orders.orders/ecs=10000&w.orders.orders/eks=0'", "w.orders.orders/ecs=&w.orders.orders/eks='"},
		{"--origin eks", "w.orders.orders/eks=10000&w.orders.orders/ecs=0&p.orders.stay=0'", "w.orders.orders/eks=&w.orders.orders/ecs=&p.orders.stay='"},
	} {
		r := offline(t, full, append([]string{"break-glass", "orders", "-f", "-"}, strings.Fields(tt.args)...)...)
		if r.exit != 0 || !strings.Contains(r.out, "\n"+curl+tt.do+"\n") || !strings.Contains(r.out, "\n# "+curl+tt.undo+"\n") {
			t.Errorf("%s: exit %d: %s%s", tt.args, r.exit, r.out, r.err)
		}
	}
	if r := offline(t, full, "break-glass", "payments", "-f", "-"); r.exit != 4 || !strings.Contains(r.err, "describe no service of this name") {
		t.Errorf("exit %d: %s", r.exit, r.err)
	}
	if r := offline(t, full, "break-glass", "orders", "-f", "-", "--origin", "gke"); r.exit != 2 || !strings.Contains(r.err, "its origins are ecs, eks") {
		t.Errorf("exit %d: %s", r.exit, r.err)
	}
}

// TestBreakGlassSaysWhereItDoesNotReach: a proxy with its weights in its routes is not moved by runtime keys.
func TestBreakGlassSaysWhereItDoesNotReach(t *testing.T) {
	w := world()
	w["ListProxies"] = &crossfadev1.ListProxiesResponse{Items: []*crossfadev1.Proxy{{Proxy: "old-1", Connected: true, State: "incompatible"}}}
	d := serve(t, &double{answer: canned(w)})
	if r := d.at(t, "break-glass", "orders"); !strings.Contains(r.out, "# at proxy old-1 (incompatible: its weights stand in its routes, so THIS DOES NOT CHANGE IT") {
		t.Errorf("%s%s", r.out, r.err)
	}
}

// TestBootstrap: the bootstrap is the result; how to run it is advice.
func TestBootstrap(t *testing.T) {
	r := offline(t, "", "bootstrap", "--fleet", "edge", "--node-id", "edge-7", "--listen-address", "127.0.0.9", "--xds", "10.1.2.3:18000")
	if r.exit != 0 || r.err != "Save it as bootstrap.yaml, then run:\n  envoy -c bootstrap.yaml --use-dynamic-base-id\n" {
		t.Errorf("exit %d, err %s", r.exit, r.err)
	}
	for _, want := range []string{"edge-7", "edge", "127.0.0.9", "10.1.2.3", "18000"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %s in the bootstrap", want)
		}
	}
}

// TestVersion: that of shadowctl is there without a server.
func TestVersion(t *testing.T) {
	if r := offline(t, "", "version", "--client"); r.exit != 0 || !strings.HasPrefix(r.out, "shadowctl "+version.String()+" ") {
		t.Errorf("exit %d: %s%s", r.exit, r.out, r.err)
	}
	if r := offline(t, "", "version"); r.exit != 5 || !strings.HasPrefix(r.out, "shadowctl "+version.String()+" ") {
		t.Errorf("exit %d: %s%s", r.exit, r.out, r.err)
	}
	d := serve(t, &double{answer: canned(world())})
	if r := d.at(t, "version"); r.exit != 0 || !strings.Contains(r.out, "server    0.1.0 abc1234, up since 26h ago, revision 42\n") {
		t.Errorf("exit %d: %s%s", r.exit, r.out, r.err)
	}
}
