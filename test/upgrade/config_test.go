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
}

// meant are the kinds of resources that differ between the version before and today's for a service that says the same, and why. A proxy takes
// these once at an upgrade. The list is empty again with the next release.
var meant = map[string]string{
	"dynamic_listeners": "windows of HTTP/2 are bounded, and a request that lasts too long is answered by 408 as well",
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
			content, err := json.Marshal(o)
			if err != nil {
				w.t.Fatal(err)
			}
			out[fmt.Sprint(kind, " ", name)] = taken{fmt.Sprint(entry["last_updated"]), string(content)}
		}
	}
}

// compare says what a proxy took that it should not have taken, and how many bytes of JSON it took that it should.
func compare(was, is map[string]taken, meant map[string]string) (bad []string, changed int) {
	for name, before := range was {
		now, ok := is[name]
		kind, _, _ := strings.Cut(name, " ")
		switch {
		case !ok:
			bad = append(bad, name+" is gone")
		case now.content != before.content && meant[kind] == "":
			bad = append(bad, fmt.Sprintf("%s is another: was %s, is %s", name, before.content, now.content))
		case now.content != before.content:
			changed += len(now.content)
		case now.at != before.at:
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
