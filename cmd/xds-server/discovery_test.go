package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/cloudmap"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/ecs"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/kubernetes"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestThePolicyGrantsWhatIsAsked: deploy/aws/discovery-policy.json allows what the sources ask, and nothing else.
func TestThePolicyGrantsWhatIsAsked(t *testing.T) {
	text, err := os.ReadFile("../../deploy/aws/discovery-policy.json")
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Statement []struct {
			Effect string
			Action []string
		}
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	var granted []string
	for _, s := range p.Statement {
		if s.Effect != "Allow" {
			t.Errorf("effect %q", s.Effect)
		}
		granted = append(granted, s.Action...)
	}
	asked := slices.Concat(ecs.Actions(), cloudmap.Actions())
	slices.Sort(granted)
	slices.Sort(asked)
	if !slices.Equal(granted, asked) {
		t.Errorf("granted %v\nasked   %v", granted, asked)
	}
}

func open(t *testing.T, s sources) *finders {
	t.Helper()
	f, err := openFinders(t.Context(), &config{sources: s}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f
}

// TestAClusterThatCannotBeOpenedKeepsNothingFromStarting: whoever wants it is told, and another one works.
func TestAClusterThatCannotBeOpenedKeepsNothingFromStarting(t *testing.T) {
	f := open(t, sources{clusters: []kubernetes.Config{{Name: "gone", Kubeconfig: &kubernetes.Kubeconfig{File: "/nowhere/kubeconfig"}}}})
	w, err := f.watch(&policy.Origin{Kubernetes: &policy.KubernetesService{Cluster: "gone", Namespace: "n", Service: "s"}})
	if err != nil {
		t.Fatal(err)
	}
	var e *policy.Error
	if err := w(t.Context(), func(discovery.Look) {}); !errors.As(err, &e) || e.Code != "kubernetes_config" || !strings.Contains(e.Message, "/nowhere/kubeconfig") {
		t.Errorf("got %v", err)
	}
	if _, err := f.watch(&policy.Origin{ECS: &policy.ECSService{Region: "eu-central-1", Cluster: "c", Service: "s", Port: 80}}); err != nil {
		t.Errorf("ECS: %v", err)
	}
}

func TestOriginsThatCannotBeWatched(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	f := open(t, sources{clusters: []kubernetes.Config{{Name: "b", InCluster: &kubernetes.InCluster{}}, {Name: "a", InCluster: &kubernetes.InCluster{}}}})
	for name, c := range map[string]struct {
		origin policy.Origin
		want   string
	}{
		"unknown cluster":      {policy.Origin{Kubernetes: &policy.KubernetesService{Cluster: "c", Namespace: "n", Service: "s"}}, `it knows a, b`},
		"no region":            {policy.Origin{ECS: &policy.ECSService{Cluster: "c", Service: "s", Port: 80}}, "region"},
		"no region, cloud map": {policy.Origin{CloudMap: &policy.CloudMapService{Namespace: "n", Service: "s"}}, "region"},
		"ecs cluster":          {policy.Origin{ECS: &policy.ECSService{Region: "eu-central-1", Cluster: "a/b/c", Service: "s", Port: 80}}, "cluster"},
		"static":               {policy.Origin{}, "not discovered"},
	} {
		if _, err := f.watch(&c.origin); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheRegionOfTheSettingsIsTaken(t *testing.T) {
	f := open(t, sources{aws: awsSettings{region: "eu-west-1"}})
	for _, o := range []policy.Origin{
		{ECS: &policy.ECSService{Cluster: "c", Service: "s", Port: 80}},
		{CloudMap: &policy.CloudMapService{Namespace: "n", Service: "s"}},
	} {
		w, err := f.watch(&o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w(ctx, func(discovery.Look) {}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}
