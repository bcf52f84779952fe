package main

import (
	"strings"
	"testing"
)

// TestBootstrapZone: a zone is in the bootstrap that is given one, and in no other.
func TestBootstrapZone(t *testing.T) {
	const line = `  locality: {zone: "eu-central-1a"}`
	if r := offline(t, "", "bootstrap", "--node-id", "a", "--zone", "eu-central-1a"); r.exit != 0 || !strings.Contains(r.out, line) {
		t.Errorf("%d %s\n%s", r.exit, r.err, r.out)
	}
	if r := offline(t, "", "bootstrap", "--node-id", "a"); r.exit != 0 || strings.Contains(r.out, "locality") {
		t.Errorf("%d %s\n%s", r.exit, r.err, r.out)
	}
	if r := offline(t, "", "bootstrap", "--node-id", "a", "--zone", "a b"); r.exit == 0 || !strings.Contains(r.err, "--zone") {
		t.Errorf("%d %s", r.exit, r.err)
	}
}
