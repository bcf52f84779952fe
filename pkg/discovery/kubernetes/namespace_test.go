package kubernetes

import (
	"errors"
	"log/slog"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// TestWatchResumes: a watch that goes on where it was, without a new list, is told too, with all that was known.
func TestWatchResumes(t *testing.T) {
	n := &namespace{
		cluster: &Cluster{log: slog.New(slog.NewTextHandler(t.Output(), nil))}, followers: map[*follower]struct{}{},
		services: map[string]map[string]*discoveryv1.EndpointSlice{}, serviceOf: map[string]string{},
	}
	f := n.follow(orders("shop"))
	news := func() bool {
		select {
		case <-f.news:
			return true
		default:
			return false
		}
	}
	look := func() string { return told(n.look(orders("shop"), at)) }
	s := parse(t, `{"metadata": {"name": "a", "labels": {"kubernetes.io/service-name": "orders"}}, "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "zone": "a"}], `+http8080+`}`)
	if news() {
		t.Error("news of nothing")
	}
	n.opened()
	if err := (&store{n}).Replace([]any{s[0]}, "1"); err != nil {
		t.Fatal(err)
	}
	if !news() || look() != ready("10.0.0.1") || !n.well() {
		t.Fatalf("after a list: %q, well %v", look(), n.well())
	}
	n.ended()
	if news() || n.well() {
		t.Error("the end of a watch is news, or well")
	}
	n.failed(errors.New("down"))
	if !news() || look() != "error down" {
		t.Errorf("after a failure: %q", look())
	}
	n.opened()
	if !news() || look() != ready("10.0.0.1") || !n.well() {
		t.Errorf("after it resumed: %q, well %v", look(), n.well())
	}
}
