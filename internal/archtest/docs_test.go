package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// TestPagesPointAtWhatIsThere: links, paths and targets of make in the pages exist, so that a newcomer is never sent nowhere.
func TestPagesPointAtWhatIsThere(t *testing.T) {
	root := filepath.Join("..", "..")
	pages := readPages(t, root)
	for _, must := range []string{"README.md", "CONTRIBUTING.md", "docs/README.md", "docs/runbooks/rollback.md", "deploy/envoy/README.md"} {
		if pages[must] == "" {
			t.Errorf("%s is not among the pages that were found", must)
		}
	}
	isThere := func(path string) bool {
		_, err := os.Stat(filepath.Join(root, path))
		return err == nil
	}
	var bad []string
	targets := map[string]string{}
	for page, text := range pages {
		bad = append(bad, deadLinks(page, text, pages, isThere)...)
		bad = append(bad, deadPaths(page, text, isThere)...)
		for _, target := range makeTargets(text) {
			targets[target] = page
		}
	}
	for target, page := range targets {
		cmd := exec.Command("make", "-n", target)
		cmd.Dir = root
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKEFLAGS=") || strings.HasPrefix(v, "MFLAGS=") })
		if out, err := cmd.CombinedOutput(); err != nil {
			bad = append(bad, fmt.Sprintf("%s names `make %s`: %s", page, target, strings.TrimSpace(string(out))))
		}
	}
	slices.Sort(bad)
	report(t, bad)
}

// readPages returns the Markdown of the repository by path, without what is planned or generated elsewhere.
func readPages(t *testing.T, root string) map[string]string {
	t.Helper()
	pages := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "results" || path == filepath.Join(root, "dist")):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		name, relErr := filepath.Rel(root, path)
		if err == nil {
			err = relErr
		}
		pages[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

var (
	codeBlock  = regexp.MustCompile("(?ms)^```.*?^```$")
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	housePath  = regexp.MustCompile(`^(api|bench|cmd|demo|deploy|docs|internal|pkg|test|tools)/[A-Za-z0-9_./-]+$`)
	makeTarget = regexp.MustCompile(`(?m)(?:^ {4}|^|` + "`" + `|: )make ([a-z][a-z-]*[a-z])\b`)
)

// deadLinks lists the links of a page that lead nowhere. Those to other hosts are not looked at.
func deadLinks(page, text string, pages map[string]string, isThere func(string) bool) []string {
	var out []string
	for _, m := range link.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		path, anchor, _ := strings.Cut(m[1], "#")
		if strings.Contains(path, "://") {
			continue
		}
		target := page
		if path != "" {
			target = filepath.ToSlash(filepath.Join(filepath.Dir(page), path))
		}
		switch {
		case !isThere(target):
			out = append(out, fmt.Sprintf("%s links to %s, which is not there", page, m[1]))
		case anchor != "" && !slices.Contains(anchors(pages[target]), anchor):
			out = append(out, fmt.Sprintf("%s links to %s, but %s has no such heading", page, m[1], target))
		}
	}
	return out
}

// anchors are the headings of a page as links name them: lower case, dashes for spaces, no punctuation.
func anchors(text string) []string {
	var out []string
	for line := range strings.Lines(codeBlock.ReplaceAllString(text, "")) {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		out = append(out, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title)))
	}
	return out
}

// deadPaths lists the paths of the house that a page names and that are not there.
func deadPaths(page, text string, isThere func(string) bool) []string {
	var out []string
	for _, m := range codeSpan.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		if housePath.MatchString(m[1]) && !isThere(m[1]) {
			out = append(out, fmt.Sprintf("%s names %s, which is not there", page, m[1]))
		}
	}
	return out
}

// makeTargets are the targets that a page says one can make.
func makeTargets(text string) []string {
	var out []string
	for _, m := range makeTarget.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// TestDeadPointersAreFound plants them.
func TestDeadPointersAreFound(t *testing.T) {
	pages := map[string]string{"docs/a.md": "# A page\n## Held: it's so\n", "README.md": ""}
	isThere := func(path string) bool { return path == "docs/a.md" || path == "pkg/policy" || path == "README.md" }
	text := "[a](docs/a.md#held-its-so) [b](docs/b.md) [c](docs/a.md#nothing) [d](https://x.test/y) `pkg/policy` `pkg/nothing` `bench-NAME` [e](#here)\n# Here\n" +
		"```sh\n[f](nowhere)\nmake build\n```\n    make test\nrun `make docs` for a make believe"
	got := append(deadLinks("README.md", text, map[string]string{"docs/a.md": pages["docs/a.md"], "README.md": text}, isThere), deadPaths("README.md", text, isThere)...)
	want := []string{
		"README.md links to docs/b.md, which is not there",
		"README.md links to docs/a.md#nothing, but docs/a.md has no such heading",
		"README.md names pkg/nothing, which is not there",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if targets := makeTargets(text); !slices.Equal(targets, []string{"build", "test", "docs"}) {
		t.Errorf("targets %q", targets)
	}
}
