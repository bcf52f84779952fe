package rollout

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// begun is a document with a run that has just started, and its plan.
func begun(t *testing.T, doc *crossfadev1.Rollout) (*crossfadev1.Rollout, *Plan) {
	t.Helper()
	c, errs := Compile(doc)
	if errs != nil {
		t.Fatal(errs)
	}
	p, _, errs := c.For(there())
	if errs != nil {
		t.Fatal(errs)
	}
	p.ID = "r1@3f9a2c1b"
	return StartRun(doc, p, time.Minute, Split{Cause: "change/x", Revision: 7}, began), p
}

func TestARunIsResumedAsItWasStarted(t *testing.T) {
	doc := asked()
	running, p := begun(t, doc)
	run := running.GetRun()
	if run.GetId() != p.ID || run.GetStarter() != "bob" || run.GetFrom() != "ecs" || run.GetPrimary() != "ecs" || !run.GetStarted().AsTime().Equal(began) ||
		run.GetLease().AsDuration() != time.Minute || run.GetState() != "Pending" || run.GetStep() != 1 || run.GetEnded() != nil || run.GetReason() != "started by bob" {
		t.Errorf("%v", run)
	}
	again, guards, errs := ResumeRun(running)
	if errs != nil || len(guards) != 3 || guards[2].Against() != "ecs" {
		t.Fatalf("%v, %v", guards, errs)
	}
	if !planned(again, p) {
		t.Errorf("got  %+v\nwant %+v", again, p)
	}
	s, err := ReadWalk(running)
	if err != nil || MustSave(s, Start(p, Split{Cause: "change/x", Revision: 7}, began)) || s.Plan != p.ID {
		t.Errorf("%+v, %v", s, err)
	}
	if doc.GetRun() != nil || !SameRollout(doc, running) || Asked(running).GetRun() != nil || running.GetRun() == nil || Asked(doc) != doc {
		t.Error("the document was changed, or is another with a run")
	}
	if public := Public(running); public.GetRun().GetWalk() != nil || public.GetRun().GetState() != "Pending" || len(running.GetRun().GetWalk()) == 0 || Public(doc) != doc {
		t.Errorf("%v", public)
	}
	other := asked(func(d *crossfadev1.Rollout) { d.MinRequests++ })
	if SameRollout(doc, other) || SameRollout(nil, doc) || !SameRollout(nil, nil) {
		t.Error("what is the same is not, or what is not is")
	}
}

// planned says whether two plans have the same steps, guards and origins.
func planned(a, b *Plan) bool {
	if a == nil || b == nil {
		return a == b
	}
	same := slices.EqualFunc(a.Guards, b.Guards, func(x, y PlanGuard) bool {
		return x.Name == y.Name && x.Window == y.Window && x.Against == y.Against && x.Mirror == y.Mirror && (x.Query == nil) == (y.Query == nil)
	}) && slices.EqualFunc(a.Steps, b.Steps, func(x, y PlanStep) bool {
		return x.Weight == y.Weight && x.Bake == y.Bake && x.MinRequests == y.MinRequests && (x.Gate == nil) == (y.Gate == nil)
	})
	return same && a.ID == b.ID && a.From == b.From && a.To == b.To && a.Primary == b.Primary && a.Starter == b.Starter && a.Hook == b.Hook && a.Retention == b.Retention
}

func TestARunShowsItsState(t *testing.T) {
	running, p := begun(t, asked())
	s, err := ReadWalk(running)
	if err != nil {
		t.Fatal(err)
	}
	s.Phase, s.Step, s.Weight, s.Reason, s.Since = RolledBack, 2, 0, "a guard failed: \xff", began.Add(time.Hour)
	ended := WithState(running, s)
	run := ended.GetRun()
	if run.GetState() != "RolledBack" || run.GetStep() != 3 || !run.GetEnded().AsTime().Equal(began.Add(time.Hour)) || !utf8.ValidString(run.GetReason()) || run.GetId() != p.ID {
		t.Errorf("%v", run)
	}
	if _, err := proto.Marshal(ended); err != nil {
		t.Errorf("cannot be stored: %v", err)
	}
	back, err := ReadWalk(ended)
	s.Reason = strings.ToValidUTF8(s.Reason, "\uFFFD")
	if err != nil || MustSave(s, back) {
		t.Errorf("%+v, %v; want %+v", back, err, s)
	}
	s.Phase = RollingBack // after promotion, by hand
	if WithState(ended, s).GetRun().GetEnded() != nil || running.GetRun().GetState() != "Pending" {
		t.Error("it has ended, and goes on; or the document was changed")
	}
	if WithState(asked(), s).GetRun() != nil {
		t.Error("what never started has a state")
	}
}

