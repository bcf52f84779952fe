package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// mirrorSettings are what the server's operator says about mirror experiments, whoever starts them.
type mirrorSettings struct {
	retention  time.Duration  // for how long the report of one that has ended is kept
	values     []string       // places whose values experiments may show
	identities []testIdentity // in the order written
	maxRPS     int            // copies per second, over all experiments of a fleet
	lease      time.Duration  // for how long a comparator goes on without orders
}

// testIdentity is a header that copies get in place of credentials.
type testIdentity struct {
	name   string
	header string // lower case
	value  secret
}

// bounds of the section mirrors.
const (
	minRetention  = time.Hour
	maxRetention  = 8760 * time.Hour
	minLease      = 5 * time.Second
	maxLease      = 10 * time.Minute
	maxMirrorRPS  = 100_000
	maxIdentities = 64
	maxSecret     = 8 << 10 // bytes
)

func defaultMirrors() mirrorSettings {
	return mirrorSettings{retention: 720 * time.Hour, maxRPS: 500, lease: time.Minute}
}

// secret is a text that nothing prints. It is behind a pointer, so that fmt shows no more than an address even where it cannot call methods:
// in fields that are not exported.
type secret struct{ text *string }

const hidden = "(hidden)"

func newSecret(text string) secret { return secret{text: &text} }

// reveal returns the text, for who sends it where it belongs.
func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (secret) String() string               { return hidden }
func (secret) GoString() string             { return hidden }
func (secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

func (r *fileReader) mirrorSection(n *yaml.Node) {
	r.group(n, "mirrors", map[string]setting{
		"retention":  r.duration("mirrors.retention", &r.mirrors.retention, minRetention, maxRetention),
		"lease":      r.duration("mirrors.lease", &r.mirrors.lease, minLease, maxLease),
		"maxRps":     r.number("mirrors.maxRps", &r.mirrors.maxRPS, 1, maxMirrorRPS),
		"values":     r.places,
		"identities": r.identities,
	})
}

// list reads a sequence of at most so many elements.
func (r *fileReader) list(n *yaml.Node, field, what string, most int, read func(item *yaml.Node, field string)) {
	switch {
	case n.Kind != yaml.SequenceNode:
		r.add(n, invalid("bad_setting", field, n.Value, "must be a list of "+what, ""))
	case len(n.Content) > most:
		r.add(n, invalid("bad_setting", field, "", fmt.Sprintf("has %d %s; at most %d are allowed", len(n.Content), what, most), ""))
	default:
		for i, item := range n.Content {
			read(item, fmt.Sprintf("%s[%d]", field, i))
		}
	}
}

func (r *fileReader) places(n *yaml.Node) {
	r.list(n, "mirrors.values", "places", policy.MaxMirrorValues, func(item *yaml.Node, field string) {
		place := item.Value
		switch {
		case item.Kind != yaml.ScalarNode || !strings.HasPrefix(place, "$") && !strings.HasPrefix(place, "header:") && !strings.HasPrefix(place, "trailer:"):
			r.add(item, invalid("bad_setting", field, place, "is no place in an answer", `write it as reports name it: "$.state", header:NAME or trailer:NAME`))
		case len(place) > policy.MaxMirrorPlaceBytes:
			r.add(item, invalid("bad_setting", field, "", fmt.Sprintf("has %d bytes; at most %d are allowed", len(place), policy.MaxMirrorPlaceBytes), ""))
		case slices.Contains(r.mirrors.values, place):
			r.add(item, invalid("duplicate_key", field, place, "is there twice", ""))
		default:
			r.mirrors.values = append(r.mirrors.values, place)
		}
	})
}

func (r *fileReader) identities(n *yaml.Node) {
	r.list(n, "mirrors.identities", "test identities", maxIdentities, r.identity)
}

func (r *fileReader) identity(n *yaml.Node, field string) {
	var name, header, file string
	if !r.group(n, field, map[string]setting{
		"name": r.text(field+".name", &name), "header": r.text(field+".header", &header), "valueFile": r.text(field+".valueFile", &file),
	}) {
		return
	}
	id := testIdentity{name: name, header: strings.ToLower(header)}
	switch {
	case !policy.ValidName(name):
		r.add(n, invalid("bad_setting", field+".name", name, "a test identity needs a name of lower-case letters, digits and dashes, by which experiments call it", ""))
		return
	case slices.ContainsFunc(r.mirrors.identities, func(o testIdentity) bool { return o.name == name }):
		r.add(n, invalid("duplicate_key", field+".name", name, "two test identities have this name", ""))
		return
	case !httpguts.ValidHeaderFieldName(header):
		r.add(n, invalid("bad_setting", field+".header", header, "a test identity needs the name of the header that copies get", "for example authorization"))
		return
	case isReserved(id.header):
		r.add(n, invalid("bad_setting", field+".header", header, "is a header that says how a request travels, not whose it is", "for example authorization"))
		return
	}
	var err error
	if id.value, err = readSecret(file); err != nil {
		r.add(n, invalid("bad_file", field+".valueFile", file, reason(err), "name a file that holds the value of the header, and nothing else"))
		return
	}
	r.mirrors.identities = append(r.mirrors.identities, id)
}

// isReserved tells headers that belong to the connection, and those by which proxies and comparators know copies.
func isReserved(header string) bool {
	switch header {
	case "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "x-forwarded-for", policy.HeaderShadow:
		return true
	}
	return strings.HasPrefix(header, "x-cf-") || strings.HasPrefix(header, "x-envoy-")
}

// readSecret reads the value of a header from a file, without the end of its line. No error of it shows what is in the file.
func readSecret(path string) (secret, error) {
	if path == "" {
		return secret{}, fmt.Errorf("is missing")
	}
	data, err := readFile(path, maxSecret)
	if err != nil {
		return secret{}, fmt.Errorf("cannot be read: %s", reason(err))
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case value == "":
		return secret{}, fmt.Errorf("is empty")
	case !httpguts.ValidHeaderFieldValue(value):
		return secret{}, fmt.Errorf("holds what no header can: line breaks or other control characters")
	}
	return newSecret(value), nil
}
