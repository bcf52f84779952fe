package deltaclient

import (
	"cmp"
	_ "embed" // the list below
	"strings"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Version of Envoy that a client says it is.
var Version = &typev3.SemanticVersion{MajorNumber: 1, MinorNumber: 40}

// newest is the version of the bootstrap, held by a test against an Envoy's.
const newest = "2"

// extensionList is what an Envoy 1.40.0 says it was built with: category, name and types, a line each.
//
//go:embed extensions.txt
var extensionList string

// extensions are nearly all that an Envoy's first request of a stream consists of, 61 kB. All clients share them.
var extensions = sync.OnceValue(func() (out []*corev3.Extension) {
	for line := range strings.Lines(extensionList) {
		words := strings.Fields(line)
		out = append(out, &corev3.Extension{Category: words[0], Name: words[1], TypeUrls: words[2:]})
	}
	return out
})

// node is what a client says of itself.
func (c Config) node() *corev3.Node {
	return &corev3.Node{
		Id: c.ID, Cluster: c.Fleet,
		UserAgentName:        "envoy",
		UserAgentVersionType: &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{Version: Version}},
		Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			"crossfade.bootstrap":          structpb.NewStringValue(cmp.Or(c.Bootstrap, newest)),
			"crossfade.listen_address":     structpb.NewStringValue(c.ListenAddress),
			"crossfade.experiment_address": structpb.NewStringValue(""),
		}},
		Extensions: extensions(),
	}
}
