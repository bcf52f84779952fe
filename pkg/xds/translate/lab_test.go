package translate_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	deployenvoy "github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/envoyproc"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/adstest"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// intent is compiled documents.
type intent struct {
	fleets   []*policy.Fleet
	services []*policy.Service
}

func (in intent) fleet() *policy.Fleet {
	if len(in.fleets) > 0 {
		return in.fleets[0]
	}
	return policy.DefaultFleetSettings(policy.DefaultFleet)
}

func (in intent) service(t testing.TB, name string) *policy.Service {
	t.Helper()
	for _, s := range in.services {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no service %q", name)
	return nil
}

// compile reads YAML documents.
func compile(t testing.TB, name string, text []byte) intent {
	t.Helper()
	docs, err := manifest.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	var in intent
	var mirrors []*policy.Mirror
	var errs policy.Errors
	for _, d := range docs {
		switch o := manifest.Object(d.Document).(type) {
		case *crossfadev1.Service:
			s, es := policy.CompileService(o)
			in.services, errs = append(in.services, s), append(errs, es...)
		case *crossfadev1.Fleet:
			f, es := policy.CompileFleet(o)
			in.fleets, errs = append(in.fleets, f), append(errs, es...)
		case *crossfadev1.Mirror:
			m, es := policy.CompileMirror(o)
			mirrors, errs = append(mirrors, m), append(errs, es...)
		}
	}
	if err := append(errs, policy.CheckServices(in.services)...).Err(); err != nil {
		t.Fatal(err)
	}
	for _, m := range mirrors {
		in.mirror(t, m)
	}
	return in
}

// mirror makes a mirror run on its service.
func (in *intent) mirror(t testing.TB, m *policy.Mirror) {
	t.Helper()
	i := slices.IndexFunc(in.services, func(s *policy.Service) bool { return s.Name == m.Service })
	if i < 0 {
		t.Fatalf("no service %q", m.Service)
	}
	m, errs := m.For(in.services[i])
	if err := errs.Err(); err != nil {
		t.Fatal(err)
	}
	in.services[i] = in.services[i].WithMirror(m)
}

// lab is one Envoy in front of origins of ours.
type lab struct {
	t       *testing.T
	ads     *adstest.Server
	envoy   *envoytest.Envoy
	address string // of the listener
	intent  intent
	origins map[string]*origin // by cluster

	comparator *comparator
	experiment string // address of the experiment listener
	levers     uint32 // how often they were set
}

// newLab starts an Envoy with the documents, in which PORT stands for the port of the listener. Each origin is a server of ours that
// answers with the name of its cluster. Options change the bootstrap.
func newLab(t *testing.T, version, docs string, options ...func(*deployenvoy.Bootstrap)) *lab {
	t.Helper()
	port := envoytest.Port(t)
	in := compile(t, "test.yaml", []byte(strings.ReplaceAll(docs, "PORT", fmt.Sprint(port.Number()))))
	l := &lab{
		t: t, ads: adstest.Start(t), address: port.Addr(), intent: in, origins: map[string]*origin{},
		comparator: startComparator(t), experiment: envoytest.Port(t).Addr(),
	}
	l.ads.Set(translate.Comparators([]netip.AddrPort{l.comparator.address}))
	for _, s := range in.services {
		for _, o := range s.Origins {
			name := policy.ClusterName(s.Name, o.Name)
			l.origins[name] = startOrigin(t, name)
			l.setEndpoints(s.Name, o.Name, l.origins[name].address)
		}
	}
	l.ads.SetStructureAt(translate.Build(in.fleet(), in.services, translate.Options{}), port.Host(), l.experiment)
	l.pull(in.services...)

	bootstrap := deployenvoy.Bootstrap{
		Fleet: in.fleet().Name, NodeID: "p1", ListenAddress: port.Host(), XDSAddress: l.ads.Addr,
		ReadyAddress: envoytest.Port(t).Addr(), AdminAddress: "127.0.0.1:0",
	}
	for _, change := range options {
		change(&bootstrap)
	}
	var boot bytes.Buffer
	if err := deployenvoy.Render(&boot, bootstrap); err != nil {
		t.Fatal(err)
	}
	l.envoy = envoytest.Start(t, envoytest.Config{Version: version, Bootstrap: boot.Bytes(), Args: []string{"--file-flush-interval-msec", "100"}})
	l.envoy.AwaitReady()
	l.ads.AwaitAcked(t)
	return l
}

// setEndpoints says where an origin is, for live requests and for copies.
func (l *lab) setEndpoints(service, origin string, addrs ...netip.AddrPort) {
	l.ads.Set(translate.Endpoints(service, origin, translate.Static(addrs)), translate.ShadowEndpoints(service, origin, translate.Static(addrs)))
}

// pull sends the levers of services, each layer with all of them.
func (l *lab) pull(services ...*policy.Service) {
	layers := map[string][]translate.Lever{}
	for _, s := range services {
		name := translate.LayerOf(s.Name)
		layers[name] = append(layers[name], translate.Levers(s)...)
	}
	for name, levers := range layers {
		l.ads.Set(translate.Layer(name, levers))
	}
}

// split sets the weights of a service, as changes of the live weights do, and waits until Envoy uses them.
func (l *lab) split(service string, weights map[string]policy.BasisPoints) {
	l.t.Helper()
	s := *l.intent.service(l.t, service)
	s.Split.Weights = weights
	l.pull(&s)
	for o, w := range weights {
		l.envoy.AwaitRuntime(policy.WeightKey(service, o), fmt.Sprint(w))
	}
}

// awaitHost waits until Envoy has an endpoint of a cluster.
func (l *lab) awaitHost(cluster, address string) {
	l.t.Helper()
	l.eventually(cluster+" at "+address, func() bool {
		hosts, err := l.envoy.Hosts(l.t.Context())
		return err == nil && slices.ContainsFunc(hosts, func(h envoyproc.Host) bool { return h.Cluster == cluster && h.Address == address })
	})
}

// eventually waits until ok.
func (l *lab) eventually(what string, ok func() bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), envoytest.Deadline)
	defer cancel()
	if err := poll.Until(ctx, 10*time.Millisecond, func(context.Context) error {
		if !ok() {
			return errors.New("not yet")
		}
		return nil
	}); err != nil {
		l.t.Fatalf("waiting for %s: %v", what, err)
	}
}

