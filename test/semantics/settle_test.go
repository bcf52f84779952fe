package semantics

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// settle waits until what was acknowledged is in use. Clusters and listeners warm up first: they ask for endpoints and routes, and wait for
// the first health check.
func (f *fleet) settle(want *translate.Structure) {
	f.t.Helper()
	await(f.t, "clusters and listeners of "+f.name, func(ctx context.Context) error {
		if err := f.hasClusters(ctx, want.Clusters); err != nil {
			return err
		}
		return f.hasListeners(ctx, want.Listeners(f.host, ""))
	})
	f.barrier()
}

// hasClusters returns nil if Envoy uses these clusters and no others of ours.
func (f *fleet) hasClusters(ctx context.Context, want []translate.Resource) error {
	var dump struct {
		Configs []struct {
			Version string `json:"version_info"`
			Cluster struct{ Name string }
		}
	}
	if err := f.dump(ctx, "dynamic_active_clusters", &dump); err != nil {
		return err
	}
	got, wanted := map[string]string{}, map[string]string{}
	for _, c := range dump.Configs {
		got[c.Cluster.Name] = c.Version
	}
	for _, r := range want {
		wanted[r.Name] = r.Version
	}
	if !maps.Equal(got, wanted) {
		return fmt.Errorf("the clusters are %v, want %v", got, wanted)
	}
	return nil
}

// hasListeners does so for listeners. It compares what is in them: when Envoy changes a listener in place, it goes on showing the old version.
func (f *fleet) hasListeners(ctx context.Context, want []translate.Resource) error {
	var dump struct {
		Configs []struct {
			Name   string
			Active struct{ Listener json.RawMessage } `json:"active_state"`
		}
	}
	if err := f.dump(ctx, "dynamic_listeners", &dump); err != nil {
		return err
	}
	got, wanted := map[string]string{}, map[string]string{}
	for _, l := range dump.Configs {
		if l.Active.Listener == nil {
			continue // on its way, or out
		}
		body := &anypb.Any{}
		if err := protojson.Unmarshal(l.Active.Listener, body); err != nil {
			return err
		}
		got[l.Name] = plain(body)
	}
	for _, r := range want {
		wanted[r.Name] = plain(r.Body)
	}
	if !maps.Equal(got, wanted) {
		return fmt.Errorf("the listeners are %v, want %v", got, wanted)
	}
	return nil
}

func (f *fleet) dump(ctx context.Context, kind string, into any) error {
	dump, err := f.envoy.ConfigDump(ctx, "?resource="+kind)
	if err != nil {
		return err
	}
	return json.Unmarshal(dump, into)
}

// plain is a message as text, the same for equal messages.
func plain(m proto.Message) string {
	text, err := protojson.Marshal(m)
	if err != nil {
		return err.Error()
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil { // protojson's spaces are random
		return err.Error()
	}
	text, _ = json.Marshal(v)
	return string(text)
}
