package rollout_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// compiled reads the one document of a text.
func compiled(t *testing.T, file, text string) (manifest.Parsed, *rollout.Compiled, policy.Errors) {
	t.Helper()
	parsed, err := manifest.Parse(file, []byte(text))
	if err != nil || len(parsed) != 1 {
		t.Fatal(err)
	}
	c, errs := rollout.Compile(parsed[0].Document.GetRollout())
	return parsed[0], c, errs
}

func world() *rollout.World {
	allowed := func(string) error { return nil }
	return &rollout.World{
		Origins: []string{"ecs", "eks"}, Primary: "ecs", Share: map[string]int32{"ecs": 10_000}, Roles: map[string][]string{"approver": {"ann", "bob"}}, Starter: "ann",
		Mirrors: map[string]rollout.Mirror{"orders-eks": {Service: "orders", Candidate: "eks"}}, Server: allowed, Hook: allowed,
	}
}

// The rules of the first team: p99 above 10 s or more than 0.5 % of errors, 10, 50 and 100 %, a sign-off before 50.
func TestExamplesAreTheRulesOfTheFirstTeam(t *testing.T) {
	for file, takes := range map[string]time.Duration{"../../../cmd/shadowctl/examples/rollout.yaml": 2 * time.Hour, "../../../demo/rollout.yaml": 0} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, c, errs := compiled(t, file, string(text))
		if errs != nil {
			t.Fatal(errs)
		}
		p, guards, errs := c.For(world())
		if errs != nil {
			t.Fatal(errs)
		}
		steps, end := rollout.Timetable(p)
		if len(steps) != 3 || steps[0].Weight != 1000 || steps[1].Weight != 5000 || steps[2].Weight != policy.Whole || steps[0].Gate != "" || steps[1].Gate != "approver" || takes != 0 && end != takes {
			t.Errorf("%s: %+v, until %s", file, steps, end)
		}
		if len(guards) != 2 || len(c.Specs) != 2 || c.Specs[0].Max != "10s" || c.Specs[1].Max != "0.5%" || p.OnFailure != "" || !p.Steps[1].Gate.NotStarter {
			t.Errorf("%s: %+v", file, c.Specs)
		}
	}
}

// What an example says in comments works as well, field by field.
func TestTheCommentsOfTheExample(t *testing.T) {
	const file = "../../../cmd/shadowctl/examples/rollout.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	tried := 0
	for i, line := range lines {
		field, comment := strings.CutPrefix(line, "# ")
		if !comment || strings.HasPrefix(field, "preset:") || strings.HasPrefix(field, "backPause:") || !strings.HasPrefix(field, "- {") && !strings.Contains(strings.Fields(field + " x")[0], ":") {
			continue
		}
		if strings.HasPrefix(field, "- {") {
			field = "  " + field
		}
		tried++
		changed := strings.Join(append(append(append([]string{}, lines[:i]...), field), lines[i+1:]...), "\n")
		if _, c, errs := compiled(t, file, changed); errs != nil {
			t.Errorf("%s: %v", field, errs)
		} else if _, _, errs := c.For(world()); errs != nil {
			t.Errorf("%s: %v", field, errs)
		}
	}
	if tried < 9 {
		t.Errorf("%d comments were tried: what does this test test?", tried)
	}
}

// An error has the line of its field, also that of a step which comes from a preset.
func TestErrorsAreFoundInTheFile(t *testing.T) {
	const head = "apiVersion: crossfade/v1\nkind: Rollout\nname: r1\nservice: orders\nto: eks\n"
	for _, c := range []struct{ text, want string }{
		{"preset: 10,50,40\n", "f.yaml:6: preset[2]: \"40%\": is not above the step before (50%)"},
		{"steps:\n- weight: 10%\n  bake: 5s\nguards:\n- name: errors\n  metric: errorRate\n  max: 0.5%\n", "f.yaml:8: steps[0].bake: \"5s\": is shorter than the window of guard errors (10s)"},
		{"preset: 10,50\nguards:\n- name: same\n  mirror: m1\n- name: errors\n  metric: errorRate\n  max: 0.5\n", "f.yaml:12: guards[1].max: \"0.5\": has no unit"},
	} {
		parsed, _, errs := compiled(t, "f.yaml", head+c.text)
		if len(errs) != 1 {
			t.Fatal(errs)
		}
		if got := parsed.Locate(errs[0]).Error(); !strings.HasPrefix(got, c.want) {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
