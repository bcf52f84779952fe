package semantics

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy/policytest"
)

// The environment of a run.
const (
	seedVariable = "CROSSFADE_SEED" // a number; without it every run has a seed of its own
	fullVariable = "CROSSFADE_FULL" // "1": every share is taken of 20,000 requests, and all planted bugs are tried
)

// extent is how much a run does.
type extent struct {
	versions      []string
	batches       int // of random configurations
	services      int // at least so many in each batch, at most two more
	requests      int // random ones for each configuration
	shares        int // configurations whose shares are taken
	shareRequests int // of each
	clients       int // of each sticky ramp
	bugs          int // planted
}

var run struct {
	extent
	seed uint64
	full bool
}

func TestMain(m *testing.M) {
	flag.Parse()
	run.seed, run.full = uint64(time.Now().UnixNano()), os.Getenv(fullVariable) == "1"
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if run.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", seedVariable, err)
			os.Exit(2)
		}
	}
	run.extent = extent{versions: envoytest.Versions(), batches: 24, services: 8, requests: 110, shares: 20, shareRequests: 3_000, clients: 1_000, bugs: 5}
	switch {
	case testing.Short(): // what every planted bug is tried on
		run.extent = extent{versions: []string{envoybin.Newest}, batches: 6, services: 8, requests: 60, shares: 5, shareRequests: 2_000, clients: 200}
	case run.full:
		run.shareRequests, run.bugs = 20_000, len(bugs)
	}
	fmt.Printf("semantics: %s=%d\n", seedVariable, run.seed)
	os.Exit(m.Run())
}

// random returns a source for one use: the same for the same seed, whatever else ran before.
func random(use uint64) *rand.Rand { return policytest.NewRand(run.seed ^ use*0xd1342543de82ef95) }

// eachVersion runs a test on each version of Envoy, and says the seed if it failed.
func eachVersion(t *testing.T, test func(t *testing.T, version string)) {
	for _, version := range run.versions {
		t.Run("envoy-"+version, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("to see it again: %s=%d", seedVariable, run.seed)
				}
			})
			test(t, version)
		})
	}
}
