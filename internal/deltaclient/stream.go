package deltaclient

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unique"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// DialOptions are those of a connection like an Envoy's, with little memory. Credentials are left to the caller.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithReadBufferSize(4 << 10), grpc.WithWriteBufferSize(4 << 10),
		grpc.WithInitialWindowSize(16 << 20), grpc.WithInitialConnWindowSize(24 << 20), // Envoy's defaults
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1 << 30)),
		grpc.WithDisableServiceConfig(),
	}
}

// Run opens a stream and follows it until it ends or ctx does; the error says why. Called again, it comes back as an Envoy does that
// lost its control plane: with the versions of all that it holds.
func (c *Client) Run(ctx context.Context, conn grpc.ClientConnInterface) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName, grpc.ForceCodecV2(codec{}))
	if err != nil {
		return err
	}
	s := &adsStream{Client: c, grpc: stream, node: c.node}
	if err := s.start(); err != nil {
		return err
	}
	r := &wireResponse{}
	defer r.free()
	for {
		if err := stream.RecvMsg(r); err != nil {
			return err
		}
		if err := s.take(r); err != nil {
			return err
		}
		r.free()
		c.changed()
	}
}

// adsStream is one stream of a client. Only its own goroutine uses it.
type adsStream struct {
	*Client
	grpc grpc.ClientStream
	node *corev3.Node // sent once
	vhds bool         // a route configuration wants virtual hosts
}

func (s *adsStream) send(k kind, r *discoveryv3.DeltaDiscoveryRequest) error {
	r.TypeUrl = typeOf[k]
	r.Node, s.node = s.node, nil
	return s.grpc.SendMsg(r)
}

// start sends the first requests.
func (s *adsStream) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	resumed := s.stats.Held > 0
	for k := range s.kinds {
		state := &s.kinds[k]
		state.asked, state.answered = false, false
		if !resumed || state.names == nil {
			state.names = map[unique.Handle[string]]bool{}
		}
	}
	if resumed {
		return s.resume()
	}
	s.kinds[runtimes].asked = true
	for _, layer := range s.cfg.Layers {
		s.kinds[runtimes].names[unique.Make(layer)] = false
		if err := s.send(runtimes, &discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{layer}}); err != nil {
			return err
		}
	}
	return s.next()
}

// resume asks for every type at once and says what is held.
func (s *adsStream) resume() error {
	for k := range numKinds {
		state := &s.kinds[k]
		if k.named() && len(state.names) == 0 || k == virtualHosts && len(s.kinds[routes].names) == 0 {
			continue
		}
		r := &discoveryv3.DeltaDiscoveryRequest{InitialResourceVersions: make(map[string]string, len(state.held))}
		for name, h := range state.held {
			r.InitialResourceVersions[name.Value()] = h.version.Value()
		}
		for name, version := range state.said {
			if r.InitialResourceVersions[name.Value()] = version; version == "" {
				delete(r.InitialResourceVersions, name.Value())
			}
		}
		if k.named() {
			r.ResourceNamesSubscribe = values(state.names)
		}
		state.asked, state.answered = true, true
		if err := s.send(k, r); err != nil {
			return err
		}
	}
	return nil
}

