package kubernetes

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/crossfade-proxy/crossfade/internal/kubetest"
)

// cannotLogIn: each way to be refused has its sentence.
func cannotLogIn(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("login")
	context := func(name string) Config {
		return Config{Kubeconfig: &Kubeconfig{File: s.Kubeconfig("guest"), Context: name}}
	}
	for _, c := range []struct {
		config     Config
		code, want string
	}{
		{context("stranger"), "kubernetes_unauthorized", `Kubernetes cluster "test" does not let us in: it does not accept our token (Unauthorized); check the credentials: they may be of another cluster, revoked, or expired`},
		{context("user"), "kubernetes_forbidden", fmt.Sprintf(`Kubernetes cluster "test" forbids user "guest" to list endpointslices.discovery.k8s.io in namespace %q; grant list and watch of endpointslices, as deploy/kubernetes/rbac.yaml does`, ns)},
		{context("nobody"), "kubernetes_forbidden", fmt.Sprintf(`Kubernetes cluster "test" forbids us, who showed no credentials, to list endpointslices.discovery.k8s.io in namespace %q; grant list and watch of endpointslices, as deploy/kubernetes/rbac.yaml does`, ns)},
	} {
		w := follow(t, open(t, c.config), orders(ns))
		var err error
		for err == nil || !strings.Contains(err.Error(), " list ") && c.code == "kubernetes_forbidden" {
			err = w.awaitError(c.code) // the refused watch may be told first
		}
		if err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		w.stop()
	}
}

// expiredToken shows the server a token of a service account that it would accept, were it younger.
func expiredToken(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("expired")
	end := time.Now().Add(-time.Hour)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": [{"name": "x", "cluster": {"server": %q, "certificate-authority-data": %q}}],
		"users": [{"name": "x", "user": {"token": %q}}], "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}]}`,
		s.URL, base64.StdEncoding.EncodeToString(s.CA), accountToken(t, s, end))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	err := follow(t, open(t, Config{Kubeconfig: &Kubeconfig{File: file}}), orders(ns)).awaitError("kubernetes_unauthorized")
	want := `Kubernetes cluster "test" does not let us in: our token expired at ` + end.UTC().Format(time.RFC3339) + "; renew it"
	if err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// accountToken signs a token as the server would.
func accountToken(t *testing.T, s *kubetest.Server, end time.Time) string {
	block, _ := pem.Decode(s.AccountsKey())
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	claims, err := json.Marshal(map[string]any{
		"iss": "https://kubetest", "aud": []string{"https://kubetest"}, "sub": "system:serviceaccount:default:x",
		"iat": end.Add(-time.Hour).Unix(), "nbf": end.Add(-time.Hour).Unix(), "exp": end.Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	text := encode([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	r, z, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(append(r.FillBytes(make([]byte, 32)), z.FillBytes(make([]byte, 32))...))
}

// collections of the kinds in the manifest.
var collections = map[string]string{
	"ClusterRole":        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
	"ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}

// grant creates what deploy/kubernetes/rbac.yaml has, until the test ends.
func grant(t *testing.T, s *kubetest.Server) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "kubernetes", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var object map[string]any
		if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		where, ok := collections[object["kind"].(string)]
		if !ok {
			t.Fatalf("the manifest has a %v", object["kind"])
		}
		s.Create(where, object)
		t.Cleanup(func() { s.Delete(where + "/" + object["metadata"].(map[string]any)["name"].(string)) })
	}
}

// manifest: who is in the group follows services; that it was refused before is told, and no reason to start anew.
func manifest(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("manifest")
	create(s, ns, slice("orders", "orders-a", "10.1.0.1"))
	w := follow(t, open(t, as(s, "crossfade")), orders(ns))
	w.awaitError("kubernetes_forbidden")
	grant(t, s)
	w.await(ready("10.1.0.1"))
	replace(s, ns, slice("orders", "orders-a", "10.1.0.2"))
	w.await(ready("10.1.0.2"))
}

// podAccount runs as in a pod: with the token that the server gives to the manifest's service account.
func podAccount(t *testing.T, s *kubetest.Server) {
	grant(t, s)
	ns := s.Namespace("pod")
	create(s, ns, slice("orders", "orders-a", "10.1.0.1"))
	s.Create("/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": "crossfade"}})
	s.Create("/api/v1/namespaces/crossfade/serviceaccounts", map[string]any{"metadata": map[string]any{"name": "crossfade"}})
	var answer struct{ Status struct{ Token string } }
	text := s.Create("/api/v1/namespaces/crossfade/serviceaccounts/crossfade/token", map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{"expirationSeconds": 600},
	})
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, content := range map[string]string{"token": answer.Status.Token, "ca.crt": string(s.CA)} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", u.Hostname())
	t.Setenv("KUBERNETES_SERVICE_PORT", u.Port())
	follow(t, open(t, Config{InCluster: &InCluster{Folder: folder}}), orders(ns)).await(ready("10.1.0.1"))
}

// TestUnreachable needs no API server: nobody listens, or somebody else does.
func TestUnreachable(t *testing.T) {
	stranger := kubetest.Imposter(t)
	for _, c := range []struct{ name, server, code, want string }{
		{"refused", "https://" + freePort(t), "kubernetes_unreachable", "connection refused; check the address"},
		{"another's certificate", stranger, "kubernetes_certificate", "cannot be trusted at " + strings.TrimPrefix(stranger, "https://")},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "kubeconfig")
			config := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": [{"name": "x", "cluster": {"server": %q}}],
				"users": [{"name": "x", "user": {"token": "secret-token"}}], "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}]}`, c.server)
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			err := follow(t, open(t, Config{Kubeconfig: &Kubeconfig{File: file}}), orders("shop")).next().Err
			if err == nil || codeOf(err) != c.code || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-token") {
				t.Errorf("got %v, want %s: %s", err, c.code, c.want)
			}
		})
	}
}

// freePort is an address where nobody listens.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
