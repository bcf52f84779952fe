package translate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"gopkg.in/yaml.v3"

	deployenvoy "github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/adstest"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

var update = flag.Bool("update", false, "write the golden files")

// filesDir is where the files of proxies are in documents of testdata.
const filesDir = "/etc/tls"

// inputs are the documents of testdata: a file dropped there is a test. Files of proxies are in a directory.
func inputs(t *testing.T, dir string) map[string]intent {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents in testdata: %v", err)
	}
	out := map[string]intent{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".yaml")] = compile(t, f, bytes.ReplaceAll(text, []byte(filesDir), []byte(dir)))
	}
	return out
}

// everything is all that a proxy is sent, by section.
func everything(in intent, opts translate.Options) map[string][]translate.Resource {
	st := translate.Build(in.fleet(), in.services, opts)
	layers := map[string][]translate.Lever{}
	var endpoints []translate.Resource
	for _, s := range in.services {
		layers[translate.LayerOf(s.Name)] = append(layers[translate.LayerOf(s.Name)], translate.Levers(s)...)
		for _, o := range s.Origins {
			if o.DNS != nil {
				continue
			}
			endpoints = append(endpoints, translate.Endpoints(s.Name, o.Name, translate.Static(o.Static)))
			if m := s.Mirror; m != nil && (o.Name == m.Control || o.Name == m.Candidate) {
				endpoints = append(endpoints, translate.ShadowEndpoints(s.Name, o.Name, translate.Static(o.Static)))
			}
		}
		if s.Mirror != nil {
			endpoints = append(endpoints, translate.Comparators([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:9"), netip.MustParseAddrPort("127.0.0.1:9")}))
		}
	}
	out := map[string][]translate.Resource{
		"1 clusters": st.Clusters, "2 endpoints": endpoints, "3 listeners": st.Listeners("127.0.0.9", "127.0.0.9:10090"), "4 routes": st.Routes, "5 virtual hosts": st.VirtualHosts,
	}
	for name, levers := range layers {
		out["6 layers"] = append(out["6 layers"], translate.Layer(name, levers))
	}
	for _, rs := range out {
		slices.SortFunc(rs, func(a, b translate.Resource) int { return strings.Compare(a.Name, b.Name) })
	}
	return out
}

// text writes resources as YAML with sorted keys.
func text(t *testing.T, sections map[string][]translate.Resource) []byte {
	t.Helper()
	doc := map[string]map[string]any{}
	for section, rs := range sections {
		doc[section] = map[string]any{}
		for _, r := range rs {
			m, err := r.Body.UnmarshalNew()
			if err != nil {
				t.Fatal(err)
			}
			j, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err := json.Unmarshal(j, &v); err != nil {
				t.Fatal(err)
			}
			doc[section][r.Name] = v
		}
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	for name, in := range inputs(t, filesDir) {
		t.Run(name, func(t *testing.T) {
			got := text(t, everything(in, translate.Options{}))
			file := filepath.Join("testdata", "golden", name+".yaml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; write it with: go test ./pkg/xds/translate -run TestGolden -update", err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs at line %s; if that is meant: go test ./pkg/xds/translate -run TestGolden -update", file, firstDifference(got, want))
			}
		})
	}
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("%d:\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprint(min(len(g), len(w)) + 1)
}

// TestOrderDoesNotMatter shuffles services, hosts and prefixes: bytes and versions are the same.
func TestOrderDoesNotMatter(t *testing.T) {
	const seed = 20
	for name, in := range inputs(t, filesDir) {
		for _, opts := range []translate.Options{{}, {InlineWeights: true}} {
			want := everything(in, opts)
			random := rand.New(rand.NewPCG(seed, seed))
			for range 20 {
				got := everything(intent{in.fleets, shuffled(in.services, random.Shuffle)}, opts)
				for section, rs := range want {
					for i, r := range rs {
						if g := got[section][i]; g.Name != r.Name || g.Version != r.Version || !bytes.Equal(g.Body.Value, r.Body.Value) {
							t.Fatalf("%s, seed %d: %s %s differs in another order", name, seed, section, r.Name)
						}
					}
				}
			}
		}
	}
}

// TestEnvoyTakesIt loads every document into real Envoys, with levers and with inline weights.
func TestEnvoyTakesIt(t *testing.T) {
	dir, ca := t.TempDir(), certtest.New(t, "test")
	for _, name := range []string{"one", "two"} {
		ca.Write(dir, name, ca.Issue(certtest.Spec{DNS: []string{name + ".test"}}))
	}
	all := inputs(t, dir)
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for name, in := range all {
			t.Run(name, func(t *testing.T) {
				host, experiment := loopback.Host(), envoytest.Port(t).Addr()
				ads := adstest.Start(t)
				var layers []translate.Resource
				for _, rs := range [][]translate.Resource{everything(in, translate.Options{})["2 endpoints"], everything(in, translate.Options{})["6 layers"]} {
					layers = append(layers, rs...)
				}
				ads.Set(layers...)
				ads.SetStructureAt(translate.Build(in.fleet(), in.services, translate.Options{}), host, experiment)
				var boot bytes.Buffer
				if err := deployenvoy.Render(&boot, deployenvoy.Bootstrap{
					Fleet: policy.DefaultFleet, NodeID: name, ListenAddress: host, XDSAddress: ads.Addr, ReadyAddress: envoytest.Port(t).Addr(), AdminAddress: "127.0.0.1:0",
				}); err != nil {
					t.Fatal(err)
				}
				e := envoytest.Start(t, envoytest.Config{Version: version, Bootstrap: boot.Bytes()})
				e.AwaitReady()
				ads.AwaitAcked(t)
				ads.SetStructureAt(translate.Build(in.fleet(), in.services, translate.Options{InlineWeights: true}), host, experiment)
				ads.AwaitAcked(t)
				if w := warnings(e.Logs()); len(w) > 0 {
					t.Errorf("Envoy warns:\n%s", strings.Join(w, "\n"))
				}
			})
		}
	})
}

// warnings are lines of Envoy's log that say something is deprecated, wrong or missing.
func warnings(log string) []string {
	var out []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "][warning]") || strings.Contains(line, "][error]") || strings.Contains(line, "][critical]") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}