// request is one request to the listener.
type request struct {
	method, host, path string
	header             http.Header
	body               io.Reader
	client             *http.Client
}

// reply is its answer, read to the end.
type reply struct {
	*http.Response
	body string
}

// origin names the cluster that answered; empty for Envoy's own answers.
func (r reply) origin() string { return r.Header.Get("x-test-origin") }

// get sends a GET with headers given as "name: value".
func (l *lab) get(host, path string, headers ...string) reply {
	l.t.Helper()
	h := http.Header{}
	for _, kv := range headers {
		k, v, _ := strings.Cut(kv, ": ")
		h.Add(k, v)
	}
	return l.send(request{host: host, path: path, header: h})
}

var plain = &http.Client{
	Timeout:       10 * time.Second,
	Transport:     &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (l *lab) send(r request) reply {
	l.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), cmp.Or(r.method, "GET"), "http://"+l.address, r.body)
	if err != nil {
		l.t.Fatal(err)
	}
	req.URL.Opaque = r.path // as it is
	req.Host = r.host
	if r.header != nil {
		req.Header = r.header
	}
	resp, err := cmp.Or(r.client, plain).Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return reply{resp, string(body)}
}

func ignored(_ int, err error) error { return err }

// raw sends bytes on a connection of its own and returns all that comes back until the peer closes.
func raw(t testing.TB, address, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	if err := errors.Join(c.SetDeadline(time.Now().Add(10*time.Second)), ignored(io.WriteString(c, text))); err != nil {
		t.Error(err)
	}
	b, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after %q: %v", b, err)
	}
	return string(b)
}

// shuffled returns a copy in another order, the same for the same seed.
func shuffled[T any](list []T, swap func(n int, swap func(i, j int))) []T {
	out := slices.Clone(list)
	swap(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
