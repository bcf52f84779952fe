package e2e

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/stack"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// TestAProxyIsAwayInTheMiddleOfAStep: one that hangs holds the step, and one that is gone does not, but is named. Back again, it has the weight.
func TestAProxyIsAwayInTheMiddleOfAStep(t *testing.T) {
	t.Parallel()
	w, hooks := newRolloutWorld(t, "", 2, func(*stack.Config) {})
	a := w.newApp(t, "orders", hooks)
	goes := w.Proxies[1]
	q := a.asking(usualRate, loadgen.Config{Connections: 32}, w.Proxies[0]) // clients leave the other one
	doc := long(a.doc(1000, 3000, 5000))
	st := a.start(doc)
	a.bakes(1000)
	if err := goes.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	a.acts("ann", "promote")
	a.until("held by the proxy that hangs", func(st *crossfadev1.RolloutStatus) bool {
		return st.GetState() == "Progressing" && st.GetStep() == 2 && strings.Contains(st.GetWaitingFor(), "1 of 2 proxies do not have it: "+goes.ID)
	})
	if err := goes.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	a.bakes(3000)
	goes.Kill()
	named := a.until("with drift", func(st *crossfadev1.RolloutStatus) bool { return strings.Contains(st.GetDrift(), goes.ID) })
	if named.GetState() != "Baking" {
		t.Errorf("with a proxy that is gone it is %s: %s", named.GetState(), named.GetWaitingFor())
	}
	a.acts("ann", "promote")
	a.bakes(5000)
	if _, err := w.AddTwin(t.Context(), goes); err != nil {
		t.Fatal(err)
	}
	a.until("without drift", func(st *crossfadev1.RolloutStatus) bool { return st.GetDrift() == "" && st.GetState() == "Baking" })
	back := w.Proxies[2]
	if err := back.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.await("its share at the proxy that is back", func() bool { return w.asked(back, a.name) == "ecs+eks" })
	a.acts("ann", "promote")
	a.ended("Completed", 5000)
	a.once(st.GetRun(), "step-1/set 1000", "step-2/set 3000", "step-3/set 5000")
	q.none()
}

// TestAProxyRefusesAStep: the rollout pauses and calls somebody, and goes on when the proxy takes it.
func TestAProxyRefusesAStep(t *testing.T) {
	t.Parallel()
	w, hooks := newRolloutWorld(t, "", 2, func(*stack.Config) {})
	a := w.newApp(t, "orders", hooks)
	q := a.ask(usualRate)
	var refuses atomic.Bool
	c := deltaclient.New(deltaclient.Config{
		ID: "stubborn", Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames(),
		Answer: func(r deltaclient.Response) deltaclient.Verdict {
			if refuses.Load() && len(r.Upserts) > 0 {
				return deltaclient.Verdict{Refuse: "not with me"}
			}
			return deltaclient.Verdict{}
		},
	})
	conn, err := grpc.NewClient(w.Server.XDS, append(deltaclient.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	connect := func() (leave func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx, conn) }()
		return sync.OnceFunc(func() { cancel(); <-ended })
	}
	leave := connect()
	defer func() { leave() }()
	w.await("the third proxy", func() bool {
		got, err := w.API.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{})
		return err == nil && len(got.GetItems()) == 3 && got.GetItems()[2].GetState() == "ok"
	})
	run := a.start(a.told(long(a.doc(1000, 3000)))).GetRun()
	a.bakes(1000)
	refuses.Store(true)
	a.acts("ann", "promote")
	if st := a.reaches("Paused"); !strings.Contains(st.GetReason(), "a proxy refused the split: stubborn: not with me") {
		t.Errorf("the reason is %q", st.GetReason())
	}
	a.hookWas(run, "step.before", "started", "step.after", "step.before", "paused")
	a.acts("ann", "resume")
	a.reaches("Paused") // it still has not taken it
	refuses.Store(false)
	leave()
	leave = connect() // as somebody does who has looked
	w.await("the third proxy to be back", func() bool {
		got, err := w.API.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{})
		return err == nil && len(got.GetItems()) == 3 && got.GetItems()[2].GetState() == "ok"
	})
	a.acts("ann", "resume")
	a.bakes(3000)
	leave() // it shows nothing of what it gets, and would keep the proof away
	a.acts("ann", "abort")
	a.ended("Aborted", 0)
	q.none()
}
