package report

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEveryMetricIsExplained: whoever reads the page of the latest reports finds each metric in what its benchmark says of itself.
func TestEveryMetricIsExplained(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	lines, err := latest(filepath.Join(root, "bench", "results"))
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, l := range lines {
		// Slopes and calls are explained for all of them.
		metric := regexp.MustCompile(`^(calls: ).*|_each_(proxy|service)$`).ReplaceAllString(l.Metric, "$1")
		if name := l.Bench + " " + metric; !slices.Contains(seen, name) {
			seen = append(seen, name)
			words := strings.ReplaceAll(regexp.QuoteMeta(metric), " ", `\s+`)
			if text := (origin{about: about(l.Bench)}).AboutHTML(); !regexp.MustCompile(`(^|\W)` + words + `($|\W)`).MatchString(string(text)) {
				t.Errorf("bench/%s does not say what %q is", l.Bench, metric)
			}
		}
	}
	if len(seen) < 50 {
		t.Errorf("%d metrics", len(seen))
	}
}

// TestVersionsAreThoseOfGoMod, also of a module that only a program has which is measured.
func TestVersionsAreThoseOfGoMod(t *testing.T) {
	versions := NewRun("x", "cmd", 1, time.Now(), "go.etcd.io/bbolt", "example.com/none").versions
	if v := versions["go.etcd.io/bbolt"]; !strings.HasPrefix(v, "v1.") || versions["example.com/none"] != unknown {
		t.Errorf("%v", versions)
	}
}
