package upgrade

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// taken is a resource as a proxy has it.
type taken struct {
	at      string // when it last took it
	content string // JSON
	within  string // of a virtual host: the name of its route configuration
}

// meant are the resources, KIND or KIND NAME, that differ between the version before and today's for a service that says the same, and why. A proxy
// takes these once at an upgrade. The list is empty again with the next release.
var meant = map[string]string{
	"dynamic_listeners":                             "windows of HTTP/2 are bounded, and a request that lasts too long is answered by 408 as well",
	"dynamic_active_clusters " + overHTTP2 + "/eks": "windows of HTTP/2 are bounded towards origins, too",
	"virtual_host " + overHTTP2 + ".test":           "grpc-timeout is held where an origin speaks HTTP/2",
}

// resources returns what a proxy has, by kind and name.
func (w *world) resources(p *proxy) map[string]taken {
	w.t.Helper()
	text, err := p.ConfigDump(w.t.Context(), "?include_eds")
	if err != nil {
		w.t.Fatal(err)
	}
	var dump struct {
		Configs []json.RawMessage `json:"configs"`
	}
	if err := json.Unmarshal(text, &dump); err != nil {
		w.t.Fatal(err)
	}
	out := map[string]taken{}
	for _, raw := range dump.Configs {
		var section map[string]any
		if err := json.Unmarshal(raw, &section); err != nil {
			w.t.Fatal(err)
		}
		for kind, list := range section {
			if strings.HasPrefix(kind, "dynamic_") {
				w.collect(out, kind, list)
			}
		}
	}
	if len(out) < 2*services { // two clusters of each
		w.t.Fatalf("%s has only %d resources", p.name, len(out))
	}
	return out
}

// collect adds the resources of one kind.
func (w *world) collect(out map[string]taken, kind string, list any) {
	w.t.Helper()
	items, _ := list.([]any)
	for _, item := range items {
		entry, _ := item.(map[string]any)
		if active, ok := entry["active_state"].(map[string]any); ok { // a listener
			entry = active
		}
		for _, field := range []string{"cluster", "listener", "route_config", "endpoint_config"} {
			o, ok := entry[field].(map[string]any)
			if !ok {
				continue
			}
			name := o["name"]
			if name == nil {
				name = o["cluster_name"]
			}
			id := fmt.Sprint(kind, " ", name)
			hosts, _ := o["virtual_hosts"].([]any)
			for _, h := range hosts { // each is a resource of its own
				host, _ := h.(map[string]any)
				_, domain, _ := strings.Cut(strings.TrimPrefix(fmt.Sprint(host["name"]), "listener/"), "/")
				out["virtual_host "+domain] = taken{content: w.text(host), within: id}
			}
			delete(o, "virtual_hosts")
			out[id] = taken{at: fmt.Sprint(entry["last_updated"]), content: w.text(o)}
		}
	}
}

func (w *world) text(o any) string {
	w.t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// compare says what a proxy took that it should not have taken, and how many bytes of JSON it took that it should.
func compare(was, is map[string]taken, meant map[string]string) (bad []string, changed int) {
	parts := map[string]bool{} // what is as it was but for a part that was to change
	for name, before := range was {
		if now := is[name]; before.within != "" && now.content != before.content && meant[name] != "" {
			parts[before.within] = true
		}
	}
	for name, before := range was {
		now, ok := is[name]
		kind, _, _ := strings.Cut(name, " ")
		switch {
		case !ok:
			bad = append(bad, name+" is gone")
		case now.content != before.content && meant[kind] == "" && meant[name] == "":
			bad = append(bad, fmt.Sprintf("%s is another: was %s, is %s", name, before.content, now.content))
		case now.content != before.content:
			changed += len(now.content)
		case now.at != before.at && !parts[name]:
			bad = append(bad, name+" was taken again as it was")
		}
	}
	for name := range is {
		if _, ok := was[name]; !ok {
			bad = append(bad, name+" is new")
		}
	}
	slices.Sort(bad)
	return bad, changed
}
