package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

func newRollout(a *app) *cobra.Command {
	c := group("rollout", "Move traffic step by step, and back if a guard fails", newRolloutStart(a), newRolloutRun(a))
	for _, act := range rolloutActs {
		c.AddCommand(newRolloutAct(a, act))
	}
	c.AddCommand(newRolloutList(a), newRolloutWatch(a), newRolloutExplain(a))
	return c
}

// rolloutAct is something that one may ask of a rollout.
type rolloutAct struct {
	kind        rollout.ActionKind
	done, short string
	long        string
	gate        bool // it is about a gate, so that one may say which
}

var rolloutActs = []rolloutAct{
	{rollout.Pause, "paused", "Hold a rollout where it is", "Hold a rollout where it is, for as long as needed. Guards are watched on, and a failing one still takes everything back.", false},
	{rollout.Resume, "resumed", "Let a rollout go on that is paused or frozen", "Let a rollout go on that is paused or frozen. If the split was changed meanwhile, the weight of the step is set again.", false},
	{
		rollout.Approve, "approved", "Open the gate that a rollout waits at",
		"Open the gate that a rollout waits at. Whoever does it needs the gate's role; without it: exit 10. With --step it is refused if the rollout\nwaits at another gate by now.", true,
	},
	{rollout.Reject, "rejected", "Do not open the gate that a rollout waits at", "Do not open the gate that a rollout waits at: it is paused, and no traffic moves. \"resume\" asks again, \"abort\" ends it.", true},
	{
		rollout.Abort, "aborted", "End a rollout, with everything back at the primary",
		"End a rollout, with everything back at the primary; one that moves traffic to the primary ends where it is. If the primary is\nunhealthy it is refused (exit 9): \"rollback\" does it all the same.", false,
	},
	{rollout.Promote, "promoted", "End the bake of the present step early", "End the bake of the present step early. The gate before the next one stays.", false},
}

func newRolloutAct(a *app, act rolloutAct) *cobra.Command {
	step := int32(0)
	cmd := &cobra.Command{
		Use: string(act.kind) + " ROLLOUT", Short: act.short, Long: act.long,
		Args: exactly("ROLLOUT"), ValidArgsFunction: a.completeArgs(completeRollouts(underway), completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			if step < 0 {
				return badFlag("step", fmt.Sprint(step), "must be the number of a step, 1 or more")
			}
			req := &crossfadev1.ActOnRolloutRequest{Name: args[0], Action: string(act.kind), Step: step, Options: a.options()}
			out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.ActOnRollout, req, "")
			if err != nil {
				return err
			}
			return a.show(manifest.Answer(out.GetStatus()), func() { a.sayAct(act, a.readable(out.GetStatus())) })
		}),
	}
	if act.gate {
		cmd.Flags().Int32Var(&step, "step", 0, "the gate before step `N` is meant (default: the one that is waited at)")
	}
	return cmd
}

// sayAct is one sentence: what was done, and what it does now.
func (a *app) sayAct(act rolloutAct, st *crossfadev1.RolloutStatus) {
	now := itWords(st)
	if now == "" {
		now = fmt.Sprintf("it is %s at %s", st.GetState(), weightWords(st.GetWeight()))
	}
	a.say("rollout %s: %s; %s.", st.GetName(), act.done, strings.TrimSuffix(now, "."))
	if !phaseOf(st).Over() {
		a.advise("How it goes on:\n  shadowctl rollout watch %s", st.GetName())
	}
}

// readRollout asks for the document of a rollout.
func (a *app) readRollout(ctx context.Context, name string) (*crossfadev1.Rollout, error) {
	got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.Get, &crossfadev1.GetRequest{Kind: kindRollout, Name: name})
	if err != nil {
		return nil, err
	}
	return got.GetDocument().GetRollout(), nil
}

// rolloutStatus asks how a rollout is.
func (a *app) rolloutStatus(ctx context.Context, name string) (*crossfadev1.RolloutStatus, error) {
	got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.GetRollout, &crossfadev1.GetRolloutRequest{Name: name})
	if err != nil {
		return nil, err
	}
	return a.readable(got.GetStatus()), nil
}

// readable takes control characters from what people read: some of it comes from elsewhere. In JSON and YAML they are escaped.
func (a *app) readable(st *crossfadev1.RolloutStatus) *crossfadev1.RolloutStatus {
	if a.output == "table" {
		printable(st.ProtoReflect())
	}
	return st
}

func over(st *crossfadev1.RolloutStatus) bool { return phaseOf(st).Over() }

func underway(st *crossfadev1.RolloutStatus) bool { return !phaseOf(st).Over() }

func anyRollout(*crossfadev1.RolloutStatus) bool { return true }

// completeRollouts offers the names of rollouts, with how they are.
func completeRollouts(which func(*crossfadev1.RolloutStatus) bool) completer {
	return func(ctx context.Context, a *app, _ []string) []string {
		items, err := a.listRollouts(ctx, "")
		if err != nil {
			return nil
		}
		var names []string
		for _, st := range slices.DeleteFunc(items, func(st *crossfadev1.RolloutStatus) bool { return !which(st) }) {
			names = append(names, st.GetName()+"\t"+st.GetService()+", "+st.GetState()+" at "+weightWords(st.GetWeight()))
		}
		return names
	}
}

// rolloutDocument wraps a rollout, so that it is written as documents are.
func rolloutDocument(r *crossfadev1.Rollout) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Rollout{Rollout: r}}
}

// getRollouts lists rollouts; as YAML it writes their documents.
func (a *app) getRollouts(ctx context.Context) error {
	if a.output != "yaml" {
		return a.showRollouts(ctx, "")
	}
	items, err := a.listRollouts(ctx, "")
	if err != nil {
		return err
	}
	var names []string
	for _, st := range items {
		names = append(names, st.GetName())
	}
	return a.export(ctx, kindRollout, names)
}

// getRollout shows the plan of a rollout; as YAML its document.
func (a *app) getRollout(ctx context.Context, name string) error {
	doc, err := a.readRollout(ctx, name)
	if err != nil {
		return err
	}
	if a.output == "yaml" {
		return a.show(manifest.Node(rolloutDocument(doc)), nil)
	}
	st, err := a.rolloutStatus(ctx, name)
	if err != nil {
		return err
	}
	tree := manifest.Answer(rolloutDocument(doc))
	manifest.Put(tree, "status", manifest.Answer(st))
	return a.show(tree, func() {
		a.say("rollout %s: %s", st.GetName(), a.paint(dash(st.GetState()), phaseColor(phaseOf(st))))
		a.paragraph("moves", faint, movesWords(st))
		a.sayPlan(st, doc, nil)
	})
}

// describeRollout shows how a rollout is, and its plan.
func (a *app) describeRollout(ctx context.Context, name string) error {
	doc, err := a.readRollout(ctx, name)
	if err != nil {
		return err
	}
	st, err := a.rolloutStatus(ctx, name)
	if err != nil {
		return err
	}
	tree := manifest.Map()
	manifest.Put(tree, kindRollout, manifest.Answer(rolloutDocument(doc)))
	manifest.Put(tree, "status", manifest.Answer(st))
	return a.show(tree, func() {
		a.sayExplanation(st)
		a.say("\n%s", a.paint("The plan", faint))
		a.sayPlan(st, doc, nil)
		a.note("\nEverything that is set: shadowctl get rollout %s -o yaml", name)
	})
}
