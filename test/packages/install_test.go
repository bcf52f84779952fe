package packages

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// programs builds what a release has in its folder bin.
func programs(t *testing.T, bin string) {
	t.Helper()
	for _, command := range []string{"xds-server", "shadowctl"} {
		if _, err := stack.Build(t.Context(), bin, command); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "crossfade-probe"), "../../internal/cmd/probe")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// unpacked makes an archive of the form of a release's, in dir.
func unpacked(t *testing.T, dir string) {
	t.Helper()
	tree := filepath.Join(dir, "crossfade-v1.2.3")
	programs(t, filepath.Join(tree, "bin"))
	if err := os.CopyFS(filepath.Join(tree, "deploy"), os.DirFS(filepath.Join("..", "..", "deploy"))); err != nil {
		t.Fatal(err)
	}
	completion := filepath.Join(tree, "completions", "bash")
	if err := os.MkdirAll(completion, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(completion, "shadowctl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "tar", "-czf", "crossfade_v1.2.3_linux_amd64.tar.gz", "crossfade-v1.2.3")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
}

// blocks are the shell blocks of a section of docs/install.md.
func blocks(t *testing.T, section string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("docs/install.md has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var out []string
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// certificates writes what the block with openssl makes, into a folder.
func certificates(t *testing.T, dir, control string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ca := certtest.New(t, "crossfade")
	files := map[string][]byte{"ca.crt": ca.PEM}
	for name, spec := range map[string]certtest.Spec{
		"control": {IPs: []string{control}},
		"edge-1":  {SPIFFE: "spiffe://example.test/fleet/default/edge-1"},
		"root":    {SPIFFE: "spiffe://example.test/people/root"},
	} {
		c := ca.Issue(spec)
		files[name+".crt"], files[name+".key"] = c.PEM, c.Key
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// system stands in for what is the machine's: systemd, its users, and curl. A unit is run as its file says, with paths below $ROOT.
const system = `set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
below() { sed -E "s#(^|[ =])/(usr|etc|var)/#\1$ROOT/\2/#g"; }
systemd-sysusers() { test -s "$ROOT/usr/lib/sysusers.d/crossfade.conf"; }
install() {
  local arguments=()
  while [ $# -gt 0 ]; do
    if [ "$1" = -g ]; then shift 2; else arguments+=("$1"); shift; fi
  done
  command install "${arguments[@]}"
}
curl() {
  python3 -c 'import sys, urllib.request as u
given = dict(zip(sys.argv, sys.argv[1:]))
headers = dict([given["-H"].split(": ")]) if "-H" in given else {}
try:
    print(u.build_opener(u.ProxyHandler({})).open(u.Request(sys.argv[-1], headers=headers), timeout=5).read().decode())
except OSError as e:
    sys.exit(str(e))' "$@"
}
systemctl() {
  case "$1" in
  daemon-reload) ;;
  enable)
    local unit="$ROOT/etc/systemd/system/$3.service" variables file
    variables=$(sed -n 's/^Environment=//p' "$unit" | below)
    file=$(sed -n 's/^EnvironmentFile=-//p' "$unit" | below)
    [ ! -f "$file" ] || variables="$variables $(cat "$file")"
    mkdir -p "$ROOT/var/lib"
    env $variables $(sed -n 's/^ExecStart=//p' "$unit" | below) > "$ROOT/$3.log" 2>&1 &
    ;;
  *) echo "systemctl $*: not known here" >&2; return 1 ;;
  esac
}
`

// TestInstall follows docs/install.md: an archive becomes a control plane and a proxy that know each other by TLS, and a request goes through.
func TestInstall(t *testing.T) {
	dir, root, host := t.TempDir(), t.TempDir(), loopback.Host()
	unpacked(t, dir)
	certificates(t, filepath.Join(dir, "certificates"), host)
	o, err := origin.Start(origin.Config{Name: "ecs", Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	if err := os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(envoytest.Binary(t, "").Path, filepath.Join(root, "usr/bin/envoy")); err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(root, "etc/crossfade/proxy.env"), "CROSSFADE_GRACE=0 CROSSFADE_DRAIN=1"); err != nil {
		t.Fatal(err)
	}
	script := system
	for _, block := range blocks(t, "On a machine") {
		if strings.Contains(block, "openssl") {
			block = fmt.Sprintf("cp -r %q ca\n", filepath.Join(dir, "certificates"))
		}
		script += block
	}
	script = regexp.MustCompile(`(^|[ =])/(usr|etc|var)/`).ReplaceAllString(script, "${1}"+root+"/$2/")
	for _, change := range [][2]string{ // what a reader changes, and that all of a test is on one loopback address
		{"control=control.example.test\n", "control=" + host + "\n"},
		{"address=10.0.0.5\n", "address=" + host + "\n"},
		{"> orders.yaml\n", "> orders.yaml\nsed -i s/127.0.0.2:8080/" + o.Addr() + "/ orders.yaml\n"},
		{"--node-id edge-1", fmt.Sprintf("--node-id edge-1 --listen-address %[1]s --ready-address %[1]s:10080 --admin-address %[1]s:9901", host)},
		{"0.0.0.0:", host + ":"},
		{"127.0.0.1:", host + ":"},
	} {
		if !strings.Contains(script, change[0]) {
			t.Fatalf("docs/install.md has no %q: change this test with it", change[0])
		}
		script = strings.ReplaceAll(script, change[0], change[1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ROOT="+root, "PATH="+filepath.Join(root, "usr/bin")+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		logs, _ := filepath.Glob(filepath.Join(root, "*.log"))
		for _, log := range logs {
			text, _ := os.ReadFile(log)
			t.Logf("%s:\n%s", filepath.Base(log), text)
		}
		t.Fatalf("%v\n%s\n%s", err, out.String(), complaints.String())
	}
	for _, want := range []string{"spiffe://example.test/people/root", "edge-1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nobody says %q:\n%s", want, out.String())
		}
	}
	if !strings.HasSuffix(strings.TrimSpace(out.String()), "ecs") {
		t.Errorf("the request is not answered by the origin:\n%s\n%s", out.String(), complaints.String())
	}
}

// write makes a file and its folders.
func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
