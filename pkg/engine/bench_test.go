package engine

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// fiveGuards are as many as a careful team has.
func fiveGuards(r *crossfadev1.Rollout) {
	r.Steps, r.Bake = r.Steps[:1], durationpb.New(24*time.Hour)
	r.Guards = append(r.Guards,
		&crossfadev1.RolloutGuard{Name: "p50", Metric: "p50", Max: "1s"},
		&crossfadev1.RolloutGuard{Name: "p99", Metric: "p99", MaxRatio: 1.5},
		&crossfadev1.RolloutGuard{Name: "floor", Metric: "requests", Min: "1"},
	)
}

// loaded counts the same in each look.
type loaded struct{ windows []guard.Window }

func (l loaded) Read(time.Time) []guard.Window {
	return append([]guard.Window(nil), l.windows...)
}
func (loaded) Reporting(time.Time) (int, int) { return 2, 0 }
func (loaded) Changed() <-chan struct{}       { return nil }
func (loaded) Close()                         {}

// BenchmarkLook is one look of a walker that bakes, without what control and telemetry do for it. Idle: no request came.
func BenchmarkLook(b *testing.B) {
	busy := guard.Window{Length: 250 * time.Millisecond, Completed: 50}
	for i := range 40 {
		above := time.Duration(i) * time.Millisecond
		busy.Latency = append(busy.Latency, guard.Bucket{Above: above, UpTo: above + time.Millisecond, Count: 1})
	}
	idle := guard.Window{Length: 250 * time.Millisecond}
	for name, window := range map[string]guard.Window{"idle": idle, "busy": busy} {
		b.Run(fmt.Sprintf("%s, 5 guards", name), func(b *testing.B) {
			w := newWorld(b)
			w.start()
			defer w.engine.Close()
			doc := w.plan(document(fiveGuards))
			x, err := w.engine.newWalker(doc, 1)
			if err != nil {
				b.Fatal(err)
			}
			defer x.end()
			x.watch, x.fleets, x.outbox = loaded{[]guard.Window{window, window}}, []string{"default"}, newOutbox(x)
			for i := range maxNotes {
				x.remark(rollout.Note{ID: fmt.Sprintf("%s/note-%d", x.plan.ID, -i), Event: "gate", Phase: rollout.AwaitingGate, Text: "as long a text as they have, with some words"})
			}
			for x.stored.Phase != "Baking" {
				x.look()
				for !x.saving.IsZero() || x.split.busy {
					(<-x.news)()
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				x.look()
			}
		})
	}
}
