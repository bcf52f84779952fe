package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// newRolloutWorld is a Crossfade whose settings have roles and a webhook.
func newRolloutWorld(t *testing.T, version string, proxies int, change func(*stack.Config)) (*world, *receiver) {
	t.Helper()
	hooks := newReceiver(t)
	dir := t.TempDir()
	key, file := filepath.Join(dir, "hook.key"), filepath.Join(dir, "server.yaml")
	settings := fmt.Sprintf("roles: {approver: [ann, bob]}\nhooks: {keyFile: %q, allow: [%q]}\n", key, hooks.URL+"/hooks")
	for name, text := range map[string]string{key: "whsec_" + base64.StdEncoding.EncodeToString(hooks.key), file: settings} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorldOf(t, version, proxies, func(c *stack.Config) {
		c.File = file
		change(c)
	})
	return w, hooks
}

// app is a service with origins of its own, in a Crossfade that it shares with others, and with a rollout to eks.
type app struct {
	*world
	name, plan string // of the service, of the rollout
	hooks      *receiver
}

// newApp makes all requests of a new service go to ecs.
func (w *world) newApp(t *testing.T, name string, hooks *receiver) *app {
	t.Helper()
	own := &world{Stack: w.Stack, t: t, port: w.port}
	own.ecs, own.eks = envoytest.Origin(own.t, "ecs"), envoytest.Origin(own.t, "eks")
	a := &app{world: own, name: name, plan: name + "-eks", hooks: hooks}
	a.apply(a.service(name, "http1", 0))
	own.ready()
	t.Cleanup(func() {
		if t.Failed() {
			a.tell()
		}
	})
	return a
}

// tell logs what the rollout did last.
func (a *app) tell() {
	ctx := context.Background() // that of the test has ended
	page, err := a.API.ListHistory(ctx, &crossfadev1.ListHistoryRequest{PageSize: 1000})
	if err != nil {
		a.t.Log(err)
	}
	for _, r := range slices.Backward(page.GetItems()) {
		if r.GetService() != a.plan {
			continue
		}
		run := r.GetAfter().GetRollout().GetRun()
		a.t.Logf("%s %s step %d, %d basis points: %s by %s: %s", r.GetTime().AsTime().Format("05.000"), run.GetState(), run.GetStep(), run.GetWeight(), r.GetAction(), r.GetWho(), r.GetReason())
	}
	for _, c := range a.calls() {
		a.t.Logf("the webhook got %s %s", c.id, c.event)
	}
	got, err := a.API.GetRollout(ctx, &crossfadev1.GetRolloutRequest{Name: a.plan})
	a.t.Logf("now %v %v", got.GetStatus(), err)
}

// together runs tests beside each other, each with an app of its own: they wait for most of the time, for longer than there are processors.
func together(t *testing.T, w *world, hooks *receiver, tests map[string]func(*app)) {
	var all sync.WaitGroup
	for name, test := range tests {
		all.Go(func() { t.Run(name, func(t *testing.T) { test(w.newApp(t, name, hooks)) }) })
	}
	all.Wait()
}

const (
	usualRate = 150 // requests per second
	usualBake = 2 * time.Second
)

// doc is a plan of these weights, in basis points, which errors end.
func (a *app) doc(weights ...int32) *crossfadev1.Rollout {
	doc := &crossfadev1.Rollout{
		ApiVersion: "crossfade/v1", Kind: "Rollout", Name: a.plan, Service: a.name, To: "eks", Bake: durationpb.New(usualBake),
		Guards: []*crossfadev1.RolloutGuard{
			{Name: "err", Metric: "errorRate", Max: "0.5%", Window: durationpb.New(usualBake), MinRequests: 5},
		},
	}
	for _, w := range weights {
		doc.Steps = append(doc.Steps, &crossfadev1.RolloutStep{Weight: w})
	}
	return doc
}

// long makes a plan stay at each weight until somebody does something.
func long(doc *crossfadev1.Rollout) *crossfadev1.Rollout {
	doc.Bake = durationpb.New(time.Hour)
	return doc
}

// told gives a plan the app's webhook.
func (a *app) told(doc *crossfadev1.Rollout) *crossfadev1.Rollout {
	doc.Hook = &crossfadev1.RolloutHook{Url: a.hooks.URL + a.hookPath()}
	return doc
}

func (a *app) hookPath() string { return "/hooks/" + a.name }

func by(who string) *crossfadev1.ChangeOptions { return &crossfadev1.ChangeOptions{Actor: who} }

