package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestQuick(t *testing.T) {
	results := t.TempDir()
	if err := run(t.Context(), []string{"-quick", "-runs", "1", "-proxies", "2", "-results", results}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(results, "*-quick", "start.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{"ready", "first_complete", "all_complete", "resident", "resident_peak"} {
		if !strings.Contains(string(b), `"metric":"`+metric+`"`) {
			t.Errorf("%s was not measured", metric)
		}
	}
}

func TestMistakes(t *testing.T) {
	for args, want := range map[string]string{"-runs 0": "-runs: 0: must be", "-proxies 0": "-proxies: 0: must be", "x": `"x" is not a flag`} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
