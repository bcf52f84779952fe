package packages

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// TestPodsRun runs what both pods would run, with their arguments, variables and settings: the programs know every flag, the settings are valid, and
// the certificates that docs/install.md makes let the proxy in.
func TestPodsRun(t *testing.T) {
	root, host := t.TempDir(), loopback.Host()
	bin := filepath.Join(root, "usr/bin")
	programs(t, bin)
	ca := certtest.New(t, "crossfade")
	secret(t, filepath.Join(root, "etc/crossfade/tls"), ca, certtest.Spec{DNS: []string{"crossfade.crossfade.svc"}})
	secret(t, filepath.Join(root, "edge"), ca, certtest.Spec{SPIFFE: "spiffe://example.test/fleet/default/edge-1"})
	secret(t, filepath.Join(root, "person"), ca, certtest.Spec{SPIFFE: "spiffe://example.test/people/root"})
	account := filepath.Join(root, "account")
	for path, text := range map[string]string{
		filepath.Join(account, "token"): "none", filepath.Join(account, "ca.crt"): string(ca.PEM),
		filepath.Join(root, "etc/crossfade/settings/crossfade.yaml"): strings.Replace(settings(t), "inCluster: {}", "inCluster: {folder: "+account+"}", 1),
	} {
		if err := write(path, text); err != nil {
			t.Fatal(err)
		}
	}
	here := strings.NewReplacer("/etc/crossfade", root+"/etc/crossfade", "/var/lib", root+"/var/lib", "0.0.0.0", host, "$(POD_IP)", host).Replace
	server := spec(t, "control-plane.yaml", "StatefulSet").Containers[0]
	argv, env := []string{filepath.Join(bin, "xds-server")}, []string{"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=1"}
	for _, a := range server.Args {
		argv = append(argv, here(a))
	}
	for _, v := range variables(t, "xds-server") {
		env = append(env, here(v))
	}
	begin(t, argv, env, "http://"+host+":18081"+server.ReadinessProbe.HTTPGet.Path) // on loopback this one is in clear text

	// A proxy is not ready before there is something to serve.
	for _, args := range [][]string{{"example", "service"}, {"apply", "-f", filepath.Join(root, "orders.yaml")}} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "shadowctl"), args...)
		cmd.Env = append(os.Environ(), "CROSSFADE_SERVER="+host+":18080", "CROSSFADE_TLS_SERVER_NAME=crossfade.crossfade.svc",
			"CROSSFADE_TLS_CA="+root+"/person/ca.crt", "CROSSFADE_TLS_CERT="+root+"/person/tls.crt", "CROSSFADE_TLS_KEY="+root+"/person/tls.key")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		if err := write(filepath.Join(root, "orders.yaml"), string(out)); err != nil {
			t.Fatal(err)
		}
	}

	proxy := spec(t, "proxy.yaml", "Deployment").Containers[0]
	argv = []string{startScript(t)}
	there := strings.NewReplacer("/etc/crossfade/tls", filepath.Join(root, "edge"), "crossfade.crossfade.svc", host, "$(POD_NAME)", "crossfade-proxy-0", "$(ZONE)", "").Replace
	for _, a := range proxy.Args {
		if a == "--" { // on one address, which no certificate names
			argv = append(argv, "--tls-server-name=crossfade.crossfade.svc", "--listen-address="+host, "--ready-address="+host+":10080", "--admin-address="+host+":9901")
		}
		argv = append(argv, there(a))
	}
	run := filepath.Join(root, "run")
	begin(t, argv, []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "ENVOY=" + envoytest.Binary(t, "").Path, "CROSSFADE_RUN=" + run, "TMPDIR=" + t.TempDir()},
		"http://"+host+":10080"+proxy.ReadinessProbe.HTTPGet.Path)
	probe := slices.Clone(proxy.LivenessProbe.Exec.Command)
	probe[0], probe[1] = root+probe[0], strings.Replace(probe[1], "127.0.0.1", host, 1)
	if out, err := exec.CommandContext(t.Context(), probe[0], probe[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%v: %v: %s", probe, err, out)
	}
}

// secret writes a secret as a volume of Kubernetes has it.
func secret(t *testing.T, dir string, ca *certtest.CA, spec certtest.Spec) {
	t.Helper()
	c := ca.Issue(spec)
	for name, text := range map[string][]byte{"ca.crt": ca.PEM, "tls.crt": c.PEM, "tls.key": c.Key} {
		if err := write(filepath.Join(dir, name), string(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// settings is the file of the control plane's ConfigMap.
func settings(t *testing.T) string {
	t.Helper()
	all := objects(t, "control-plane.yaml")
	i := slices.IndexFunc(all, func(o unstructured.Unstructured) bool { return o.GetKind() == "ConfigMap" })
	text, ok, err := unstructured.NestedString(all[i].Object, "data", "crossfade.yaml")
	if !ok || err != nil {
		t.Fatalf("there are no settings: %v", err)
	}
	return text
}

// variables are those of an image, NAME=VALUE.
func variables(t *testing.T, name string) []string {
	t.Helper()
	image, err := parse(t, filepath.Join("..", "..", "deploy", "container", name+".Containerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range image.Stages[len(image.Stages)-1].Commands {
		if c.Name != "ENV" {
			continue
		}
		var read struct{ Env []struct{ Key, Value string } }
		if err := json.Unmarshal(c.Read, &read); err != nil {
			t.Fatal(err)
		}
		for _, v := range read.Env {
			out = append(out, v.Key+"="+v.Value)
		}
	}
	if len(out) == 0 {
		t.Fatalf("the image %s sets no variable", name)
	}
	return out
}

// begin starts a program and waits until it says that it is ready. It ends with the test.
func begin(t *testing.T, argv, env []string, ready string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(argv[0]), log.String())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := poll.Until(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		select {
		case <-exited:
			cancel()
		default:
		}
		return ask(ctx, ready)
	}); err != nil {
		t.Fatalf("%v: %v", argv, err)
	}
}
