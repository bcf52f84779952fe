package xds

import (
	"cmp"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// Bounds of what one proxy may say. An Envoy stays far below them; who does not is no Envoy.
const (
	maxNames           = 100_000 // resources of one kind that a stream asks for, or says that it has
	maxResourceLength  = 512     // of the name or version of such a resource, in bytes, but for these:
	maxOnTopLength     = 1 << 20 // of the version of a layer, which may list every service, see [onTop]
	maxAddressLength   = 256     // of an address in its node metadata, in bytes
	maxBootstrapLength = 16      // of the version of its bootstrap there; a longer one is none
	maxWords           = 4 << 10 // of a refusal, in bytes, that are kept
	maxLost            = MaxMemories
	maxLostUnnamed     = 100 // of a fleet that no document names
)

// bound refuses a request that no Envoy sends, before anything of it is kept.
func (s *session) bound(req *discovery.DeltaDiscoveryRequest) error {
	k, served := kindByURL[req.GetTypeUrl()]
	have := 0
	switch {
	case served:
		s.mu.Lock()
		have = max(len(s.kinds[k].names), len(s.kinds[k].fresh))
		s.mu.Unlock()
	case req.GetTypeUrl() != resource.SecretType:
		return nil // nothing of it is kept
	}
	if n := max(have+len(req.GetResourceNamesSubscribe()), len(req.GetResourceNamesUnsubscribe()), len(req.GetInitialResourceVersions())); n > maxNames {
		return status.Errorf(codes.ResourceExhausted, "%d names of resources of one type; at most %d are taken from one proxy", n, maxNames)
	}
	maxName, maxVersion := maxResourceLength, maxResourceLength
	switch req.GetTypeUrl() {
	case resource.SecretType:
		maxName = translate.MaxSecretName
	case resource.RuntimeType:
		maxVersion = maxOnTopLength
	}
	for _, name := range req.GetResourceNamesSubscribe() {
		if err := tooLong("name", name, maxName); err != nil {
			return err
		}
	}
	for name, version := range req.GetInitialResourceVersions() {
		if err := cmp.Or(tooLong("name", name, maxName), tooLong("version", version, maxVersion)); err != nil {
			return err
		}
	}
	return nil
}

func tooLong(what, s string, most int) error {
	if len(s) <= most {
		return nil
	}
	return status.Errorf(codes.InvalidArgument, "the %s of a resource has %d bytes; at most %d are taken", what, len(s), most)
}

// makeRoom forgets the proxy that was lost first, where there are too many: one that has another id after each restart would fill the memory
// in the day for which it is remembered. f.mu is held.
func (f *Fleet) makeRoom() {
	most := maxLostUnnamed
	if f.named() {
		most = maxLost
	}
	if len(f.proxies) <= most {
		return
	}
	lost, first := 0, (*proxy)(nil)
	for _, p := range f.proxies {
		if len(p.sessions) > 0 {
			continue
		}
		lost++
		if first == nil || cmp.Or(p.lastSeen.Compare(first.lastSeen), strings.Compare(p.id, first.id)) < 0 {
			first = p
		}
	}
	if lost > most {
		delete(f.proxies, first.id)
	}
}