func TestAWalkThatCannotBeRead(t *testing.T) {
	walk := func(text string) func(*crossfadev1.Rollout) {
		return func(d *crossfadev1.Rollout) { d.Run.Walk = []byte(text) }
	}
	for code, change := range map[string]func(*crossfadev1.Rollout){
		"run_missing": func(d *crossfadev1.Rollout) { d.Run = nil }, "walk_unreadable": walk("{"), "walk_version": walk(`{"version": 2}`), "walk_foreign": walk(`{"version": 1, "plan": "r2@1"}`),
	} {
		doc, _ := begun(t, asked())
		change(doc)
		_, err := ReadWalk(doc)
		var e *policy.Error
		if !errors.As(err, &e) || e.Code != code || e.Kind != policy.Internal {
			t.Errorf("%v, want %s", err, code)
		}
	}
}

// What a later version refuses can still be walked, as far as it goes: the plan comes with the errors.
func TestARunThatWouldNotStartAnyMoreIsResumed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*crossfadev1.Rollout)
		plan   bool
		want   string
	}{
		"a hook that is no URL any more": {func(d *crossfadev1.Rollout) { d.Hook = &crossfadev1.RolloutHook{Url: "hooks"} }, true, "hook_url hook.url"},
		"a guard that is not known":      {func(d *crossfadev1.Rollout) { d.Guards[0].Metric = "p95" }, true, "metric_unknown guards[0].metric"},
		"a bake that is too short":       {func(d *crossfadev1.Rollout) { d.Steps[0].Bake = seconds(20) }, true, "bake_below_window steps[0].bake"},
		"no ID":                          {func(d *crossfadev1.Rollout) { d.Run.Id = "r1" }, false, "run_broken run.id"},
		"no primary":                     {func(d *crossfadev1.Rollout) { d.Run.Primary = "" }, false, "run_broken run.primary"},
		"another primary":                {func(d *crossfadev1.Rollout) { d.Run.Primary = "old" }, false, "run_broken run.primary"},
		"from nowhere":                   {func(d *crossfadev1.Rollout) { d.Run.From, d.Run.Primary = "", "eks" }, false, "run_broken run.from"},
		"no steps":                       {func(d *crossfadev1.Rollout) { d.Steps = nil }, false, "run_broken steps"},
		"steps that fall":                {func(d *crossfadev1.Rollout) { d.Steps[0].Weight = 6000 }, false, "run_broken steps"},
		"no document":                    {func(d *crossfadev1.Rollout) { proto.Reset(d) }, false, "run_broken run.id"},
	} {
		doc, _ := begun(t, asked())
		c.change(doc)
		p, _, errs := ResumeRun(doc)
		if (p != nil) != c.plan || len(errs) == 0 || codes(errs)[0] != c.want {
			t.Errorf("%s: %v, %q", name, p, codes(errs))
		}
		if p == nil {
			continue
		}
		if s, err := ReadWalk(doc); err != nil {
			t.Error(err)
		} else if after, _, err := Step(p, s, Inputs{Action: &Action{Kind: Abort, Who: "ann"}}, began); err != nil || after.Phase != Aborted {
			t.Errorf("%s: cannot be aborted: %v", name, err)
		}
	}
	if p, _, errs := ResumeRun(nil); p != nil || len(errs) == 0 {
		t.Error(errs)
	}
}
