package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func newMirrorWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "watch MIRROR", Short: "Follow an experiment to its end; the exit code is that of the verdict",
		Long: `Follow an experiment to its end, and then show its report. On a terminal the figures are renewed in place; elsewhere
each change is a line. When the server goes away it connects again, and says so on standard error.
With -o json each line is one object: {"type","time","object"}, where the object is the report.
Exit codes: 0 Pass, 8 Fail, 9 Inconclusive, 1 Error; 7 if it was interrupted (the experiment goes on).`,
		Args: exactly("MIRROR"), ValidArgsFunction: a.completeArgs(completeMirror, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error { return a.watchMirror(ctx, args[0]) }),
	}
}

// watchMirror shows reports until the run has ended.
func (a *app) watchMirror(ctx context.Context, name string) error {
	var last *crossfadev1.MirrorReport
	f := &frame{app: a}
	err := a.keepWatching(ctx, func(c crossfadev1.CrossfadeServiceClient) (int, error) {
		f.leave() // what was noted since stands below it
		stream, err := c.WatchMirror(ctx, &crossfadev1.WatchMirrorRequest{Name: name})
		return showAll(stream, err, func(e *crossfadev1.WatchMirrorResponse) error {
			last = a.forPeople(e.GetReport())
			if err := a.showProgress(f, e); err != nil {
				return err
			}
			if last.GetState() == mirrorEnded {
				return errEnded
			}
			return nil
		})
	})
	switch {
	case errors.Is(err, errEnded):
		if a.output == "table" {
			f.erase()
			a.sayReport(last, shownDifferences)
		}
		return verdictExit(last.GetVerdict())
	case err != nil:
		return err
	}
	return &failure{exit: exitTimedOut, problems: []problem{{
		code: "interrupted", message: "stopped watching; the experiment goes on", next: "`shadowctl mirror stop " + name + "` ends it",
	}}}
}

// showProgress shows one report: in place, in a line, or as an object.
func (a *app) showProgress(f *frame, e *crossfadev1.WatchMirrorResponse) error {
	if a.output == "table" && a.width > 0 && a.env("TERM") != "dumb" {
		return f.draw(func(in *app) { in.sayProgress(e.GetReport(), max(3, a.height-progressLines)) })
	}
	return a.showEvent("report", e.GetTime(), e.GetReport(), func() string { return progressWords(e.GetReport()) })
}

// progressLines is how many lines of a terminal are for other things than differences.
const progressLines = 18

// sayProgress is what is renewed in place: as much as fits.
func (a *app) sayProgress(r *crossfadev1.MirrorReport, most int) {
	a.sayVerdict(r)
	a.sayCounts(r)
	if r.GetState() == mirrorLearning {
		seen := r.GetSeen()
		r.Seen = seen[:min(most, len(seen))]
		a.saySeen(r)
		r.Seen = seen
	} else {
		a.sayDifferences(r, most)
	}
	a.say("\n%s", a.paint(a.counted(r.GetCounted())+"; Ctrl-C stops watching, not the experiment", faint))
}

// progressWords is a report in one line.
func progressWords(r *crossfadev1.MirrorReport) string {
	findings, open, _ := kindCounts(r)
	words := fmt.Sprintf("%s  %s  %s  %s copies, %s compared, %d beyond noise, %d open", r.GetMirror(), r.GetState(), r.GetVerdict(), whole(r.GetMirrored()), whole(r.GetCompared()), findings, open)
	if r.GetMode() == modeDark {
		words = fmt.Sprintf("%s  %s  %s copies, %s answered", r.GetMirror(), r.GetState(), whole(r.GetMirrored()), whole(r.GetAnswered()))
	}
	if asked := perSecond(r.GetAskedRps()); asked != "" {
		words += "; " + asked
	}
	return words
}

// frame is a part of a terminal that is written over.
type frame struct {
	app  *app
	rows int // that it takes now
}

// draw replaces what the frame holds. It is written at once, so that it does not flicker.
func (f *frame) draw(body func(*app)) error {
	var b bytes.Buffer
	in := *f.app
	in.out = &b
	body(&in)
	out := f.up() + b.String()
	f.rows = 0
	for line := range strings.Lines(b.String()) {
		f.rows += rowsOf(line, f.app.width)
	}
	return f.app.print(out)
}

// up moves to the beginning of the frame and clears from there.
func (f *frame) up() string {
	if f.rows == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", f.rows)
}

// erase takes the frame off.
func (f *frame) erase() {
	_ = f.app.print(f.up()) // what is written next fails too, and says so
	f.rows = 0
}

// leave lets what the frame holds stand.
func (f *frame) leave() { f.rows = 0 }

// escapes are the colours of a line, which take no room.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// rowsOf is how many rows of a terminal a line takes.
func rowsOf(line string, width int) int {
	n := utf8.RuneCountInString(escapes.ReplaceAllString(strings.TrimRight(line, "\n"), ""))
	return max(1, (n+width-1)/width)
}
