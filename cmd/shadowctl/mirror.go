package main

import (
	"cmp"
	"context"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

func newMirror(a *app) *cobra.Command {
	return group("mirror", "Ask two origins the same, beside the path of live requests, and see what differs",
		newMirrorStart(a), newMirrorStop(a), newMirrorList(a), newMirrorWatch(a), newMirrorReport(a), newMirrorDiffs(a), newMirrorExplain(a))
}

func newMirrorStop(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "stop MIRROR", Short: "End an experiment; its report stays",
		Args: exactly("MIRROR"), ValidArgsFunction: a.completeArgs(completeMirror, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			req := &crossfadev1.StopMirrorRequest{Name: args[0], Options: a.options()}
			out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.StopMirror, req, "")
			if err != nil {
				return a.failureAfter(err, "stopped")
			}
			done := "stopped"
			if unchanged(out.GetChange()) {
				done = "had ended already"
			}
			if err := a.showChange(out.GetChange(), done); err != nil {
				return err
			}
			a.advise("What it found:\n  shadowctl mirror report %s", args[0])
			return nil
		}),
	}
}

func newMirrorList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list [SERVICE]", Short: "Show the experiments, with their verdicts",
		Args: exactly("[SERVICE]"), ValidArgsFunction: a.completeArgs(completeService, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			return a.showMirrors(ctx, strings.Join(args, ""))
		}),
	}
}

func (a *app) showMirrors(ctx context.Context, service string) error {
	items, err := a.listMirrors(ctx, service)
	if err != nil {
		return err
	}
	others, err := onlyOthers(ctx, a, service, items, a.listMirrors)
	if err != nil {
		return err
	}
	return a.show(page(items, ""), func() {
		if others {
			a.note("There is no experiment of %s. Those of other services:\n  shadowctl mirror list", service)
			return
		}
		if len(items) == 0 {
			a.note("There is no experiment yet. Begin with one:\n  shadowctl example mirror > mirror.yaml\n  shadowctl mirror start -f mirror.yaml --dry-run")
			return
		}
		a.write(a.mirrorsTable(items))
	})
}

// listMirrors reads every page.
func (a *app) listMirrors(ctx context.Context, service string) ([]*crossfadev1.MirrorStatus, error) {
	var items []*crossfadev1.MirrorStatus
	req := &crossfadev1.ListMirrorsRequest{PageSize: pageSize, Service: service}
	for {
		got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.ListMirrors, req)
		if err != nil {
			return nil, err
		}
		items = append(items, got.GetItems()...)
		if req.PageToken = got.GetNextPageToken(); req.PageToken == "" {
			return items, nil
		}
	}
}

func (a *app) mirrorsTable(items []*crossfadev1.MirrorStatus) *table {
	t := &table{head: []string{"MIRROR", "SERVICE", "ORIGINS", "STATE", "VERDICT", "COPIES", "COMPARED", "FINDINGS", "ENDS"}}
	for _, m := range items {
		origins, ends := "only "+m.GetCandidate(), a.endsWords(m.GetState(), m.GetEnds(), m.GetEndedBy())
		if m.GetMode() != modeDark {
			origins = m.GetCandidate() + " against " + m.GetControl()
		}
		findings := cell{text: whole(int64(m.GetFindings()))}
		if m.GetFindings() > 0 {
			findings.color = red
		}
		t.row(m.GetMirror(), m.GetService(), origins, mirrorState(m.GetState()), verdictCell(m.GetVerdict()), whole(m.GetMirrored()), whole(m.GetCompared()), findings, ends)
	}
	return t
}

// completeMirror offers the names of experiments, with how they are.
func completeMirror(ctx context.Context, a *app, _ []string) []string {
	items, err := a.listMirrors(ctx, "")
	if err != nil {
		return nil
	}
	var names []string
	for _, m := range items {
		names = append(names, m.GetMirror()+"\t"+m.GetService()+", "+m.GetState()+", "+m.GetVerdict())
	}
	return names
}

// mirrorDocument wraps an experiment, so that it is written as documents are.
func mirrorDocument(m *crossfadev1.Mirror) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Mirror{Mirror: m}}
}

// readReport asks for the report of an experiment.
func (a *app) readReport(ctx context.Context, name string) (*crossfadev1.MirrorReport, error) {
	got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.GetMirrorReport, &crossfadev1.GetMirrorReportRequest{Name: name})
	if err != nil {
		return nil, err
	}
	return a.forPeople(got.GetReport()), nil
}

// advise says what one may do next, to people only.
func (a *app) advise(format string, args ...any) {
	if a.output == "table" {
		a.note(format, args...)
	}
}

// describeMirror shows an experiment and what it found.
func (a *app) describeMirror(ctx context.Context, name string) error {
	got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.Get, &crossfadev1.GetRequest{Kind: kindMirror, Name: name})
	if err != nil {
		return err
	}
	r, err := a.readReport(ctx, name)
	if err != nil {
		return err
	}
	tree := manifest.Map()
	manifest.Put(tree, kindMirror, manifest.Answer(got.GetDocument()))
	manifest.Put(tree, "report", manifest.Answer(r))
	return a.show(tree, func() {
		a.sayReport(r, shownDifferences)
		a.say("\n%s", a.paint("What it does", faint))
		m := proto.CloneOf(got.GetDocument().GetMirror())
		m.Control = cmp.Or(m.GetControl(), r.GetControl()) // the primary, by its name
		a.sayMirror(m, nil)
		a.note("\nEverything that is set: shadowctl get mirror %s -o yaml", name)
	})
}
