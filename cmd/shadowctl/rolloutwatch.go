package main

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func newRolloutWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "watch ROLLOUT", Short: "Follow a rollout to its end; the exit code is that of the end",
		Long: `Follow a rollout to its end. On a terminal it is renewed in place; elsewhere each change of state, step or verdict is a line,
and what a state waits for that lasts.
When the server goes away it connects again, and says so on standard error. A rollout that is paused, frozen or waits at a gate is
watched on.
With -o json each line is one object: {"type","time","object"}. Types: rollout (how it is), and at last verdict.
Exit codes: 0 Completed, 8 RolledBack, 9 Aborted; 7 if it was interrupted (the rollout goes on).`,
		Args: exactly("ROLLOUT"), ValidArgsFunction: a.completeArgs(completeRollouts(anyRollout), completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error { return a.watchRollout(ctx, args[0], "") }),
	}
}

// watchRollout follows a rollout to its end. Run is the one that is meant; empty: the present one.
func (a *app) watchRollout(ctx context.Context, name, run string) error {
	a.docs = nil // what goes wrong from here on is not about the document
	v := newView(a, run)
	err := a.keepWatching(ctx, func(c crossfadev1.CrossfadeServiceClient) (int, error) {
		v.frame.leave() // what was noted since stands below it
		stream, err := c.WatchRollout(ctx, &crossfadev1.WatchRolloutRequest{Name: name})
		return showAll(stream, err, func(e *crossfadev1.WatchRolloutResponse) error { return v.see(e.GetTime(), e.GetStatus(), "") })
	})
	if err = v.finish(err); err != nil || v.verdict != "" {
		return err
	}
	return &failure{exit: exitTimedOut, problems: []problem{{
		code: "interrupted", message: "stopped watching; the rollout goes on", next: "`shadowctl rollout abort " + name + "` ends it",
	}}}
}

// errOver says that a rollout is over, which ends a watch of it.
var errOver = errors.New("the rollout is over")

// rolloutView shows a rollout as it goes on.
type rolloutView struct {
	app   *app
	frame *frame
	run   string // that is followed; empty: whichever comes first
	// interrupt says what an interrupt does, for people.
	interrupt string

	lines   rolloutLines
	last    *crossfadev1.RolloutStatus
	at      *timestamppb.Timestamp
	hint    string // the last one
	verdict string // of the end
}

func newView(a *app, run string) *rolloutView {
	return &rolloutView{app: a, frame: &frame{app: a}, lines: rolloutLines{app: a}, run: run, interrupt: "Ctrl-C stops watching, not the rollout"}
}

// see shows how the rollout is now. It returns errOver at the end; the verdict is the server's, if it gives one.
func (v *rolloutView) see(at *timestamppb.Timestamp, st *crossfadev1.RolloutStatus, verdict string) error {
	st = v.app.readable(st)
	if v.run == "" {
		v.run = st.GetRun()
	}
	if st.GetRun() != v.run {
		return &failure{exit: exitHeld, problems: []problem{{
			code: "run_replaced", field: "run", value: v.run, message: "this run is over, and another has been started since: " + st.GetRun(), next: "`shadowctl history` shows how it ended",
		}}}
	}
	v.last, v.at = st, at
	if err := v.show(); err != nil {
		return err
	}
	if v.verdict = dashOr(verdict, endVerdict(phaseOf(st))); v.verdict != "" {
		return errOver
	}
	return nil
}

// show shows the last status: in place, in a line if something changed, or as an object.
func (v *rolloutView) show() error {
	a, st := v.app, v.last
	switch {
	case a.output != "table":
		return a.showEvent(kindRollout, v.at, st, nil)
	case a.width > 0 && a.env("TERM") != "dumb":
		return v.frame.draw(func(in *app) { in.sayRolloutProgress(st, v.interrupt) })
	}
	err := v.lines.see(v.at, st)
	if do := whatToDo(st); do != v.hint {
		if v.hint = do; do != "" {
			a.advise("%s", do)
		}
	}
	return err
}

// sayRolloutProgress is what is renewed in place: with as many guards as fit, since what has left the screen cannot be renewed.
func (a *app) sayRolloutProgress(st *crossfadev1.RolloutStatus, interrupt string) {
	most := len(st.GetGuards())
	if a.height > 0 {
		in, b := *a, bytes.Buffer{}
		in.out = &b
		in.sayAllProgress(st, interrupt, most)
		rows := 1 // of the cursor
		for line := range strings.Lines(b.String()) {
			rows += rowsOf(line, a.width)
		}
		if rows > a.height {
			most = max(0, most-(rows-a.height)-1) // one for the line that says so
		}
	}
	a.sayAllProgress(st, interrupt, most)
}

func (a *app) sayAllProgress(st *crossfadev1.RolloutStatus, interrupt string, most int) {
	a.saySummary(st)
	a.sayShortGuards(st, most)
	if do := whatToDo(st); do != "" {
		a.say("\n%s", a.paint(do, yellow))
	}
	if !phaseOf(st).Over() {
		a.say("\n%s", a.paint(interrupt, faint))
	}
}

func (a *app) sayShortGuards(st *crossfadev1.RolloutStatus, most int) {
	if len(st.GetGuards()) == 0 {
		return
	}
	if most == 0 {
		a.say("%s: shadowctl rollout explain %s", count(int64(len(st.GetGuards())), "guard"), st.GetName())
		return
	}
	t, more := guardsTable(st.GetGuards(), most)
	a.say("")
	a.write(t)
	if more > 0 {
		a.say("and %d more: shadowctl rollout explain %s", more, st.GetName())
	}
}

// finish says how a rollout ended, and gives the exit code of the end.
func (v *rolloutView) finish(err error) error {
	v.lines.close()
	if !errors.Is(err, errOver) {
		return err
	}
	if v.app.output != "table" {
		if err := v.finishTree(); err != nil {
			return err
		}
		return verdictExit(v.verdict)
	}
	v.frame.erase()
	v.sayEnd()
	return verdictExit(v.verdict)
}
