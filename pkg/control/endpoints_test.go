package control_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/tracker"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// script is a source whose looks the test tells. It repeats the last one to whoever begins to watch.
type script struct {
	mu    sync.Mutex
	looks map[string]discovery.Look // by source
	woken chan struct{}             // closed at the next change
}

func newScript() *script {
	return &script{looks: map[string]discovery.Look{}, woken: make(chan struct{})}
}

// say tells what a source has: "1 2 3d", 3 draining; "!" is an error.
func (s *script) say(source, text string) {
	l := discovery.Look{}
	if text == "!" {
		l.Err = &policy.Error{Kind: policy.Unavailable, Code: "kubernetes_forbidden", Message: "the cluster forbids it", Next: "ask for it"}
	} else {
		for word := range strings.FieldsSeq(text) {
			name, draining := strings.CutSuffix(word, "d")
			e := discovery.Endpoint{Address: netip.MustParseAddrPort("10.0.0." + name + ":80"), State: discovery.Ready, Zone: "a"}
			if draining {
				e.State = discovery.Draining
			}
			l.Endpoints = append(l.Endpoints, e)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.At = time.Now()
	s.looks[source] = l
	close(s.woken)
	s.woken = make(chan struct{})
}

func (s *script) watch(o *policy.Origin) (tracker.Watch, error) {
	if o.Kubernetes.Cluster == "unknown" {
		return nil, &policy.Error{Kind: policy.NotFound, Code: "kubernetes_cluster_unknown", Field: "cluster", Value: "unknown", Message: "no such cluster"}
	}
	source := o.Source()
	return func(ctx context.Context, tell func(discovery.Look)) error {
		var last time.Time
		for {
			s.mu.Lock()
			l, woken := s.looks[source], s.woken
			s.mu.Unlock()
			if l.At.After(last) {
				last = l.At
				l.At = time.Now()
				tell(l)
			}
			select {
			case <-woken:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}, nil
}

const (
	shop  = "kubernetes prod/shop/orders:http"
	other = "kubernetes other/shop/orders:http"
)

// moving is orders whose origin eks is found in a cluster.
func moving(cluster string, eks int32) *crossfadev1.Document {
	doc := orders(eks)
	doc.GetService().Origins[1].Discovery = &crossfadev1.Origin_Kubernetes{Kubernetes: &crossfadev1.KubernetesService{
		Cluster: cluster, Namespace: "shop", Service: "orders", Port: "http",
	}}
	return doc
}

// discovering is a world with a script and one proxy.
type discovering struct {
	*world
	*script
	proxy *deltaclient.Client
}

func newDiscovering(t *testing.T, dir string, s *script, rules discovery.Rules) *discovering {
	t.Helper()
	w := newWorldThat(t, dir, control.Discovery{Watch: s.watch, File: filepath.Join(dir, "endpoints.json"), Rules: rules})
	d := &discovering{world: w, script: s}
	d.proxy = deltaclient.New(deltaclient.Config{ID: "p", Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames()})
	w.connect(d.proxy)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll.Until(ctx, time.Millisecond, poll.True(func() bool { return w.state("default", "p") != "" })); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *discovering) applied(doc *crossfadev1.Document) *crossfadev1.Change {
	d.t.Helper()
	changes, err := d.Apply(d.t.Context(), []*crossfadev1.Document{doc}, control.Options{Who: "ann"})
	if err != nil {
		d.t.Fatal(err)
	}
	return changes[0]
}

// awaitEndpoints waits until the proxy has these endpoints of eks: "1 2d".
func (d *discovering) awaitEndpoints(text string) {
	d.t.Helper()
	var want []translate.Endpoint
	for word := range strings.FieldsSeq(text) {
		name, draining := strings.CutSuffix(word, "d")
		want = append(want, translate.Endpoint{Address: netip.MustParseAddrPort("10.0.0." + name + ":80"), Zone: "a", Draining: draining})
	}
	d.awaitVersion(translate.Endpoints("orders", "eks", want).Version, text)
}

func (d *discovering) awaitVersion(version, what string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	if err := d.proxy.Await(ctx, func() bool { return d.proxy.Held(deltaclient.Endpoints)["orders/eks"] == version }); err != nil {
		d.t.Fatalf("the proxy does not have %q: %v", what, err)
	}
}

// origin is the status of eks.
func (d *discovering) origin() *crossfadev1.OriginStatus {
	d.t.Helper()
	all, err := d.Origins("orders", "eks")
	if err != nil {
		d.t.Fatal(err)
	}
	return all[0]
}

func (d *discovering) awaitState(state string) *crossfadev1.OriginStatus {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	if err := poll.Until(ctx, time.Millisecond, poll.True(func() bool { return d.origin().GetState() == state })); err != nil {
		d.t.Fatalf("eks is %v, not %s", d.origin(), state)
	}
	return d.origin()
}

var cautious = discovery.Rules{Share: 30, Confirm: time.Hour}

func TestEndpointsReachTheProxiesWithoutARevision(t *testing.T) {
	d := newDiscovering(t, t.TempDir(), newScript(), cautious)
	d.say(shop, "1 2")
	if c := d.applied(moving("prod", 0)); len(c.GetWarnings()) != 0 {
		t.Errorf("warnings %q", c.GetWarnings())
	}
	d.awaitEndpoints("1 2")
	for _, step := range []string{"1 2 3", "1 2d 3", "1 3", "1d 3d 4"} {
		d.say(shop, step)
		d.awaitEndpoints(step)
	}
	if r := d.Revision(); r != 1 {
		t.Errorf("revision %d, want 1: nobody changed anything", r)
	}
}

func TestAShrinkIsHeldUntilItIsAccepted(t *testing.T) {
	d := newDiscovering(t, t.TempDir(), newScript(), cautious)
	d.say(shop, "1 2 3 4")
	d.applied(moving("prod", 1000))
	d.awaitEndpoints("1 2 3 4")
	d.say(shop, "4")
	if s := d.awaitState(control.OriginHeld); s.GetHeld() != 3 || s.GetReady() != 1 || !strings.Contains(s.GetDetail(), "`shadowctl endpoints accept orders eks`") {
		t.Errorf("held: %v", s)
	}
	d.awaitEndpoints("1 2 3 4")
	if troubled := d.Troubled("default"); len(troubled) != 1 || troubled[0].GetOrigin() != "eks" {
		t.Errorf("troubled: %v", troubled)
	}
	c, accepted, err := d.AcceptEndpoints(t.Context(), "orders", "eks", control.Options{Who: "bob", Reason: "scaled down"})
	if err != nil || len(accepted) != 3 || accepted[0].GetAddress() != "10.0.0.1:80" || !c.GetRecorded() || c.GetRevision() != 2 {
		t.Fatalf("accepted %v, %v, %v", accepted, c, err)
	}
	if c.GetFleet().GetAcked() != 1 || len(c.GetWarnings()) != 0 {
		t.Errorf("the answer: %v", c)
	}
	d.awaitEndpoints("4")
	if h := d.history(); h[0].GetAction() != control.ActionAccept || h[0].GetWho() != "bob" || h[0].GetReason() != "scaled down" {
		t.Errorf("history: %v", h[0])
	}
	c, accepted, err = d.AcceptEndpoints(t.Context(), "orders", "eks", control.Options{})
	if err != nil || len(accepted) != 0 || c.GetAction() != "none" {
		t.Errorf("accepted again: %v, %v, %v", accepted, c, err)
	}
	if _, err := d.SetSplit(t.Context(), "orders", map[string]int32{"eks": 2000}, control.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Undo(t.Context(), "orders", 0, control.Options{}); err != nil || d.eks() != 1000 {
		t.Errorf("undo: %v, eks %d", err, d.eks())
	}
	for name, target := range map[string][2]string{"static": {"orders", "ecs"}, "no origin": {"orders", "gke"}, "no service": {"carts", "eks"}} {
		if _, _, err := d.AcceptEndpoints(t.Context(), target[0], target[1], control.Options{}); !is(err, policy.NotFound) && !is(err, policy.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsKnownOutlivesARestartAndASourceThatFails(t *testing.T) {
	dir := t.TempDir()
	d := newDiscovering(t, dir, newScript(), cautious)
	d.say(shop, "1 2")
	d.applied(moving("prod", 1000))
	d.awaitEndpoints("1 2")
	d.say(shop, "!")
	if s := d.awaitState(control.OriginFailing); s.GetError().GetCode() != "kubernetes_forbidden" || s.GetReady() != 2 {
		t.Errorf("failing: %v", s)
	}
	d.stop()

	d = newDiscovering(t, dir, newScript(), cautious) // whose source says nothing at all
	d.awaitEndpoints("1 2")
	if s := d.awaitState(control.OriginWaiting); s.GetReady() != 2 || !strings.Contains(s.GetDetail(), "from before it") {
		t.Errorf("after the restart: %v", s)
	}
	if _, err := d.Rollback(t.Context(), orderTarget, control.Options{}); err != nil || d.eks() != 0 {
		t.Errorf("rollback: %v", err)
	}
	d.say(shop, "2 3")
	d.awaitEndpoints("2 3")
	d.awaitState(control.OriginOK)
}

func TestAnOriginChangesItsSourceWithoutAGap(t *testing.T) {
	d := newDiscovering(t, t.TempDir(), newScript(), cautious)
	d.applied(orders(5000))
	static := translate.Endpoints("orders", "eks", translate.Static([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.3:8080")})).Version
	d.awaitVersion(static, "the static one")
	before := d.proxy.Held(deltaclient.Cluster)["orders/eks"]
	c := d.applied(moving("prod", 5000))
	if len(c.GetWarnings()) != 1 || !strings.Contains(c.GetWarnings()[0], "origin eks: the source has named no endpoint that takes requests yet: until then 1 endpoint that the origin had before") {
		t.Errorf("warnings %q", c.GetWarnings())
	}
	d.awaitVersion(static, "the static one, until the source has spoken")
	d.say(shop, "1")
	d.awaitEndpoints("1")
	d.applied(moving("other", 5000))
	d.awaitEndpoints("1")
	d.say(other, "7 8")
	d.awaitEndpoints("7 8")
	d.say(shop, "2") // nobody listens any more
	d.applied(orders(5000))
	d.awaitVersion(static, "the static one again")
	if after := d.proxy.Held(deltaclient.Cluster)["orders/eks"]; after != before {
		t.Error("the cluster was changed: Envoy would have warmed it anew")
	}
	if _, err := d.Delete(t.Context(), "service", "orders", control.Options{}); err != nil {
		t.Fatal(err)
	}
	if all, err := d.Endpoints("", ""); err != nil || len(all) != 0 {
		t.Errorf("endpoints of nobody: %v, %v", all, err)
	}
}

func TestASplitTowardsTooFewEndpointsIsRefusedAndARollbackIsNot(t *testing.T) {
	d := newDiscovering(t, t.TempDir(), newScript(), cautious)
	d.applied(moving("prod", 0))
	if _, err := d.SetSplit(t.Context(), "orders", map[string]int32{"eks": 100}, control.Options{}); !is(err, policy.Held) || !strings.Contains(err.Error(), "eks has no endpoint ready") {
		t.Fatalf("split to nothing: %v", err)
	}
	if _, err := d.SetSplit(t.Context(), "orders", map[string]int32{"eks": 100}, control.Options{Force: true}); err != nil {
		t.Fatalf("forced: %v", err)
	}
	d.say(shop, "1")
	d.awaitState(control.OriginOK)
	if _, err := d.SetSplit(t.Context(), "orders", map[string]int32{"eks": 10000}, control.Options{}); err != nil {
		t.Fatalf("split to one, as the primary has: %v", err)
	}
	if _, err := d.SetPrimary(t.Context(), "orders", "eks", control.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.SetSplit(t.Context(), "orders", map[string]int32{"eks": 0}, control.Options{}); err != nil {
		t.Fatal(err)
	}
	d.say(shop, "1d")
	if s := d.awaitState(control.OriginEmpty); s.GetDraining() != 1 {
		t.Errorf("empty: %v", s)
	}
	changes, err := d.Rollback(t.Context(), orderTarget, control.Options{})
	if err != nil || d.eks() != 10000 {
		t.Fatalf("rollback: %v", err)
	}
	if got := strings.Join(changes[0].GetWarnings(), "\n"); !strings.Contains(got, "the rollback stands, but eks has no endpoint ready") {
		t.Errorf("warnings %q", got)
	}
}

func TestAnApplyWithASourceThatCannotBeIsRefused(t *testing.T) {
	d := newDiscovering(t, t.TempDir(), newScript(), cautious)
	_, err := d.Apply(t.Context(), []*crossfadev1.Document{moving("unknown", 0)}, control.Options{})
	var e *policy.Error
	if !errors.As(err, &e) || e.Kind != policy.Invalid || e.Field != "origins[1].kubernetes.cluster" || e.Code != "kubernetes_cluster_unknown" {
		t.Fatalf("got %v", err)
	}
	none := newWorld(t, t.TempDir())
	if _, err := none.Apply(t.Context(), []*crossfadev1.Document{moving("prod", 0)}, control.Options{}); !is(err, policy.Invalid) {
		t.Errorf("a server that finds nothing: %v", err)
	}
}

func TestOneAddressInBothOriginsIsSaid(t *testing.T) {
	d := newDiscovering(t, t.TempDir(), newScript(), cautious)
	doc := moving("prod", 0)
	doc.GetService().Origins[0].GetStatic().Endpoints = []string{"10.0.0.1:80", "10.0.0.2:80"}
	d.say(shop, "1 9")
	if c := d.applied(doc); !strings.Contains(fmt.Sprint(c.GetWarnings()), "origin eks: 1 address in common with ecs") {
		t.Errorf("warnings %q", c.GetWarnings())
	}
}

func TestWatchersOfEndpointsHearWhatIsAndWhatChanges(t *testing.T) {
	d := newDiscovering(t, t.TempDir(), newScript(), cautious)
	d.say(shop, "1 2")
	d.applied(moving("prod", 0))
	d.awaitState(control.OriginOK)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan string, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- d.WatchEndpoints(ctx, "orders", "eks", func(e *crossfadev1.WatchEndpointsResponse) error {
			switch {
			case e.GetEndpoint() != nil:
				heard <- e.GetType() + " " + e.GetEndpoint().GetAddress() + " " + e.GetEndpoint().GetState()
			default:
				heard <- "origin " + e.GetOrigin().GetState()
			}
			return nil
		})
	}()
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			select {
			case got := <-heard:
				if got != w {
					t.Fatalf("heard %q, want %q", got, w)
				}
			case <-time.After(time.Minute):
				t.Fatalf("not heard: %q", w)
			}
		}
	}
	expect("endpoint 10.0.0.1:80 ready", "endpoint 10.0.0.2:80 ready", "origin ok")
	d.say(shop, "1d 2")
	expect("endpoint 10.0.0.1:80 draining", "origin ok")
	d.say(shop, "2")
	expect("gone 10.0.0.1:80 draining", "origin ok")
	d.say(shop, "!")
	expect("origin failing")
	if _, err := d.Delete(t.Context(), "service", "orders", control.Options{}); err != nil {
		t.Fatal(err)
	}
	expect("gone 10.0.0.2:80 ready", "origin failing")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if err := d.WatchEndpoints(t.Context(), "carts", "", nil); !is(err, policy.NotFound) {
		t.Errorf("of no service: %v", err)
	}
}

// TestALookedUpOriginKeepsItsAddressesUntilItsNewSourceNamesOne: Envoy would take the changed cluster with nothing in it.
func TestALookedUpOriginKeepsItsAddressesUntilItsNewSourceNamesOne(t *testing.T) {
	d := newDiscovering(t, t.TempDir(), newScript(), cautious)
	doc := moving("prod", 5000)
	doc.GetService().Origins[1].Discovery = &crossfadev1.Origin_Dns{Dns: &crossfadev1.DnsName{Host: "lb.test", Port: 80}}
	d.applied(doc)
	before := d.proxy.Held(deltaclient.Cluster)["orders/eks"]
	d.say(shop, "")
	if _, err := d.Apply(t.Context(), []*crossfadev1.Document{moving("prod", 5000)}, control.Options{Wait: crossfadev1.Wait_WAIT_NONE}); err != nil {
		t.Fatal(err)
	}
	if s := d.awaitState(control.OriginWaiting); !strings.Contains(s.GetDetail(), "look the name up") {
		t.Errorf("waiting: %v", s)
	}
	d.say(shop, "1d")
	d.awaitEndpoints("1d") // better than nothing, and what the source says
	if d.proxy.Held(deltaclient.Cluster)["orders/eks"] == before {
		t.Error("the cluster is the old one, though there are endpoints")
	}
	d.applied(doc) // and back
	d.say(shop, "7 8")
	d.say(other, "!")
	if _, err := d.Apply(t.Context(), []*crossfadev1.Document{moving("other", 5000)}, control.Options{Wait: crossfadev1.Wait_WAIT_NONE}); err != nil {
		t.Fatal(err)
	}
	d.awaitState(control.OriginFailing)
	if d.proxy.Held(deltaclient.Cluster)["orders/eks"] != before {
		t.Error("the name was given up for the addresses of another source, or for none")
	}
}

// TestWhatARefusalBringsBackHasItsEndpoints, though the source cannot be asked just then.
func TestWhatARefusalBringsBackHasItsEndpoints(t *testing.T) {
	d := newDiscovering(t, t.TempDir(), newScript(), cautious)
	d.say(shop, "1 2")
	d.applied(moving("prod", 5000))
	d.awaitEndpoints("1 2")
	refuse := make(chan struct{})
	d.proxyThat("default", "q", refuseVirtualHosts(refuse))
	d.say(shop, "!")
	d.awaitState(control.OriginFailing)
	close(refuse)
	gone := orders(0)
	gone.GetService().Origins[1].Name = "gke"
	gone.GetService().Split = &crossfadev1.Split{Weights: map[string]int32{"ecs": 10000}}
	if _, err := d.Apply(t.Context(), []*crossfadev1.Document{gone}, control.Options{}); !is(err, policy.Refused) {
		t.Fatalf("got %v", err)
	}
	d.awaitEndpoints("1 2")
	if s := d.awaitState(control.OriginFailing); s.GetReady() != 2 {
		t.Errorf("back: %v", s)
	}
}

// TestOnlyWhatWasSeenIsAccepted: what comes to be held while it is recorded that somebody accepted, nobody has seen.
func TestOnlyWhatWasSeenIsAccepted(t *testing.T) {
	d := newDiscovering(t, t.TempDir(), newScript(), cautious)
	d.say(shop, "1 2 3 4")
	d.applied(moving("prod", 5000))
	d.say(shop, "3 4")
	d.awaitState(control.OriginHeld)
	d.store.close()
	done := make(chan error, 1)
	var accepted []*crossfadev1.Endpoint
	go func() {
		var err error
		_, accepted, err = d.AcceptEndpoints(context.Background(), "orders", "eks", control.Options{})
		done <- err
	}()
	<-d.store.arrived
	d.say(shop, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll.Until(ctx, time.Millisecond, poll.True(func() bool { return d.origin().GetHeld() == 4 })); err != nil {
		t.Fatal(err)
	}
	d.store.open()
	if err := <-done; err != nil || len(accepted) != 2 {
		t.Fatalf("accepted %v, %v", accepted, err)
	}
	d.awaitEndpoints("3 4")
}
