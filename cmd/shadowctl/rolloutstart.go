package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// rolloutStart is what `rollout start` is asked for.
type rolloutStart struct {
	files         files
	flags         rolloutFlags
	dryRun, watch bool
}

func newRolloutStart(a *app) *cobra.Command {
	var s rolloutStart
	cmd := &cobra.Command{
		Use: "start ROLLOUT|-f FILE", Short: "Start a rollout, and say what will happen",
		Long: `Start a rollout: by flags, from a file (which can say more than flags), or by its name alone one that is over, as it was.

Traffic moves step by step. A step goes on when all guards have passed for its bake, and its gate is approved. A guard that fails
takes everything back. --dry-run prints the timetable, and starts nothing.

` + guardsLong + `

With --watch the exit code is that of the end: 0 Completed, 8 RolledBack, 9 Aborted; 7 if it was interrupted (the rollout goes on).`,
		Example: "  shadowctl rollout start r1 --service orders --to eks --preset 10,50,100 --guard 'p99<=10s' --guard 'errorRate<=0.5%' --dry-run\n" +
			"  shadowctl rollout start r1 --service orders --to eks --preset 10,50,100 --bake 10m --guard 'errorRate<=0.5%' --approve-before 50%:approver --watch\n" +
			"  shadowctl rollout start -f rollout.yaml\n  shadowctl rollout start r1",
		Args: exactly("[ROLLOUT]"), ValidArgsFunction: a.completeArgs(completeRollouts(over), completeNothing),
	}
	s.files.flag(cmd, "the rollout:")
	cmd.Flags().BoolVar(&s.dryRun, "dry-run", false, "print the timetable, and start nothing")
	cmd.Flags().BoolVar(&s.watch, "watch", false, "follow it to its end; the exit code is that of the end")
	s.flags.add(a, cmd)
	cmd.RunE = a.do(func(ctx context.Context, args []string) error {
		req, err := s.request(a, cmd, strings.Join(args, ""))
		if err != nil {
			return err
		}
		return a.startRollout(ctx, req, s.watch)
	})
	return cmd
}

// request reads what to start: a file, flags, or a name.
func (s *rolloutStart) request(a *app, cmd *cobra.Command, name string) (*crossfadev1.StartRolloutRequest, error) {
	req := &crossfadev1.StartRolloutRequest{DryRun: s.dryRun, Options: a.options()}
	if s.dryRun && s.watch {
		return nil, usage("bad_flag", "--dry-run starts nothing, so there is nothing to --watch")
	}
	if given := given(cmd, "filename", "dry-run", "watch"); name != "" && len(s.files.names)+len(given) == 0 {
		req.Name = name
		return req, nil
	}
	var err error
	req.Rollout, err = a.planOf(cmd, &s.files, &s.flags, name)
	return req, err
}

// planOf reads a plan from a file or from flags.
func (a *app) planOf(cmd *cobra.Command, f *files, flags *rolloutFlags, name string) (*crossfadev1.Rollout, error) {
	given := given(cmd, "filename", "dry-run", "watch", "lease", "no-guards")
	switch {
	case len(f.names) > 0 && name+strings.Join(given, "") != "":
		f := usage("bad_flag", "what a file says is not said again by a name or flags: give either")
		f.problems[0].next = "leave out " + few(append(strings.Fields(name), flagsOf(given)...)) + ", and set in the file what is to be otherwise"
		return nil, f
	case len(f.names) == 0 && name == "":
		return nil, usageOf(cmd, "ROLLOUT is missing: a name for the rollout")
	case len(f.names) == 0:
		return flags.rollout(name, given)
	}
	docs, err := a.readDocuments(f.names)
	switch {
	case err != nil:
		return nil, err
	case len(docs) != 1 || docs[0].GetRollout() == nil:
		f := usage("not_one_rollout", "exactly one document of kind Rollout is started at a time")
		f.problems[0].next = "`shadowctl apply` takes several documents, of every kind"
		return nil, f
	}
	return docs[0].GetRollout(), nil
}

func (a *app) startRollout(ctx context.Context, req *crossfadev1.StartRolloutRequest, watch bool) error {
	out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.StartRollout, req, "")
	if err != nil {
		return a.failureAfter(err, "started")
	}
	doc := req.GetRollout()
	if doc == nil && a.output == "table" {
		doc, _ = a.readRollout(ctx, req.GetName()) // without it less is said
	}
	tree := startedTree(out)
	if watch && a.output != "table" {
		err = a.showTree("started", timestamppb.New(a.now()), tree)
	} else {
		err = a.show(tree, func() { a.sayStartedRollout(out, doc) })
	}
	name := out.GetStatus().GetName()
	switch {
	case err != nil:
		return err
	case watch:
		return a.watchRollout(ctx, name, out.GetStatus().GetRun())
	case req.GetDryRun():
		a.advise("Nothing was started. Without --dry-run it is.")
	default:
		a.advise("Then:\n  shadowctl rollout watch %s\n  shadowctl rollout explain %s\n  shadowctl rollout abort %s", name, name, name)
	}
	return nil
}

