package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// mirrorStart is what `mirror start` is asked for.
type mirrorStart struct {
	files         files
	flags         mirrorFlags
	dryRun, watch bool
}

func newMirrorStart(a *app) *cobra.Command {
	var s mirrorStart
	cmd := &cobra.Command{
		Use: "start MIRROR|-f FILE", Short: "Start an experiment, and say what it asks of the origins",
		Long: `Start an experiment: by flags, from a file (which can say more than flags), or by its name alone one that has ended.

A share of the live requests is copied to a comparator, which asks both origins again and compares the answers. No
client waits for it or gets an answer of it. Asked are GET, HEAD and OPTIONS unless you say otherwise; credentials are
taken out of copies; in the first minute nobody is asked, and the paths that would be are listed. --dry-run says what
it would ask, and starts nothing.
With --watch the exit code is that of the verdict: 0 Pass, 8 Fail, 9 Inconclusive, 1 Error.`,
		Example: "  shadowctl mirror start m1 --service orders --candidate eks --dry-run\n" +
			"  shadowctl mirror start m1 --service orders --candidate eks --share 1.5% --duration 30m --watch\n" +
			"  shadowctl mirror start -f mirror.yaml\n  shadowctl mirror start m1",
		Args: exactly("[MIRROR]"), ValidArgsFunction: a.completeArgs(completeMirror, completeNothing),
	}
	s.files.flag(cmd, "the experiment:")
	cmd.Flags().BoolVar(&s.dryRun, "dry-run", false, "say what it would ask, and start nothing")
	cmd.Flags().BoolVar(&s.watch, "watch", false, "follow it to its end; the exit code is that of the verdict")
	s.flags.add(a, cmd)
	cmd.RunE = a.do(func(ctx context.Context, args []string) error {
		req, err := s.request(a, cmd, strings.Join(args, ""))
		if err != nil {
			return err
		}
		return a.startMirror(ctx, req, s.watch)
	})
	return cmd
}

// request reads what to start: a file, flags, or a name.
func (s *mirrorStart) request(a *app, cmd *cobra.Command, name string) (*crossfadev1.StartMirrorRequest, error) {
	req := &crossfadev1.StartMirrorRequest{DryRun: s.dryRun, Options: a.options()}
	flags := given(cmd, "filename", "dry-run", "watch")
	var err error
	switch {
	case s.dryRun && s.watch:
		return nil, usage("bad_flag", "--dry-run starts nothing, so there is nothing to --watch")
	case len(s.files.names) > 0 && name+strings.Join(flags, "") != "":
		return nil, usage("bad_flag", "what a file says is not said again by a name or flags: give either")
	case len(s.files.names) > 0:
		req.Mirror, err = a.readMirror(s.files.names)
	case name == "":
		return nil, usageOf(cmd, "MIRROR is missing: a name for the experiment")
	case len(flags) == 0:
		req.Name = name
	default:
		req.Mirror, err = s.flags.mirror(name, flags)
	}
	return req, err
}

// readMirror reads the one experiment of some files.
func (a *app) readMirror(names []string) (*crossfadev1.Mirror, error) {
	docs, err := a.readDocuments(names)
	switch {
	case err != nil:
		return nil, err
	case len(docs) != 1 || docs[0].GetMirror() == nil:
		f := usage("not_one_mirror", "exactly one document of kind Mirror is started at a time")
		f.problems[0].next = "`shadowctl apply` takes several documents, of every kind"
		return nil, f
	}
	return docs[0].GetMirror(), nil
}

func (a *app) startMirror(ctx context.Context, req *crossfadev1.StartMirrorRequest, watch bool) error {
	out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.StartMirror, req, "")
	if err != nil {
		return a.failureAfter(err, "started")
	}
	tree := startTree(out)
	if watch && a.output != "table" {
		err = a.showTree("started", timestamppb.New(a.now()), tree)
	} else {
		err = a.show(tree, func() { a.sayStarted(out) })
	}
	if err != nil {
		return err
	}
	name := out.GetMirror().GetName()
	switch {
	case watch:
		return a.watchMirror(ctx, name)
	case req.GetDryRun():
		a.advise("Nothing was started. Without --dry-run it is.")
	default:
		a.advise("Then:\n  shadowctl mirror watch %s\n  shadowctl mirror report %s\n  shadowctl mirror stop %s", name, name, name)
	}
	return nil
}

// startTree is the change with what it asks; in a dry run, only that.
func startTree(out *crossfadev1.StartMirrorResponse) *yaml.Node {
	tree := manifest.Map()
	if out.GetChange() != nil {
		tree = manifest.Answer(out.GetChange())
	}
	if out.GetEstimate() != nil {
		manifest.Put(tree, "estimate", manifest.Answer(out.GetEstimate()))
	}
	manifest.Put(tree, kindMirror, manifest.Answer(mirrorDocument(out.GetMirror())))
	return tree
}

