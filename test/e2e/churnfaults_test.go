package e2e

import (
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/awstest"
	"github.com/crossfade-proxy/crossfade/internal/deploys"
	"github.com/crossfade-proxy/crossfade/internal/kubetest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
)

// TestSourcesFailUnderLoad lets each source of endpoints fail, in every way at the same time as the other does not or does: no request fails,
// a rollback works and is recorded, and what the other source says is followed.
func TestSourcesFailUnderLoad(t *testing.T) {
	s := kubetest.Start(t)
	w := newChurn(t, s, "")
	w.apply(w.discovered("one", "http1"), w.discovered("two", "http2"))
	w.settled("one", "two")
	w.good()
	one, two := w.mix("one", loadgen.HTTP1), w.mix("two", loadgen.HTTP2)
	for _, fault := range []struct {
		name        string
		begin, then func()
	}{
		{"the kube-apiserver is killed while tasks are replaced", s.Kill, func() {
			w.replaceTasks()
			s.Restart()
		}},
		{"AWS is down while pods are replaced", func() { w.aws.Down(true) }, func() {
			w.replacePods()
			w.aws.Down(false)
		}},
		{"both list nothing", w.hide, func() {
			w.more(one, 500)
			w.show()
		}},
		{"both are down", func() {
			s.Kill()
			w.aws.Down(true)
		}, func() {
			w.more(one, 500)
			s.Restart()
			w.aws.Down(false)
		}},
	} {
		fault.begin()
		w.more(one, 50)
		w.more(two, 50)
		w.rollsBack("one", fault.name)
		w.rollsBack("two", fault.name)
		fault.then()
		w.followed("one", "two")
		t.Logf("%s: %d requests so far", fault.name, one.Report().Done+two.Report().Done)
	}
	w.none(one)
	w.none(two)
}

func (w *churn) replaceTasks() {
	w.t.Helper()
	if err := w.tasks.Replace(w.t.Context(), deploys.Rollout{Surge: replicas}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *churn) replacePods() {
	w.t.Helper()
	if err := w.pods.Replace(w.t.Context(), deploys.Rollout{Surge: replicas}); err != nil {
		w.t.Fatal(err)
	}
}

// hide lets both sources list nothing at all, though everything runs.
func (w *churn) hide() {
	w.t.Helper()
	w.aws.Hide("prod", func(awstest.Task) bool { return true })
	if err := w.pods.Hide(w.t.Context(), true); err != nil {
		w.t.Fatal(err)
	}
}

func (w *churn) show() {
	w.t.Helper()
	w.aws.Hide("prod", nil)
	if err := w.pods.Hide(w.t.Context(), false); err != nil {
		w.t.Fatal(err)
	}
}

// rollsBack rolls a service back, looks for the record and for where requests go, and returns it to half and half.
func (w *churn) rollsBack(service, when string) {
	w.t.Helper()
	got, err := w.API.Rollback(w.t.Context(), &crossfadev1.RollbackRequest{Service: service})
	if err != nil {
		w.t.Fatalf("%s: rollback: %v", when, err)
	}
	change := got.GetChanges()[0]
	if f := change.GetFleet(); f.GetAcked() != 1 || len(f.GetRefused()) > 0 {
		w.t.Errorf("%s: rollback: %v", when, change)
	}
	if last := w.newest(service); last.GetRevision() != change.GetRevision() || w.share(service) != 0 {
		w.t.Errorf("%s: the rollback is revision %d, the last in the history %d; eks has %d", when, change.GetRevision(), last.GetRevision(), w.share(service))
	}
	w.extra[service] += 100
	if who := w.asked(w.Proxies[0], service); who != "ecs" {
		w.t.Errorf("%s: after the rollback %s is answered by %s", when, service, who)
	}
	back := &crossfadev1.SetSplitRequest{Service: service, Weights: map[string]int32{"eks": 5000}, Options: &crossfadev1.ChangeOptions{Force: true}}
	if _, err := w.API.SetSplit(w.t.Context(), back); err != nil { // forced: endpoints that are held do not count as capacity
		w.t.Fatalf("%s: back to half and half: %v", when, err)
	}
}

// followed waits until what is known of every origin is what runs, and no more.
func (w *churn) followed(services ...string) {
	w.t.Helper()
	for _, s := range services {
		w.await("what is known of "+s+" to be what runs", func() bool {
			got, err := w.API.ListEndpoints(w.t.Context(), &crossfadev1.ListEndpointsRequest{Service: s})
			ok := err == nil && len(got.GetItems()) == 2*replicas && len(got.GetOrigins()) == 2
			for _, o := range got.GetOrigins() {
				ok = ok && o.GetState() == "ok"
			}
			return ok
		})
	}
}
