package xds

import (
	"slices"
	"strings"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// secrets is what a session knows of secrets. They are no kind like the others: a secret's name says all that is in it, see [translate.Secret], so
// whatever is asked for is answered at once, and never changes. Nothing secret travels: secrets name files on the proxy's machine.
type secrets struct {
	due   []string // asked for and not answered, sorted
	onWay []string // answered and not acknowledged
	nonce string   // of that answer
}

// maxSecrets bounds the secrets that one stream may wait for: each is a name of some hundred bytes.
const maxSecrets = 10_000

// secretsName is how refusals call the type.
const secretsName = "Secret"

// askedForSecrets takes a request for secrets: a subscription, an acknowledgement or a refusal. It runs on the stream's goroutine alone. There is at
// most one response on its way.
func (s *session) askedForSecrets(req *discovery.DeltaDiscoveryRequest) {
	state := &s.secrets
	if len(state.onWay) > 0 && req.GetResponseNonce() == state.nonce {
		if d := req.GetErrorDetail(); d != nil {
			s.refusedSecrets(state.onWay, cleanMessage(d.GetMessage()))
		}
		state.onWay = nil
	}
	state.due = slices.Compact(slices.Sorted(slices.Values(append(state.due, req.GetResourceNamesSubscribe()...))))
	state.due = slices.Clip(state.due[:min(len(state.due), maxSecrets)])
	if len(state.onWay) > 0 || len(state.due) == 0 {
		return
	}
	d := &diff{}
	for _, name := range state.due {
		if r, ok := s.secret(name); ok {
			d.upserts = append(d.upserts, wrap(r))
		} else {
			d.removals = append(d.removals, name) // nobody waits for what will not come
		}
	}
	state.onWay, state.due = state.due, nil
	s.mu.Lock()
	state.nonce = s.nextNonce()
	s.mu.Unlock()
	s.out.put(&response{resource.SecretType, state.nonce, d})
}

// secret returns the secret of a name: what the name says, or what this proxy calls its own.
func (s *session) secret(name string) (translate.Resource, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.own.Secret(name); ok {
		return r, true
	}
	return translate.Secret(name)
}

// refusedSecrets notes that files went or changed between what was looked at before a cluster or a listener was taken, and now.
func (s *session) refusedSecrets(names []string, message string) {
	s.proxy.nacked(Nack{Type: secretsName, Resource: strings.Join(names, ", "), Message: message, Time: s.server.now()})
	if s.server.onNack != nil {
		s.server.onNack(s.fleet.name, secretsName)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread = true
}
