package packages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// containerfile is what tools/containerfile says of a Containerfile.
type containerfile struct {
	Stages []struct {
		Name     string
		From     string
		Commands []struct {
			Name string
			Text string
			Read json.RawMessage
		}
	}
	Warnings []string
}

// parse reads a Containerfile by BuildKit's parser, which must have nothing to say.
func parse(t *testing.T, path string) (containerfile, error) {
	t.Helper()
	full, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", full)
	cmd.Dir = filepath.Join("..", "..", "tools", "containerfile")
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return containerfile{}, fmt.Errorf("%w: %s", err, complaints.String())
	}
	var f containerfile
	return f, json.Unmarshal(out, &f)
}

var (
	pinned  = regexp.MustCompile(`@sha256:[0-9a-f]{64}$`)
	numeric = regexp.MustCompile(`^([1-9][0-9]*):([1-9][0-9]*)$`)
)

// judge says what is wrong with a Containerfile. givenOnBuild are the stages whose image the builder names.
func judge(f containerfile, givenOnBuild ...string) []string {
	bad := slices.Clone(f.Warnings)
	if len(f.Stages) == 0 {
		return append(bad, "there is no stage")
	}
	for _, s := range f.Stages {
		if !pinned.MatchString(s.From) && !slices.Contains(givenOnBuild, s.From) {
			bad = append(bad, fmt.Sprintf("FROM %s is not pinned by a digest", s.From))
		}
	}
	last := f.Stages[len(f.Stages)-1]
	var user string
	count := map[string]int{}
	for _, c := range last.Commands {
		count[c.Name]++
		switch c.Name {
		case "USER":
			user = strings.TrimSpace(strings.TrimPrefix(c.Text, "USER"))
		case "ADD":
			if !strings.Contains(c.Text, "--checksum=sha256:") {
				bad = append(bad, c.Text+": takes from the network what it does not check")
			}
		case "ENTRYPOINT", "HEALTHCHECK":
			if strings.Contains(string(c.Read), `"PrependShell":true`) || strings.Contains(string(c.Read), `"CMD-SHELL"`) {
				bad = append(bad, c.Text+": needs a shell")
			}
		case "RUN":
			bad = append(bad, c.Text+": what is built is built by `make release`")
		}
	}
	if !numeric.MatchString(user) {
		bad = append(bad, fmt.Sprintf("USER %q is not numeric, or is root: kubelets cannot see that it is not root", user))
	}
	for _, name := range []string{"USER", "ENTRYPOINT", "HEALTHCHECK", "LABEL"} {
		if count[name] != 1 {
			bad = append(bad, fmt.Sprintf("%d times %s, want one", count[name], name))
		}
	}
	return bad
}

func TestContainerfiles(t *testing.T) {
	for path, given := range map[string][]string{"xds-server": nil, "proxy": {"${ENVOY_IMAGE}"}} {
		f, err := parse(t, filepath.Join("..", "..", "deploy", "container", path+".Containerfile"))
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range judge(f, given...) {
			t.Errorf("%s: %s", path, bad)
		}
		for _, missing := range sources(t, f) {
			t.Errorf("%s copies %s, which a release does not have", path, missing)
		}
		for _, missing := range executables(t, f) {
			t.Errorf("%s runs %s, which it does not copy", path, missing)
		}
	}
}

