package report

import (
	"fmt"
	"go/doc/comment"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// explained are the metrics that a benchmark defines: NAME, "NAME OF WORDS": what they are, in the list of the section Metrics.
func explained(d *comment.Doc) (out []string) {
	names := regexp.MustCompile(`^(?:(?:"[^"]+"|\w+)(?:, )?)+: `)
	name := regexp.MustCompile(`"[^"]+"|\w+`)
	within := false
	for _, block := range d.Content {
		switch block := block.(type) {
		case *comment.Heading:
			within = fmt.Sprint(block.Text) == "[Metrics]"
		case *comment.List:
			if !within {
				continue
			}
			for _, item := range block.Items {
				text := strings.Join(strings.Fields(string(new(comment.Printer).Text(&comment.Doc{Content: item.Content}))), " ")
				for _, n := range name.FindAllString(names.FindString(text), -1) {
					out = append(out, strings.Trim(n, `"`))
				}
			}
		}
	}
	return out
}

// TestEveryMetricIsExplained: whoever reads the page of the latest reports finds each metric in what its benchmark says of itself.
func TestEveryMetricIsExplained(t *testing.T) {
	_, lines := committed(t)
	known := map[string][]string{}
	for _, l := range lines {
		if known[l.Bench] == nil {
			known[l.Bench] = append(explained(about(l.Bench)), "")
		}
		metric := regexp.MustCompile(`^(calls: ).*`).ReplaceAllString(l.Metric, "$1...")
		slope := regexp.MustCompile(`_each_(proxy|service)$`)
		if !slices.Contains(known[l.Bench], metric) && !slices.Contains(known[l.Bench], slope.ReplaceAllString(metric, "")) {
			t.Errorf("bench/%s does not say what %q is", l.Bench, metric)
			known[l.Bench] = append(known[l.Bench], metric) // said once
		}
	}
	if len(known) < 9 {
		t.Errorf("of %d benchmarks only", len(known))
	}
}

// TestVersionsAreThoseOfGoMod, also of a module that only a program has which is measured.
func TestVersionsAreThoseOfGoMod(t *testing.T) {
	versions := NewRun("x", "cmd", 1, time.Now(), "go.etcd.io/bbolt").versions
	if v := versions["go.etcd.io/bbolt"]; !strings.HasPrefix(v, "v1.") {
		t.Errorf("%v", versions)
	}
}
