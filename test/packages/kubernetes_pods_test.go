package packages

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// dynamicConfig makes a configuration for a client of paths.
func dynamicConfig(c *rest.Config) *rest.Config {
	c = rest.CopyConfig(c)
	c.GroupVersion, c.NegotiatedSerializer = &schema.GroupVersion{}, scheme.Codecs.WithoutConversion()
	c.WarningHandler = rest.NoWarnings{} // they are read from answers
	return c
}

// podOf makes a pod as a controller would.
func podOf(template map[string]any, owner unstructured.Unstructured) unstructured.Unstructured {
	pod := unstructured.Unstructured{Object: runtime.DeepCopyJSON(template)}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetName(owner.GetName() + "-0")
	pod.SetNamespace(owner.GetNamespace())
	if claims, ok, _ := unstructured.NestedSlice(owner.Object, "spec", "volumeClaimTemplates"); ok {
		volumes, _, _ := unstructured.NestedSlice(pod.Object, "spec", "volumes")
		for _, claim := range claims {
			name, _, _ := unstructured.NestedString(claim.(map[string]any), "metadata", "name")
			volumes = append(volumes, map[string]any{"name": name, "persistentVolumeClaim": map[string]any{"claimName": name}})
		}
		_ = unstructured.SetNestedSlice(pod.Object, volumes, "spec", "volumes")
	}
	return pod
}

// create asks whether an object could be made; none is.
func create(t *testing.T, client *rest.RESTClient, o unstructured.Unstructured) error {
	t.Helper()
	body, err := json.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	return client.Verb(http.MethodPost).AbsPath(fmt.Sprintf("/api/v1/namespaces/%s/pods", o.GetNamespace())).SetHeader("Content-Type", "application/json").
		Param("dryRun", "All").Param("fieldValidation", "Strict").Body(body).Do(t.Context()).Error()
}

// spec is the pod of the one object of a kind in a manifest.
func spec(t *testing.T, name, kind string) corev1.PodSpec {
	t.Helper()
	i := slices.IndexFunc(objects(t, name), func(o unstructured.Unstructured) bool { return o.GetKind() == kind })
	if i < 0 {
		t.Fatalf("%s has no %s", name, kind)
	}
	var owner struct {
		Spec struct{ Template corev1.PodTemplateSpec }
	}
	text, err := json.Marshal(objects(t, name)[i].Object)
	if err == nil {
		err = json.Unmarshal(text, &owner)
	}
	if err != nil {
		t.Fatal(err)
	}
	return owner.Spec.Template.Spec
}

// TestPodsFitTheirImages: manifests and images agree about users, ports and folders, and a proxy has time to drain.
func TestPodsFitTheirImages(t *testing.T) {
	for _, c := range []struct{ manifest, kind, image string }{
		{"control-plane.yaml", "StatefulSet", "xds-server"}, {"proxy.yaml", "Deployment", "proxy"},
	} {
		pod := spec(t, c.manifest, c.kind)
		image, err := parse(t, "../../deploy/container/"+c.image+".Containerfile")
		if err != nil {
			t.Fatal(err)
		}
		exposed, user := map[string]bool{}, ""
		for _, command := range image.Stages[len(image.Stages)-1].Commands {
			switch command.Name {
			case "EXPOSE":
				for _, port := range regexp.MustCompile(`\d+`).FindAllString(command.Text, -1) {
					exposed[port] = true
				}
			case "USER":
				user = regexp.MustCompile(`\d+`).FindString(command.Text)
			}
		}
		if got := strconv.FormatInt(*pod.SecurityContext.RunAsUser, 10); got != user {
			t.Errorf("%s runs as %s, its image as %s", c.manifest, got, user)
		}
		for _, port := range pod.Containers[0].Ports {
			if !exposed[strconv.Itoa(int(port.ContainerPort))] {
				t.Errorf("%s: port %d is not one of its image's: %v", c.manifest, port.ContainerPort, exposed)
			}
		}
	}
	proxy := spec(t, "proxy.yaml", "Deployment")
	var took int64
	for _, e := range proxy.Containers[0].Env {
		if e.Name == "CROSSFADE_GRACE" || e.Name == "CROSSFADE_DRAIN" {
			seconds, err := strconv.ParseInt(e.Value, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			took += seconds
		}
	}
	if took != 75 || *proxy.TerminationGracePeriodSeconds < took+10 {
		t.Errorf("a proxy drains for %d s and is killed after %d s", took, *proxy.TerminationGracePeriodSeconds)
	}
	if probe := proxy.Containers[0].ReadinessProbe; probe.HTTPGet.Path != "/ready" || int64(probe.PeriodSeconds*probe.FailureThreshold) >= took {
		t.Errorf("the readiness of a proxy: %v", probe)
	}
}