func (a *app) sayStarted(out *crossfadev1.StartMirrorResponse) {
	if c := out.GetChange(); c != nil {
		done := "started"
		if unchanged(c) {
			done = "runs already"
		}
		a.sayChange(c, done)
	} else {
		a.say("mirror %s: would start", oneLine(out.GetMirror().GetName()))
	}
	a.sayMirror(out.GetMirror(), out.GetEstimate())
}

// sayMirror says what an experiment does and leaves out, a line each. The estimate may be nil.
func (a *app) sayMirror(m *crossfadev1.Mirror, e *crossfadev1.MirrorEstimate) {
	compiled, errs := policy.CompileMirror(m)
	if errs != nil { // of a server that knows more than we do
		return
	}
	asked := slices.Concat(compiled.Methods, compiled.GRPCMethods)
	a.paragraph("copies", faint, fmt.Sprintf("%s of the requests of %s: %s%s", policy.FormatWeight(compiled.Share), m.GetService(), few(asked), limitedTo(m)))
	if control := controlOf(m, e); compiled.Mode == policy.Dark {
		a.paragraph("asks", faint, m.GetCandidate()+" alone; nothing is compared")
	} else {
		a.paragraph("asks", faint, fmt.Sprintf("%s and %s, and %s twice for %s, to learn what is noise", control, m.GetCandidate(), control, policy.FormatWeight(compiled.NoiseShare)))
	}
	a.sayEstimate(compiled, e)
	a.paragraph("never", faint, "bodies longer than 256 KiB or of unknown length, upgrades, event streams, paths with side effects (logout, confirm, callback, export, …), copies of copies")
	a.paragraph("taken out", faint, credentialWords(compiled))
	if run := m.GetRun(); run.GetEnded() != nil {
		a.paragraph("ended", faint, utc(run.GetEnded())+" UTC"+because(endedWords(run)))
		return
	}
	learn := ""
	if compiled.Learn > 0 {
		learn = fmt.Sprintf("; for the first %s nobody is asked, and the paths that would be are listed", manifest.FormatDuration(durationpb.New(compiled.Learn)))
	}
	a.paragraph("ends", faint, "after "+manifest.FormatDuration(durationpb.New(compiled.Duration))+learn)
}

// controlOf is the control, also where the document leaves it to the primary.
func controlOf(m *crossfadev1.Mirror, e *crossfadev1.MirrorEstimate) string {
	if m.GetControl() == "" {
		for origin := range e.GetAddedRps() {
			if origin != m.GetCandidate() {
				return origin
			}
		}
	}
	return dashOr(m.GetControl(), "the primary")
}

// limitedTo says which requests only.
func limitedTo(m *crossfadev1.Mirror) string {
	words := ""
	if len(m.GetPathPrefixes()) > 0 {
		words += ", below " + few(m.GetPathPrefixes())
	}
	if n := len(m.GetHeaders()); n > 0 {
		words += ", with " + count(int64(n), "header") + " as asked for"
	}
	return words
}

func (a *app) sayEstimate(m *policy.Mirror, e *crossfadev1.MirrorEstimate) {
	if e == nil {
		return
	}
	limit := "limited by its share"
	if e.GetLimitedBy() == "maxRps" {
		limit = "limited by maxRps"
	}
	if e.GetLiveRps() == 0 {
		a.paragraph("adds", yellow, fmt.Sprintf("no live traffic now: at most %s copies/s are asked again", rate(e.GetMaxRps())))
		return
	}
	added := perSecond(e.GetAddedRps())
	if added == "" {
		added = "nothing yet"
	}
	a.paragraph("adds", yellow, fmt.Sprintf("%s, on top of %s/s live (%s; at most %s copies/s are asked again)", added, rate(e.GetLiveRps()), limit, rate(e.GetMaxRps())))
}

// credentialWords says which headers copies do not have, and what they have instead.
func credentialWords(m *policy.Mirror) string {
	out := []string{"authorization", "cookie", "proxy-authorization", "x-api-key", "x-amz-security-token"}
	out = slices.DeleteFunc(out, func(name string) bool { return slices.Contains(m.Keep, name) })
	words := "the headers " + strings.Join(out, ", ")
	if len(m.Keep) > 0 {
		words += "; kept: " + few(m.Keep) + ", and each identity is asked for at most once a second"
	}
	if m.Identity != "" {
		words += "; copies have the test identity " + m.Identity
	}
	return words
}
