package packages

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/crossfade-proxy/crossfade/internal/kubetest"
)

// manifests are the files of deploy/kubernetes, in the order in which they are applied.
var manifests = []string{"control-plane.yaml", "rbac.yaml", "proxy.yaml"}

// collections are the paths of the kinds that the manifests use.
var collections = map[string]string{
	"v1 Namespace": "/api/v1/namespaces", "v1 ServiceAccount": "/api/v1/namespaces/%s/serviceaccounts", "v1 ConfigMap": "/api/v1/namespaces/%s/configmaps",
	"v1 Service": "/api/v1/namespaces/%s/services", "apps/v1 StatefulSet": "/apis/apps/v1/namespaces/%s/statefulsets",
	"apps/v1 Deployment":                              "/apis/apps/v1/namespaces/%s/deployments",
	"policy/v1 PodDisruptionBudget":                   "/apis/policy/v1/namespaces/%s/poddisruptionbudgets",
	"networking.k8s.io/v1 NetworkPolicy":              "/apis/networking.k8s.io/v1/namespaces/%s/networkpolicies",
	"rbac.authorization.k8s.io/v1 ClusterRole":        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
	"rbac.authorization.k8s.io/v1 ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}

// objects reads a manifest.
func objects(t *testing.T, name string) []unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", name))
	if err != nil {
		t.Fatal(err)
	}
	var out []unstructured.Unstructured
	for part := range strings.SplitSeq(string(text), "\n---\n") {
		var o unstructured.Unstructured
		if err := yaml.UnmarshalStrict([]byte(part), &o.Object); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out = append(out, o)
	}
	return out
}

// apply sends an object as `kubectl apply --server-side --validate=strict` does, and returns what the server says.
func apply(t *testing.T, client *rest.RESTClient, o unstructured.Unstructured) error {
	t.Helper()
	form, ok := collections[o.GetAPIVersion()+" "+o.GetKind()]
	if !ok {
		t.Fatalf("%s %s is of no kind that is known here", o.GetAPIVersion(), o.GetKind())
	}
	path := form
	if strings.Contains(form, "%s") {
		path = fmt.Sprintf(form, o.GetNamespace())
	}
	body, err := json.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	result := client.Verb(http.MethodPatch).AbsPath(path, o.GetName()).SetHeader("Content-Type", "application/apply-patch+yaml").
		Param("fieldManager", "test").Param("fieldValidation", "Strict").Body(body).Do(t.Context())
	for _, w := range result.Warnings() {
		t.Errorf("%s %s: the server warns: %s", o.GetKind(), o.GetName(), w.Text)
	}
	return result.Error()
}

// kube starts an API server and returns a client of it.
func kube(t *testing.T) *rest.RESTClient {
	t.Helper()
	server := kubetest.Start(t)
	config, err := clientcmd.BuildConfigFromFlags("", server.Kubeconfig(kubetest.Admin))
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.UnversionedRESTClientFor(dynamicConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestManifests applies every manifest to a real API server, which checks fields strictly and pods by the restricted standard, twice: the
// second time changes nothing.
func TestManifests(t *testing.T) {
	client := kube(t)
	for range 2 {
		for _, name := range manifests {
			for _, o := range objects(t, name) {
				if err := apply(t, client, o); err != nil {
					t.Errorf("%s: %s %s: %v", name, o.GetKind(), o.GetName(), err)
				}
			}
		}
	}
	// A pod of each template is let in by the namespace's standard, which is asked of pods alone.
	for _, name := range manifests {
		for _, o := range objects(t, name) {
			template, ok, err := unstructured.NestedMap(o.Object, "spec", "template")
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				continue
			}
			pod := podOf(template, o)
			if err := create(t, client, pod); err != nil {
				t.Errorf("a pod of %s %s: %v", o.GetKind(), o.GetName(), err)
			}
			// And one that may become root is not, so that the standard is in force.
			unstructured.RemoveNestedField(pod.Object, "spec", "securityContext")
			pod.SetName(pod.GetName() + "-root")
			if err := create(t, client, pod); err == nil || !strings.Contains(err.Error(), "PodSecurity") {
				t.Errorf("a pod of %s %s that may be root: %v", o.GetKind(), o.GetName(), err)
			}
		}
	}
	// Strict is strict.
	o := objects(t, "proxy.yaml")[1]
	if err := unstructured.SetNestedField(o.Object, int64(90), "spec", "template", "spec", "terminationGracePeriod"); err != nil {
		t.Fatal(err)
	}
	if err := apply(t, client, o); err == nil || !strings.Contains(err.Error(), "terminationGracePeriod") {
		t.Errorf("an unknown field: %v", err)
	}
}