// take takes a response: asks for what follows from it, then answers.
func (s *adsStream) take(r *wireResponse) error {
	k, known := kindOf(r.typeURL)
	if !known {
		return nil
	}
	verdict := s.judge(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Responses++
	s.stats.Bytes += int64(r.size)
	if verdict.Silent {
		return nil
	}
	answer := &discoveryv3.DeltaDiscoveryRequest{ResponseNonce: string(r.nonce)}
	if verdict.Refuse != "" {
		s.stats.Refused++
		answer.ErrorDetail = &statuspb.Status{Code: int32(codes.Internal), Message: verdict.Refuse}
		if verdict.But != nil {
			if err := s.applyPart(k, r, verdict.But); err != nil {
				return err
			}
		}
	} else if err := s.apply(k, r); err != nil {
		return err
	}
	s.answered(k, r)
	if err := s.next(); err != nil {
		return err
	}
	return s.send(k, answer)
}

func (s *adsStream) judge(r *wireResponse) Verdict {
	if s.cfg.Answer == nil {
		return Verdict{}
	}
	ask := Response{Type: string(r.typeURL)}
	for _, resource := range r.resources {
		ask.Upserts = append(ask.Upserts, string(resource.name))
	}
	for _, name := range r.removed {
		ask.Removals = append(ask.Removals, string(name))
	}
	return s.cfg.Answer(ask)
}

// answered notes which names have had their answer, refused or not.
func (s *adsStream) answered(k kind, r *wireResponse) {
	state := &s.kinds[k]
	state.answered = true
	if !k.named() {
		return
	}
	note := func(name []byte) {
		if h := unique.Make(string(name)); !state.names[h] && has(state.names, h) {
			state.names[h] = true
		}
	}
	for _, resource := range r.resources {
		note(resource.name)
	}
	for _, name := range r.removed {
		note(name)
	}
}

// applyPart takes over a part of what a response brings, and goes on saying what was held before.
func (s *adsStream) applyPart(k kind, r *wireResponse, taken func(name string) bool) error {
	state, part := &s.kinds[k], *r
	part.resources = slices.DeleteFunc(slices.Clone(r.resources), func(w wireResource) bool { return !taken(string(w.name)) })
	part.removed = slices.DeleteFunc(slices.Clone(r.removed), func(name []byte) bool { return !taken(string(name)) })
	before := map[unique.Handle[string]]string{}
	note := func(text []byte) {
		name := unique.Make(string(text))
		was, said := state.said[name]
		if h, held := state.held[name]; held && !said {
			was = h.version.Value()
		}
		before[name] = was
	}
	for _, resource := range part.resources {
		note(resource.name)
	}
	for _, name := range part.removed {
		note(name)
	}
	err := s.apply(k, &part)
	if state.said == nil {
		state.said = map[unique.Handle[string]]string{}
	}
	maps.Copy(state.said, before)
	return err
}

// apply takes over what a response brings.
func (s *adsStream) apply(k kind, r *wireResponse) error {
	state := &s.kinds[k]
	for _, resource := range r.resources {
		name := unique.Make(string(resource.name))
		delete(state.said, name)
		if k.named() && !has(state.names, name) {
			continue // an Envoy passes over what it did not ask for
		}
		sum := Sum(typeOf[k], name.Value(), resource.body)
		s.drop(state, name)
		state.held[name] = held{version: unique.Make(string(resource.version)), sum: sum}
		s.stats.Digest ^= sum
		s.stats.Held++
		s.stats.Upserts++
		s.discover(k, sum, resource.body)
	}
	for _, text := range r.removed {
		name := unique.Make(string(text))
		delete(state.said, name)
		s.drop(state, name)
		s.stats.Removals++
	}
	switch k {
	case clusters:
		return s.follow(endpoints, s.kinds[clusters].held)
	case listeners:
		return s.follow(routes, s.wanted())
	}
	return nil
}

func (s *adsStream) drop(state *kindState, name unique.Handle[string]) {
	if old, ok := state.held[name]; ok {
		delete(state.held, name)
		s.stats.Digest ^= old.sum
		s.stats.Held--
	}
}

// discover notes what a resource refers to.
func (s *adsStream) discover(k kind, sum uint64, body []byte) {
	switch k {
	case listeners:
		shared.routesOf(sum, body)
	case routes:
		s.vhds = s.vhds || shared.wantsVirtualHosts(sum, body)
	}
}

// wanted are the route configurations that the listeners held refer to.
func (s *adsStream) wanted() map[unique.Handle[string]]held {
	out := map[unique.Handle[string]]held{}
	for _, l := range s.kinds[listeners].held {
		for _, name := range shared.routesOf(l.sum, nil) {
			out[unique.Make(name)] = held{}
		}
	}
	return out
}

// follow asks for the names that are wanted and lets go of the others.
func (s *adsStream) follow(k kind, wanted map[unique.Handle[string]]held) error {
	state := &s.kinds[k]
	r := &discoveryv3.DeltaDiscoveryRequest{}
	for name := range wanted {
		if !has(state.names, name) {
			state.names[name] = false
			r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, name.Value())
		}
	}
	for name := range state.names {
		if !has(wanted, name) {
			delete(state.names, name)
			s.drop(state, name)
			r.ResourceNamesUnsubscribe = append(r.ResourceNamesUnsubscribe, name.Value())
		}
	}
	if len(r.ResourceNamesSubscribe)+len(r.ResourceNamesUnsubscribe) == 0 {
		return nil
	}
	slices.Sort(r.ResourceNamesSubscribe)
	slices.Sort(r.ResourceNamesUnsubscribe)
	state.asked = true
	return s.send(k, r)
}

// next asks for each wildcard type when it is due.
func (s *adsStream) next() error {
	for _, due := range []struct {
		k   kind
		now func() bool
	}{
		{clusters, func() bool { return s.all(runtimes) }},
		{listeners, func() bool { return s.kinds[clusters].answered && s.all(endpoints) }},
		{virtualHosts, func() bool { return s.vhds }},
	} {
		if state := &s.kinds[due.k]; !state.asked && due.now() {
			state.asked = true
			if err := s.send(due.k, &discoveryv3.DeltaDiscoveryRequest{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// all says whether each name asked for has had an answer.
func (s *adsStream) all(k kind) bool {
	for _, answered := range s.kinds[k].names {
		if !answered {
			return false
		}
	}
	return true
}

func has[K comparable, V any](m map[K]V, key K) bool {
	_, ok := m[key]
	return ok
}

func values[V any](m map[unique.Handle[string]]V) []string {
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name.Value())
	}
	slices.SortFunc(out, strings.Compare)
	return out
}
