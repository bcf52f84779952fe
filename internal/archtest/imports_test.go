package archtest

import (
	"fmt"
	"strings"
	"testing"
)

// A boundary says what of the house a package may import. Tests may import more: they hold real parts together.
type boundary struct {
	packages []string
	may      []string // of the house; itself and what is below are always allowed
	because  string
}

var boundaries = []boundary{
	{
		[]string{"api/..."},
		nil,
		"the contract knows nobody",
	},
	{
		[]string{"pkg/policy"},
		[]string{"/api/..."},
		"the meaning of intent must not depend on how it is served or stored",
	},
	{
		[]string{"pkg/policy/guard"},
		[]string{"/pkg/policy"},
		"a verdict is a function of windows and nothing else",
	},
	{
		[]string{"pkg/policy/rollout"},
		[]string{"/api/...", "/pkg/policy", "/pkg/policy/guard"},
		"a step is a function of state, verdicts and now",
	},
	{
		[]string{"pkg/xds/translate"},
		[]string{"/pkg/policy"},
		"translation is a pure walk from policy to Envoy's resources",
	},
	{
		[]string{"pkg/identity"},
		nil,
		"who a certificate names does not depend on what for it is asked",
	},
	{
		[]string{"internal/mtls"},
		[]string{"/pkg/identity"},
		"who is believed does not depend on what for",
	},
	{
		[]string{"pkg/access"},
		[]string{"/api/...", "/pkg/policy", "/pkg/identity"},
		"who may do what is a function of rules, a name and a request",
	},
	{
		[]string{"pkg/access/attempts"},
		[]string{"/pkg/policy", "/pkg/access", "/internal/notefile"},
		"what was refused is remembered whoever asked, and by whatever way",
	},
	{
		[]string{"pkg/xds"},
		[]string{"/pkg/policy", "/pkg/identity", "/pkg/xds/translate"},
		"pushing knows neither where intent is kept nor who asked",
	},
	{
		[]string{"pkg/store"},
		[]string{"/api/...", "/pkg/policy"},
		"the port of the store must not know its backends or its users",
	},
	{
		[]string{"pkg/store/backup"},
		[]string{"/api/...", "/pkg/policy", "/pkg/store"},
		"the form of a backup must not depend on what keeps the store",
	},
	{
		[]string{"pkg/store/bolt/...", "pkg/store/etcd/...", "pkg/store/journal/..."},
		[]string{"/api/...", "/pkg/policy", "/pkg/store", "/internal/cow"},
		"backends do not know each other",
	},
	{
		[]string{"pkg/telemetry"},
		[]string{"/pkg/policy", "/pkg/policy/guard", "/pkg/identity"},
		"telemetry only counts; others decide",
	},
	{
		[]string{"pkg/discovery"},
		[]string{"/pkg/policy"},
		"the port of discovery must not know its adapters",
	},
	{
		[]string{"pkg/discovery/ecs", "pkg/discovery/cloudmap", "pkg/discovery/kubernetes/...", "pkg/discovery/static"},
		[]string{"/pkg/policy", "/pkg/discovery", "/pkg/discovery/internal/aws"},
		"adapters do not know each other",
	},
	{
		[]string{"pkg/discovery/internal/aws"},
		[]string{"/pkg/policy"},
		"what the sources on AWS share must not know them",
	},
	{
		[]string{"pkg/discovery/tracker"},
		[]string{"/pkg/policy", "/pkg/discovery", "/internal/notefile"},
		"whoever runs the sources must not know which there are",
	},
	{
		[]string{"pkg/shadow/..."},
		[]string{"/pkg/policy", "/pkg/shadow/..."},
		"what differs between two answers must not depend on how they were got",
	},
	{
		[]string{"pkg/comparator"},
		[]string{"/api/...", "/pkg/policy", "/pkg/shadow/..."},
		"what asks both origins knows neither intent nor proxies, only its orders",
	},
	{
		[]string{"pkg/experiment"},
		[]string{"/api/...", "/pkg/policy", "/pkg/shadow/...", "/internal/notefile"},
		"whoever leads comparators must not know how intent is kept or served",
	},
	{
		[]string{"pkg/engine"},
		[]string{"/api/...", "/pkg/policy", "/pkg/policy/guard", "/pkg/policy/rollout", "/internal/notefile"},
		"whoever walks rollouts must not know how intent is kept, nor who counts or is asked",
	},
	{
		[]string{"pkg/hook", "pkg/promql"},
		[]string{"/api/...", "/pkg/policy", "/pkg/engine"},
		"who is told or asked by a rollout knows neither intent nor fleets",
	},
	{
		[]string{"pkg/shadow/shadowtest"},
		nil,
		"what draws the truth must not know who looks for it",
	},
	{
		[]string{"pkg/server"},
		[]string{"/api/...", "/pkg/policy", "/pkg/access", "/pkg/identity", "/pkg/control", "/pkg/store", "/pkg/store/backup", "/internal/version"},
		"the API speaks to the control loops, never to proxies or backends",
	},
	{
		[]string{"cmd/shadowctl"},
		[]string{"/api/...", "/pkg/policy/...", "/deploy/...", "/internal/manifest", "/internal/mtls", "/internal/version"},
		"the CLI talks to the API alone, so that whatever it can do, a CI job can",
	},
}

