package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestWatchOfAnExperimentEndsWithIt: a line for each report, then the whole; it survives a server that goes away.
func TestWatchOfAnExperimentEndsWithIt(t *testing.T) {
	reports := []*crossfadev1.MirrorReport{learning(), mirrorReport(3), ended(mirrorReport(3), "duration")}
	sent := 0
	d := serve(t, &double{watchMirror: func(in *crossfadev1.WatchMirrorRequest, out grpc.ServerStreamingServer[crossfadev1.WatchMirrorResponse]) error {
		if in.GetName() != "m1" {
			return status.Error(codes.NotFound, "no such experiment")
		}
		for {
			r := reports[sent%len(reports)]
			sent++
			if err := out.Send(&crossfadev1.WatchMirrorResponse{Time: timestamppb.New(now), Report: r}); err != nil {
				return err
			}
			switch {
			case r.GetState() == "ended":
				return nil
			case sent == 1:
				return status.Error(codes.Unavailable, "shutting down")
			}
		}
	}})
	r := d.at(t, "mirror", "watch", "m1")
	golden(t, "mirror-watch", r.out)
	if r.exit != 8 || r.err != "connection lost (shutting down); trying again in 250ms\n" {
		t.Errorf("exit %d: %s", r.exit, r.err)
	}
	sent = 1
	r = d.at(t, "mirror", "watch", "m1", "-o", "json")
	if r.exit != 8 || strings.Count(r.out, "\n") != 2 {
		t.Errorf("exit %d: %s", r.exit, r.out)
	}
	for line := range strings.Lines(r.out) {
		var e struct {
			Type, Time string
			Object     struct{ Mirror string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Type != "report" || e.Time != "2026-03-01T03:00:00Z" || e.Object.Mirror != "m1" {
			t.Errorf("%v: %s", err, line)
		}
	}
	if r := d.at(t, "mirror", "watch", "m9"); r.exit != 4 {
		t.Errorf("of nothing: exit %d: %s", r.exit, r.err)
	}
}

// TestAnInterruptedWatchIsNoVerdict: a job that is cut short must not read it as Pass.
func TestAnInterruptedWatchIsNoVerdict(t *testing.T) {
	d := serve(t, &double{watchMirror: func(_ *crossfadev1.WatchMirrorRequest, out grpc.ServerStreamingServer[crossfadev1.WatchMirrorResponse]) error {
		if err := out.Send(&crossfadev1.WatchMirrorResponse{Time: timestamppb.New(now), Report: mirrorReport(0)}); err != nil {
			return err
		}
		<-out.Context().Done()
		return nil
	}})
	exit, _, errs := runUntil(t, d, 1, "mirror", "watch", "m1")
	if exit != 7 || !strings.Contains(errs, "the experiment goes on") {
		t.Errorf("exit %d: %s", exit, errs)
	}
}

// TestAWatchOnATerminalIsRenewedInPlace: each frame goes up by as many rows as the one before took, and the report is left.
func TestAWatchOnATerminalIsRenewedInPlace(t *testing.T) {
	d := serve(t, &double{watchMirror: func(_ *crossfadev1.WatchMirrorRequest, out grpc.ServerStreamingServer[crossfadev1.WatchMirrorResponse]) error {
		for _, r := range []*crossfadev1.MirrorReport{learning(), mirrorReport(200), ended(mirrorReport(3), "stopped")} {
			if err := out.Send(&crossfadev1.WatchMirrorResponse{Time: timestamppb.New(now), Report: r}); err != nil {
				return err
			}
		}
		return nil
	}})
	var out bytes.Buffer
	a := &app{out: &out, err: &bytes.Buffer{}, now: func() time.Time { return now }, env: func(string) string { return "" }, color: true, width: 60, height: 24}
	exit := a.run(t.Context(), []string{"mirror", "watch", "m1", "--server", d.address})
	frames := strings.Split(out.String(), "\r\x1b[J")
	if exit != 8 || len(frames) != 4 {
		t.Fatalf("exit %d, %d frames: %q", exit, len(frames), out.String())
	}
	for i, f := range frames[:3] {
		f, up, _ := cutLast(f, "\x1b[")
		rows := 0
		for line := range strings.Lines(f) {
			rows += rowsOf(line, 60)
		}
		if up != fmt.Sprintf("%dA", rows) {
			t.Errorf("frame %d has %d rows, and the next one goes up by %s", i, rows, up)
		}
	}
	if !strings.HasPrefix(frames[3], "mirror m1: ") || !strings.Contains(frames[3], "ended") {
		t.Errorf("left: %s", frames[3])
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
