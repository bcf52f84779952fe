package ci

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// example is a client: it starts a canary of orders with a key.
type example struct {
	name    string
	command func(t *testing.T, server, key string, bake time.Duration) *exec.Cmd
}

func examples(t *testing.T) []example {
	t.Helper()
	goes := filepath.Join(t.TempDir(), "canary")
	if out, err := exec.Command("go", "build", "-o", goes, "../../deploy/ci/examples/go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	python := pythonClient(t)
	shell, err := filepath.Abs(filepath.Join(root, "deploy", "ci", "examples", "shell", "canary.sh"))
	if err != nil {
		t.Fatal(err)
	}
	return []example{
		{"go", func(_ *testing.T, server, key string, bake time.Duration) *exec.Cmd {
			return exec.Command(goes, "-server", server, "-service", "orders", "-to", "eks", "-bake", bake.String(), "-key", key)
		}},
		{"python", func(_ *testing.T, server, key string, bake time.Duration) *exec.Cmd {
			return python("--server", server, "--service", "orders", "--to", "eks", "--bake", strconv.Itoa(int(bake.Seconds())), "--key", key)
		}},
		{"shell", func(_ *testing.T, server, key string, bake time.Duration) *exec.Cmd {
			cmd := exec.Command("sh", shell, key)
			cmd.Env = []string{"CROSSFADE_SERVER=" + server, "BAKE=" + bake.String()}
			return cmd
		}},
	}
}

// TestExamples: each passes through a lost connection, fails at once with the key of what failed, and takes everything back when it is interrupted.
func TestExamples(t *testing.T) {
	for _, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t)
			way := newRelay(t, w.Server.API)
			p := start(t, e.command(t, way.address(), "job-1", bake))
			p.says("Baking")
			way.cut()
			p.ends(0)
			p.says("erdict: Pass")
			w.ended("orders-canary", "Completed", 1000)

			w.rollBack()
			p = start(t, e.command(t, w.Server.API, "job-2", 5*time.Minute))
			p.says("Baking")
			p.signal(syscall.SIGTERM)
			p.ends(9)
			p.says("erdict: Inconclusive")
			w.ended("orders-canary", "Aborted", 0)

			w.faulty(0.05)
			start(t, e.command(t, w.Server.API, "job-3", bake)).ends(8)
			w.ended("orders-canary", "RolledBack", 0)
			again := start(t, e.command(t, w.Server.API, "job-3", bake)) // its end, at once
			again.ends(8)
			again.says("erdict: Fail")
		})
	}
}