func TestBoundaries(t *testing.T) {
	report(t, crossings(house(t), boundaries))
}

// crossings lists the imports that no boundary allows.
func crossings(files []file, boundaries []boundary) []string {
	var out []string
	for _, b := range boundaries {
		for _, f := range files {
			if f.test || !within(f.dir, b.packages) {
				continue
			}
			for _, p := range f.imports() {
				own := within(p, []string{"/" + f.dir + "/..."})
				if strings.HasPrefix(p, "/") && !own && !within(p, b.may) {
					out = append(out, fmt.Sprintf("%s imports %s: it may import only %v of ours, because %s", f.name, p[1:], b.may, b.because))
				}
			}
		}
	}
	return out
}

// A preserve says who alone may import something.
type preserve struct {
	imports []string // patterns; of the house with a leading slash
	only    []string // packages that may
	tests   bool     // tests may too
	because string
}

var preserves = []preserve{
	{
		[]string{"github.com/envoyproxy/..."},
		[]string{"pkg/xds/...", "pkg/telemetry/...", "internal/deltaclient", "bench/fleet"},
		true,
		"Envoy's API changes with Envoy; one place has to follow",
	},
	{
		[]string{"github.com/aws/..."},
		[]string{"pkg/discovery/ecs/...", "pkg/discovery/cloudmap/...", "pkg/discovery/internal/aws/...", "pkg/discovery/kubernetes/eks", "internal/awstest"},
		true,
		"an SDK stays in its adapter",
	},
	{
		[]string{"k8s.io/...", "sigs.k8s.io/...", "github.com/go-logr/..."},
		[]string{"pkg/discovery/kubernetes/..."},
		true,
		"an SDK stays in its adapter",
	},
	{
		[]string{"go.etcd.io/etcd/..."},
		[]string{"pkg/store/etcd/..."},
		true,
		"an SDK stays in its adapter",
	},
	{
		[]string{"go.etcd.io/bbolt/..."},
		[]string{"pkg/store/bolt/..."},
		true,
		"an SDK stays in its adapter",
	},
	{
		[]string{"/pkg/store/bolt/...", "/pkg/store/etcd/...", "/pkg/discovery/ecs", "/pkg/discovery/cloudmap", "/pkg/discovery/kubernetes/...", "/pkg/discovery/static", "/pkg/server/..."},
		[]string{"cmd/xds-server"},
		true,
		"only the server's main wires",
	},
	{
		[]string{"/internal/deltaclient", "/internal/origin", "/internal/loadgen", "/internal/envoyproc", "/internal/envoytest", "/internal/kubetest", "/internal/promtest", "/internal/awstest", "/internal/deploys", "/internal/truth", "/internal/loopback", "/internal/poll", "/internal/smalldisk", "/internal/diskfault"},
		[]string{"internal/...", "bench/...", "test/...", "demo/..."},
		true,
		"toys do not ship",
	},
	{
		[]string{"testing"},
		[]string{"internal/smalldisk", "internal/diskfault", "bench/churn", "bench/rollback"}, // the last two run servers that tests run
		true,
		"what ships does not link the test framework",
	},
}

func TestPreserves(t *testing.T) {
	report(t, trespasses(house(t), preserves))
}

// trespasses lists the imports by packages that are not among those that may.
func trespasses(files []file, preserves []preserve) []string {
	var out []string
	for _, r := range preserves {
		for _, f := range files {
			if f.test && r.tests || within(f.dir, r.only) {
				continue
			}
			for _, p := range f.imports() {
				own := strings.HasPrefix(p, "/") && within("/"+f.dir, r.imports)
				if within(p, r.imports) && !own {
					out = append(out, fmt.Sprintf("%s imports %s: only %v may, because %s", f.name, p, r.only, r.because))
				}
			}
		}
	}
	return out
}
