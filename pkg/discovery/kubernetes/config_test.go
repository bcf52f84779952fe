package kubernetes

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func TestConfigIsRefused(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte(`{"apiVersion": "v1", "kind": "Config"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Config{
		`cluster "x": 0 ways to log in`:                        {Name: "x"},
		`cluster "x": 2 ways to log in`:                        {Name: "x", InCluster: &InCluster{}, EKS: &EKS{}},
		"neither $KUBECONFIG nor ~/.kube/config":               {Kubeconfig: &Kubeconfig{}},
		empty + " names no cluster":                            {Kubeconfig: &Kubeconfig{File: empty}},
		"no such file":                                         {Kubeconfig: &Kubeconfig{File: empty + "-not"}},
		`context "y" does not exist`:                           {Kubeconfig: &Kubeconfig{File: empty, Context: "y"}},
		"not in a pod of Kubernetes":                           {InCluster: &InCluster{}},
		"the region of the EKS cluster is missing":             {EKS: &EKS{Cluster: "c", Endpoint: "https://x.test", CA: []byte("x")}},
		"unable to load root certificates: unable to parse by": {EKS: &EKS{Cluster: "c", Region: "eu-central-1", Endpoint: "https://x.test", CA: []byte("x")}},
	} {
		if _, err := New(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestPodWithoutAccount(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "6443")
	if _, err := New(t.Context(), Config{InCluster: &InCluster{Folder: t.TempDir()}}); err == nil || !strings.Contains(err.Error(), "automountServiceAccountToken") {
		t.Errorf("got %v", err)
	}
}

// TestClusters: each by its name, and none that was not configured.
func TestClusters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}, {"name": "b", "cluster": {"server": "https://127.0.0.1:2"}}],
		"contexts": [{"name": "a", "context": {"cluster": "a"}}, {"name": "b", "context": {"cluster": "b"}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(name, context string) Config {
		return Config{Name: name, Kubeconfig: &Kubeconfig{File: file, Context: context}}
	}
	cs, err := Open(t.Context(), config("blue", "a"), config("green", "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer cs.Close()
	for name, port := range map[string]string{"blue": ":1", "green": ":2"} {
		c, err := cs.Cluster(name)
		if err != nil || c.Name() != name || !strings.HasSuffix(c.client.Get().URL().Host, port) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if _, err := cs.Cluster("red"); codeOf(err) != "kubernetes_cluster_unknown" || !strings.Contains(err.Error(), "there are: blue, green") {
		t.Errorf("got %v", err)
	}
	if _, err := Open(t.Context(), config("blue", "a"), config("blue", "b")); err == nil {
		t.Error("two clusters have one name")
	}
	none, err := Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Cluster("red"); err == nil || !strings.Contains(err.Error(), "no Kubernetes cluster is configured") {
		t.Errorf("got %v", err)
	}
}

func TestTargets(t *testing.T) {
	for want, target := range map[string]Target{
		"":                         {Namespace: "shop", Service: "orders", Port: "http"},
		" ":                        {Namespace: "shop", Service: "orders"},
		"  ":                       {Namespace: "shop", Service: "orders", Port: "65535"},
		"namespace_invalid":        {Namespace: "Shop", Service: "orders"},
		"service_invalid":          {Namespace: "shop", Service: "orders.shop.svc.cluster.local"},
		"port_invalid":             {Namespace: "shop", Service: "orders", Port: "0"},
		"port_invalid ":            {Namespace: "shop", Service: "orders", Port: "HTTP"},
		"port_invalid  ":           {Namespace: "shop", Service: "orders", Port: "65536"},
		"namespace_invalid, again": {},
	} {
		code, _, _ := strings.Cut(strings.TrimSpace(want), ",")
		var wrong policy.Errors
		errors.As(target.Check(), &wrong)
		if code == "" && len(wrong) > 0 || code != "" && (len(wrong) == 0 || wrong[0].Code != code) {
			t.Errorf("%+v: got %v, want %q", target, wrong, code)
		}
	}
}

// FuzzTokenEnd: whatever a token looks like, reading its end does no harm.
func FuzzTokenEnd(f *testing.F) {
	token := func(claims string) string {
		return "h." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".s"
	}
	f.Add(token(`{"exp": 1700000000}`))
	f.Add(token(`{"exp": 1e300}`))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		if end, ok := tokenEnd(token); ok && (end.Unix() < 0 || end.Unix() > 1e11) {
			t.Errorf("ends at %v", end)
		}
	})
}

func TestExpired(t *testing.T) {
	end := time.Unix(1_700_000_000, 0)
	token := "h." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp": %d}`, end.Unix())) + ".s"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		login login
		now   time.Time
		want  string
	}{
		{login{token: token}, end, "our token expired at 2023-11-14T22:13:20Z"},
		{login{token: token}, end.Add(-time.Second), ""},
		{login{token: "opaque"}, end, ""},
		{login{tokenFile: file, token: "older"}, end, "the token in " + file + " expired at 2023-11-14T22:13:20Z"},
		{login{tokenFile: file + "-not"}, end, ""},
		{login{cert: []byte("no certificate")}, end, ""},
		{login{}, end, ""},
	} {
		if got := c.login.expired(c.now); got != c.want {
			t.Errorf("%+v: %q, want %q", c.login, got, c.want)
		}
	}
}
