package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestContributingShowsTheHouse: every package has its line in CONTRIBUTING.md, and every line there is of something that exists.
func TestContributingShowsTheHouse(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := layout(string(text))
	if len(shown) < 10 {
		t.Fatalf("only %d lines of layout found in CONTRIBUTING.md", len(shown))
	}
	for dir := range shown {
		if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
			t.Errorf("CONTRIBUTING.md shows %s, which is not there", dir)
		}
	}
	var missing []string
	for _, f := range house(t) {
		if !shown[f.dir] && f.dir != "." {
			missing = append(missing, fmt.Sprintf("CONTRIBUTING.md does not show %s: add its line under \"Where things are\"", f.dir))
		}
	}
	report(t, missing)
}

// layout returns the folders in the block under "Where things are".
func layout(text string) map[string]bool {
	_, text, _ = strings.Cut(text, "## Where things are")
	text, _, _ = strings.Cut(text, "\n## ")
	shown := map[string]bool{}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "    "); ok {
			shown[strings.Fields(rest)[0]] = true
		}
	}
	return shown
}
