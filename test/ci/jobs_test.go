package ci

import (
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// systems are those that there are ready jobs for, and how each cancels one.
var systems = map[string]syscall.Signal{"github": syscall.SIGINT, "gitlab": syscall.SIGTERM}

// each runs a test for each system, with a world of its own and the canary job of the system, its bake shortened.
func each(t *testing.T, test func(t *testing.T, w *world, system string, all map[string]job)) {
	for _, system := range slices.Sorted(maps.Keys(systems)) {
		t.Run(system, func(t *testing.T) {
			w := newWorld(t)
			all := map[string]job{}
			for name, j := range jobs(t, w.Server.API) {
				if short, ok := strings.CutPrefix(name, system+" "); ok {
					j.env["CANARY_BAKE"] = bake.String()
					all[short] = j
				}
			}
			test(t, w, system, all)
		})
	}
}

func TestACanaryPassesAndIsPromotedThroughAGate(t *testing.T) {
	each(t, func(t *testing.T, w *world, _ string, all map[string]job) {
		dir := workspace(t)
		canary := all["canary"].start(t, dir)
		canary.ends(0)
		w.ended("orders-canary", "Completed", 1000)
		if s := all["canary"].summarize(t, dir); !strings.Contains(s, "### Rollout orders-canary") || !strings.Contains(s, "Completed") {
			t.Errorf("summary:\n%s", s)
		}
		promote := all["promote"].start(t, dir, "CANARY_APPROVE=50%:approver")
		promote.says("AwaitingGate")
		if share := w.share(); share != 1000 {
			t.Errorf("eks has %d before anybody agreed", share)
		}
		if _, err := w.API.ActOnRollout(t.Context(), &crossfadev1.ActOnRolloutRequest{
			Name: "orders-promote", Action: "approve", Options: &crossfadev1.ChangeOptions{Actor: "ann"},
		}); err != nil {
			t.Fatal(err)
		}
		promote.ends(0)
		w.ended("orders-promote", "Completed", 10000)
		w.load.Stop()
		if r := w.load.Wait(); r.Failed > 0 {
			t.Errorf("%d of %d requests failed: %v", r.Failed, r.Done, r.Failures)
		}
	})
}

func TestACanaryThatFailsIsTakenBackAndItsRetryIsTheSameRollout(t *testing.T) {
	each(t, func(t *testing.T, w *world, _ string, all map[string]job) {
		w.faulty(0.05)
		dir, j := workspace(t), all["canary"]
		j.start(t, dir).ends(8)
		w.ended("orders-canary", "RolledBack", 0)
		if s := j.summarize(t, dir); !strings.Contains(s, "RolledBack") {
			t.Errorf("summary:\n%s", s)
		}
		run := w.rollout("orders-canary").GetRun()
		w.faulty(0)
		j.start(t, workspace(t), "USER=another").ends(8) // the same attempt, though all is well by now
		if again := w.rollout("orders-canary").GetRun(); again != run {
			t.Errorf("run %s after a retry, want %s", again, run)
		}
		j.start(t, dir, j.key+"=2").ends(0)
		w.ended("orders-canary", "Completed", 1000)
		if again := w.rollout("orders-canary").GetRun(); again == run {
			t.Errorf("run %s for another attempt too", again)
		}
	})
}

func TestACancelledJobTakesEverythingBack(t *testing.T) {
	each(t, func(t *testing.T, w *world, system string, all map[string]job) {
		dir, j := workspace(t), all["canary"]
		j.env["CANARY_BAKE"] = "5m"
		canary := j.start(t, dir)
		canary.says("Baking")
		if share := w.share(); share != 1000 {
			t.Errorf("eks has %d", share)
		}
		other := all["promote"].start(t, workspace(t)) // of another pipeline: one at a time
		other.says("on its way")
		if other.wait() != 9 {
			t.Error("a job that may not start passes")
		}
		canary.signal(systems[system])
		canary.ends(9)
		w.ended("orders-canary", "Aborted", 0)
		if s := j.summarize(t, dir); !strings.Contains(s, "Aborted") {
			t.Errorf("summary:\n%s", s)
		}
	})
}

func TestAJobThatLacksASettingSaysWhich(t *testing.T) {
	for name, j := range jobs(t, "127.0.0.1:1") {
		for _, v := range []string{"CANARY_NAME", "CANARY_SERVICE", "CANARY_TO", "CANARY_STEPS"} {
			p := j.start(t, workspace(t), v+"=")
			if p.wait() != 2 || !strings.Contains(p.out.String(), v+" is not set") {
				t.Errorf("%s without %s: %s", name, v, &p.out)
			}
		}
		p := j.start(t, workspace(t), "GITHUB_RUN_ID=", "CI_PIPELINE_ID=")
		if p.wait() != 2 || !strings.Contains(p.out.String(), "CANARY_KEY is not set") {
			t.Errorf("%s without a key: %s", name, &p.out)
		}
	}
}