// startedTree is the change with how the rollout is; in a dry run, only that.
func startedTree(out *crossfadev1.StartRolloutResponse) *yaml.Node {
	tree := manifest.Map()
	if out.GetChange() != nil {
		tree = manifest.Answer(out.GetChange())
	}
	manifest.Put(tree, kindRollout, manifest.Answer(out.GetStatus()))
	if out.GetEarliestEnd() != nil {
		manifest.Put(tree, "earliestEnd", manifest.Str(manifest.FormatSeconds(out.GetEarliestEnd())))
	}
	return tree
}

func (a *app) sayStartedRollout(out *crossfadev1.StartRolloutResponse, doc *crossfadev1.Rollout) {
	st := a.readable(out.GetStatus())
	if c := out.GetChange(); c != nil {
		done := "started"
		if unchanged(c) || c.GetAction() == "none" {
			done = "is on its way already"
		}
		a.sayChange(c, done)
	} else {
		a.say("rollout %s: would start", st.GetName())
	}
	a.paragraph("moves", faint, movesWords(st))
	a.sayPlan(st, doc, out.GetEarliestEnd())
}

// noGuards is said of a plan that looks at nothing.
const noGuards = "no guards: nothing would stop it. A step passes as long as requests come, whatever becomes of them."

// sayPlan says what a rollout does: what happens if a guard fails, its timetable, and its guards. The document may be nil, and the end not known.
func (a *app) sayPlan(st *crossfadev1.RolloutStatus, doc *crossfadev1.Rollout, end *durationpb.Duration) {
	if doc != nil {
		doc = proto.CloneOf(doc)
		printable(doc.ProtoReflect())
	}
	if end != nil {
		a.paragraph("ends", faint, durationWords(end.AsDuration())+" after the start at the earliest")
	}
	a.paragraph("on failure", faint, onFailureWords(cmp.Or(st.GetOnFailure(), doc.GetOnFailure()), st))
	if doc.GetHook() != nil {
		a.paragraph("hook", faint, doc.GetHook().GetUrl()+" is told, and asked before each step")
	}
	if doc != nil {
		a.paragraph("afterwards", faint, keptWords(st, doc))
	}
	limits := limitsTable(st, doc)
	if len(limits.rows) == 0 {
		a.say("  %s", a.paint(noGuards, yellow))
	}
	a.say("")
	a.write(timetable(st, doc, end != nil))
	if len(limits.rows) > 0 {
		a.say("")
		a.write(limits)
	}
}

func movesWords(st *crossfadev1.RolloutStatus) string {
	words := fmt.Sprintf("%s from %s to %s", st.GetService(), dashOr(st.GetFrom(), "the primary"), st.GetTo())
	if st.GetPrimary() != "" {
		words += "; the primary is " + st.GetPrimary()
	}
	return words + fmt.Sprintf("; %s has %s now", st.GetTo(), weightWords(st.GetWeight()))
}

func keptWords(st *crossfadev1.RolloutStatus, doc *crossfadev1.Rollout) string {
	kept := rollout.DefaultRetention
	if doc.GetRetention() != nil {
		kept = doc.GetRetention().AsDuration()
	}
	from := dashOr(st.GetFrom(), "the primary")
	if steps := st.GetSteps(); kept == 0 || len(steps) > 0 && steps[len(steps)-1].GetWeight() < 10000 {
		return "it is over with the last step"
	}
	return fmt.Sprintf("%s is kept and watched for %s, for a rollback", from, durationWords(kept))
}

// timetable has a row for each step; when it comes at the earliest is known of one that starts.
func timetable(st *crossfadev1.RolloutStatus, doc *crossfadev1.Rollout, starts bool) *table {
	t := &table{head: []string{"STEP", "WEIGHT", "EARLIEST", "BAKE", "REQUESTS", "BEFORE IT"}}
	if !starts {
		t.head = slices.Delete(t.head, 2, 3)
	}
	for i, s := range st.GetSteps() {
		earliest, requests, gate := "at once", cell{"-", faint}, cell{"-", faint}
		if s.GetEarliest().AsDuration() > 0 {
			earliest = "+" + durationWords(s.GetEarliest().AsDuration())
		}
		if s.GetMinRequests() > 0 {
			requests = cell{text: whole(s.GetMinRequests())}
		}
		if s.GetGate() != "" {
			gate = cell{"somebody with role " + s.GetGate() + " approves" + butStarter(doc, i), yellow}
		}
		row := []any{fmt.Sprint(s.GetStep()), weightWords(s.GetWeight()), earliest, durationWords(s.GetBake().AsDuration()), requests, gate}
		if !starts {
			row = slices.Delete(row, 2, 3)
		}
		t.row(row...)
	}
	return t
}

func butStarter(doc *crossfadev1.Rollout, step int) string {
	if step < len(doc.GetSteps()) && doc.GetSteps()[step].GetGate().GetApproval().GetNotStarter() {
		return ", not who started it"
	}
	return ""
}

// limitsTable says in words what must hold: as the document has it, or without one as the server says.
func limitsTable(st *crossfadev1.RolloutStatus, doc *crossfadev1.Rollout) *table {
	t := &table{head: []string{"GUARD", "MUST HOLD"}}
	for _, g := range doc.GetGuards() {
		t.row(g.GetName(), limitSentence(g, st.GetTo(), dashOr(st.GetFrom(), "the primary")))
	}
	if doc == nil {
		for _, g := range st.GetGuards() {
			t.row(g.GetName(), g.GetMetric()+" "+limitWords(g))
		}
	}
	return t
}