// start starts a plan as ann.
func (a *app) start(doc *crossfadev1.Rollout) *crossfadev1.RolloutStatus {
	a.t.Helper()
	got, err := a.API.StartRollout(a.t.Context(), &crossfadev1.StartRolloutRequest{Rollout: doc, Options: by("ann")})
	if err != nil {
		a.t.Fatal(err)
	}
	return got.GetStatus()
}

func (a *app) act(who, action string) error {
	_, err := a.API.ActOnRollout(a.t.Context(), &crossfadev1.ActOnRolloutRequest{Name: a.plan, Action: action, Options: by(who)})
	return err
}

// acts is act that has to be taken.
func (a *app) acts(who, action string) {
	a.t.Helper()
	if err := a.act(who, action); err != nil {
		a.t.Fatal(err)
	}
}

func (a *app) status() *crossfadev1.RolloutStatus {
	a.t.Helper()
	got, err := a.API.GetRollout(a.t.Context(), &crossfadev1.GetRolloutRequest{Name: a.plan})
	if err != nil {
		a.t.Fatal(err)
	}
	return got.GetStatus()
}

// until waits until the rollout is as wanted. It may be that nobody answers meanwhile.
func (a *app) until(what string, ok func(*crossfadev1.RolloutStatus) bool) *crossfadev1.RolloutStatus {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 60*time.Second)
	defer cancel()
	var last *crossfadev1.RolloutStatus
	err := poll.Until(ctx, 5*time.Millisecond, func(ctx context.Context) error {
		got, err := a.API.GetRollout(ctx, &crossfadev1.GetRolloutRequest{Name: a.plan})
		if err != nil {
			return err
		}
		last = got.GetStatus()
		if !ok(last) {
			return errors.New("it is not")
		}
		return nil
	})
	if err != nil {
		a.t.Fatalf("rollout %s was to be %s; it is %s at step %d, %d basis points: %s; %s (%v)\nguards %v\nprimary %v", a.plan, what, last.GetState(), last.GetStep(),
			last.GetWeight(), last.GetReason(), last.GetWaitingFor(), err, last.GetGuards(), last.GetPrimaryGuards())
	}
	return last
}

// reaches waits until the rollout is in a state.
func (a *app) reaches(state string) *crossfadev1.RolloutStatus {
	a.t.Helper()
	return a.until(state, func(st *crossfadev1.RolloutStatus) bool { return st.GetState() == state })
}

// bakes waits until the rollout bakes at a weight.
func (a *app) bakes(weight int32) *crossfadev1.RolloutStatus {
	a.t.Helper()
	return a.until(fmt.Sprintf("baking at %d", weight), func(st *crossfadev1.RolloutStatus) bool { return st.GetState() == "Baking" && st.GetWeight() == weight })
}

// ended waits for the end, and holds what is live against what it has to be.
func (a *app) ended(state string, weight int32) *crossfadev1.RolloutStatus {
	a.t.Helper()
	st := a.until("over", func(st *crossfadev1.RolloutStatus) bool {
		return slices.Contains([]string{"Completed", "RolledBack", "Aborted"}, st.GetState())
	})
	if share := a.share(a.name); st.GetState() != state || st.GetWeight() != weight || share != weight {
		a.t.Fatalf("it ended %s at %d (%s), and eks has %d; want %s at %d", st.GetState(), st.GetWeight(), st.GetReason(), share, state, weight)
	}
	return st
}

// faulty changes how eks treats requests.
func (a *app) faulty(o *origin.Origin, f origin.Faults) {
	a.t.Helper()
	if err := o.SetFaults(f); err != nil {
		a.t.Fatal(err)
	}
}

// errors makes a share of the answers of an origin errors.
func (a *app) errors(o *origin.Origin, share float64) {
	a.t.Helper()
	a.faulty(o, origin.Faults{ErrorShare: share, Status: 500})
}

// left holds that eks gets nothing any more, from when the rollout was seen to be over.
func (a *app) left(total uint64) {
	a.t.Helper()
	a.more()
	if n := a.eks.Total(); n != total {
		a.t.Errorf("%d requests at eks after the rollout was over", n-total)
	}
}

// more waits for some more requests at ecs.
func (a *app) more() {
	a.t.Helper()
	ecs := a.ecs.Total()
	a.await("more requests at ecs", func() bool { return a.ecs.Total() > ecs+20 })
}

// as runs shadowctl as somebody.
func (w *world) as(user string, args ...string) said {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(w.t.Context(), shadowctl, append([]string{"--server", w.Server.API}, args...)...)
	cmd.Env = append(os.Environ(), "USER="+user)
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return said{args, cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}