// TestContainerfileRules: each rule finds what it is there for.
func TestContainerfileRules(t *testing.T) {
	const digest = "@sha256:f7f8f729987ad0fdf6b05eeeae94b26e6a0f613bdf46feea7fc40f7bd72953e6"
	const end = "\nLABEL a=b\nUSER 1:1\nHEALTHCHECK CMD [\"/p\"]\nENTRYPOINT [\"/x\"]\n"
	for text, want := range map[string]string{
		"FROM a" + digest + end: "",
		"FROM a:1" + end:        "not pinned",
		"FROM a" + digest + "\nADD https://example.test/x /x" + end:                "does not check",
		"FROM a" + digest + "\nRUN true" + end:                                     "make release",
		"FROM a" + digest + strings.Replace(end, "1:1", "0:0", 1):                  "is root",
		"FROM a" + digest + strings.Replace(end, "1:1", "nonroot", 1):              "not numeric",
		"FROM a" + digest + strings.Replace(end, `["/x"]`, "/x", 1):                "needs a shell",
		"FROM a" + digest + strings.Replace(end, `CMD ["/p"]`, "CMD /p", 1):        "needs a shell",
		"FROM a" + digest + strings.Replace(end, "HEALTHCHECK CMD", "#", 1):        "0 times HEALTHCHECK",
		"FROM a" + digest + "\nMAINTAINER me" + end:                                "MaintainerDeprecated",
		"FROM a" + digest + "\nUSSER 1:1" + end:                                    "unknown instruction",
		"FROM a" + digest + "\nHEALTHCHECK --interval=soon CMD [\"/p\"]" + "\n":    "invalid duration",
		"FROM a" + digest + "\nCOPY --mode=0555 x /y" + end:                        "unknown flag",
		"FROM a" + digest + "\nUSER 1:1\nLABEL a=b\nENTRYPOINT [\"/x\"]\nEXPOSE 0": "0 times HEALTHCHECK",
	} {
		path := filepath.Join(t.TempDir(), "Containerfile")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := parse(t, path)
		said := strings.Join(judge(f), "\n")
		if err != nil {
			said = err.Error()
		}
		if want == "" && said != "" || !strings.Contains(said, want) {
			t.Errorf("%s\nis answered by %q; want %q", text, said, want)
		}
	}
}

// sources lists what is copied out of the tree of a release without being in one.
func sources(t *testing.T, f containerfile) []string {
	t.Helper()
	var missing []string
	for _, s := range f.Stages {
		for _, c := range s.Commands {
			if c.Name != "COPY" || strings.Contains(c.Text, "--from=") {
				continue
			}
			var read struct{ SourcePaths []string }
			if err := json.Unmarshal(c.Read, &read); err != nil {
				t.Fatal(err)
			}
			if len(read.SourcePaths) == 0 {
				t.Fatalf("%s: no sources are read", c.Text)
			}
			for _, source := range read.SourcePaths {
				path, ok := strings.CutPrefix(source, "linux_${TARGETARCH}/")
				if !ok || !released(t, path) {
					missing = append(missing, source)
				}
			}
		}
	}
	return missing
}

// released says that the tree of a release has a file.
func released(t *testing.T, path string) bool {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", "internal", "cmd", "release", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if path == "data" {
		return true
	}
	if program, ok := strings.CutPrefix(path, "bin/"); ok {
		return strings.Contains(string(source), fmt.Sprintf(": %q", program)) || strings.Contains(string(source), fmt.Sprintf("%q,\n", program))
	}
	_, err = os.Stat(filepath.Join("..", "..", path))
	return err == nil && (strings.Contains(string(source), fmt.Sprintf("%q", path)) || strings.Contains(string(source), fmt.Sprintf("%q", filepath.Dir(path))))
}

// executables lists what entry point and health check run without it being copied.
func executables(t *testing.T, f containerfile) []string {
	t.Helper()
	last := f.Stages[len(f.Stages)-1]
	copied := map[string]bool{}
	for _, c := range last.Commands {
		if c.Name != "COPY" {
			continue
		}
		var read struct {
			SourcePaths []string
			DestPath    string
		}
		if err := json.Unmarshal(c.Read, &read); err != nil {
			t.Fatal(err)
		}
		for _, source := range read.SourcePaths {
			if strings.HasSuffix(read.DestPath, "/") {
				copied[read.DestPath+filepath.Base(source)] = true
			} else {
				copied[read.DestPath] = true
			}
		}
	}
	var missing []string
	for _, c := range last.Commands {
		if c.Name != "ENTRYPOINT" && c.Name != "HEALTHCHECK" {
			continue
		}
		_, path, _ := strings.Cut(c.Text, `["`)
		if path, _, _ = strings.Cut(path, `"`); !copied[path] {
			missing = append(missing, c.Text)
		}
	}
	return missing
}
