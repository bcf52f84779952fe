package main

import (
	"strings"
	"testing"
)

// TestGoodbyeSaysWhatIsWrong: that it is said and heard is tested with a proxy, in test/packages.
func TestGoodbyeSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		args []string
		exit int
		says string
	}{
		{nil, 2, "--node-id: is missing"},
		{[]string{"--node-id", "a", "--xds", "192.0.2.1:18000"}, 2, `--xds: "192.0.2.1:18000": is not on this machine`},
		{[]string{"--node-id", "a", "--xds", "nowhere"}, 2, `--xds: "nowhere": must be HOST:PORT`},
		{[]string{"--node-id", "a", "--nod", "x"}, 2, "--nod"},
		{[]string{"--node-id", "a", "--zone", "z", "--timeout", "200ms", "--xds", closedAddress(t)}, 7, "no answer"}, // a flag of bootstrap that is of no use here
	} {
		r := shadowctl(t.Context(), invocation{args: append([]string{"goodbye"}, c.args...)})
		if r.exit != c.exit || !strings.Contains(r.err, c.says) {
			t.Errorf("%q: exit %d, want %d: %s", c.args, r.exit, c.exit, r.err)
		}
	}
}
