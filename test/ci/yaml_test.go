package ci

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// job is one job of a CI system as its runner would run it.
type job struct {
	env     map[string]string
	command []string // the script comes on standard input, or as the last argument
	stdin   bool
	script  string
	summary string // the script that runs afterwards, whatever came of the first
	report  string // the file that it writes, in the folder of the job
	key     string // the variable that names the attempt
}

// jobs reads all jobs of both YAML files, by "SYSTEM NAME".
func jobs(t *testing.T, server string) map[string]job {
	t.Helper()
	out := map[string]job{}
	for name, j := range github(t, map[string]string{"CROSSFADE_SERVER": server}) {
		out["github "+name] = j
	}
	for name, j := range gitlab(t, map[string]string{"CROSSFADE_SERVER": server}) {
		out["gitlab "+name] = j
	}
	return out
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "deploy", "ci", name))
	if err == nil {
		err = yaml.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// expression is what GitHub replaces before a shell sees it.
var expression = regexp.MustCompile(`\$\{\{ *vars\.(\w+) *\}\}`)

// github reads the workflow. Vars are those that its users have set.
func github(t *testing.T, vars map[string]string) map[string]job {
	t.Helper()
	var w struct {
		Env  map[string]string
		Jobs map[string]struct {
			Env   map[string]string
			Steps []struct{ Name, Uses, If, Run string }
		}
	}
	read(t, "github.yml", &w)
	out := map[string]job{}
	for name, j := range w.Jobs {
		env := map[string]string{"GITHUB_RUN_ID": "17171717", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_JOB": name, "GITHUB_STEP_SUMMARY": "summary.md", "CI": "true"}
		maps.Copy(env, w.Env)
		maps.Copy(env, j.Env)
		for k, v := range env {
			env[k] = expression.ReplaceAllStringFunc(v, func(e string) string { return vars[expression.FindStringSubmatch(e)[1]] })
			if strings.Contains(env[k], "${{") {
				t.Errorf("job %s: the test does not know what GitHub makes of %s", name, v)
			}
		}
		got := job{env: env, command: []string{"bash", "-e"}, report: "summary.md", key: "GITHUB_RUN_ATTEMPT"}
		for _, s := range j.Steps {
			switch {
			case s.Run == "":
			case s.If == "always()":
				got.summary = s.Run
			default:
				got.script = s.Run
			}
		}
		out[name] = got
	}
	return out
}

// gitlab reads the jobs that are included, as far as they use what the test knows.
func gitlab(t *testing.T, variables map[string]string) map[string]job {
	t.Helper()
	type entry struct {
		Extends     string
		Variables   map[string]string
		Script      []string
		AfterScript []string `yaml:"after_script"`
		Artifacts   struct{ Paths []string }
	}
	var nodes map[string]yaml.Node
	read(t, "gitlab.yml", &nodes)
	entries := map[string]entry{}
	for name, n := range nodes {
		var e entry
		if name == "stages" {
			continue
		}
		if err := n.Decode(&e); err != nil {
			t.Fatalf("job %s: %v", name, err)
		}
		entries[name] = e
	}
	out := map[string]job{}
	for name, e := range entries {
		base, ok := entries[e.Extends]
		if strings.HasPrefix(name, ".") || !ok {
			continue
		}
		env := map[string]string{"CI_PIPELINE_ID": "4242", "CI_JOB_NAME": name, "CI": "true"}
		maps.Copy(env, variables)
		maps.Copy(env, base.Variables)
		maps.Copy(env, e.Variables)
		lines := func(script []string) string { return "set -eo pipefail\n" + strings.Join(script, "\n") + "\n" }
		out[name] = job{
			env: env, command: []string{"bash"}, stdin: true, script: lines(base.Script), summary: lines(base.AfterScript), report: base.Artifacts.Paths[0],
			key: "CANARY_ATTEMPT",
		}
	}
	return out
}

// TestJobsAreWhole: what a job needs is there, and scripts are the one that is copied with them.
func TestJobsAreWhole(t *testing.T) {
	all := jobs(t, "127.0.0.1:1")
	for _, name := range []string{"github canary", "github promote", "gitlab canary", "gitlab promote"} {
		j, ok := all[name]
		if !ok {
			t.Errorf("there is no job %s among %v", name, fmt.Sprint(all))
			continue
		}
		if !strings.Contains(j.script, "exec sh ci/canary.sh\n") && j.script != "exec sh ci/canary.sh" || !strings.Contains(j.summary, "sh ci/canary.sh summary") {
			t.Errorf("%s runs %q, then %q", name, j.script, j.summary)
		}
		for _, v := range []string{"CROSSFADE_SERVER", "CANARY_NAME", "CANARY_SERVICE", "CANARY_TO", "CANARY_STEPS", "CANARY_BAKE", "CANARY_GUARDS"} {
			if j.env[v] == "" {
				t.Errorf("%s lacks %s", name, v)
			}
		}
	}
}
