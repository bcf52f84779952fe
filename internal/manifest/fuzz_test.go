package manifest

import (
	"errors"
	"os"
	"testing"

	"google.golang.org/protobuf/proto"
)

// FuzzParse: whatever the input, Parse does not panic, every error has a place in the file, and what it reads is written and read
// again as the same.
func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/every-field.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(head + "name: \"1\"\nhosts: [\"~\", 'a: b', \"\\u0001\", \"#\"]\n---\n"))
	f.Add([]byte(mirror + "share: 1.5%\nrules: [{abs: 1e300, rel: -0.0}, {abs: 9223372036854775807, rel: 5e-324}]\ngrpc: {descriptors: AAAA}\nrun: {started: 2026-01-31T12:00:00.000000001+01:00}\n"))
	f.Add([]byte(rollout + "steps: [{weight: 10%, minRequests: 0, gate: {approval: {}}}, {}]\nguards: [{max: 0.5, maxRatio: 1.2, settle: 0s, prometheus: {every: 1h}}]\nrun: {weight: 100%, lease: 60s}\n"))
	f.Add([]byte(`{"apiVersion": "crossfade/v1", "kind": "Rollout", "steps": [{"weight": 1000}, {"weight": -5}, {"weight": 10001}]}`))
	f.Add([]byte("\t"))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(t *testing.T, in []byte) {
		parsed, err := Parse("f", in)
		if err != nil {
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("%T: %v", err, err)
			}
			for _, e := range errs {
				if e.Err == nil || e.Err.Code == "" || e.Err.Message == "" {
					t.Errorf("error without words: %+v", e)
				}
			}
			return
		}
		for _, p := range parsed {
			text, err := YAML(p.Document)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range [][]byte{text, JSON(Answer(p.Document))} {
				again, err := Parse("again", text)
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				if len(again) != 1 || !proto.Equal(p.Document, again[0].Document) {
					t.Errorf("not the same again:\n%s\nfrom\n%s", text, in)
				}
			}
		}
	})
}
