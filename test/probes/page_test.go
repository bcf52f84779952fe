package probes

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestPage holds docs/design/envoy-facts.md: each probe has a row there, and each row is of a probe that exists.
func TestPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "design", "envoy-facts.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code []byte
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code = append(code, text...)
	}
	rows, probes := names(`\| .(Test\w+). \|`, page), names(`(?m)^func (Test\w+)\(`, code)
	probes = slices.DeleteFunc(probes, func(name string) bool { return name == t.Name() })
	if len(probes) == 0 || !slices.Equal(rows, probes) {
		t.Errorf("the page has\n%v, the package has\n%v", rows, probes)
	}
}

// names finds what the group of an expression matches, sorted, each once.
func names(expression string, text []byte) []string {
	var out []string
	for _, m := range regexp.MustCompile(expression).FindAllSubmatch(text, -1) {
		out = append(out, string(m[1]))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
