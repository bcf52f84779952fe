package control

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/cow"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

const (
	kindService = "Service"
	kindFleet   = "Fleet"
	kindMirror  = "Mirror"
	kindRollout = "Rollout"
)

// intent is what is live. What its maps hold is never changed, only replaced, so that a clone is a snapshot: one for each change, whatever the
// number of services.
type intent struct {
	services   cow.Map[string, *service]
	fleets     map[string]*fleetSettings
	mirrors    map[string]*mirror
	rollouts   map[string]*plan
	structures map[string]*translate.Structure // of fleets, as they were built last
	revision   int64
	stamp      string // of the last change of levers
	rollbacks  int    // in this process

	comparators string // see [Config]; it does not change
}

// service is a live service.
type service struct {
	doc        *crossfadev1.Service
	compiled   *policy.Service
	record     *crossfadev1.Revision // the last one
	rolledBack bool                  // in all fleets, and nobody has deliberately moved traffic since
	rollbacks  int                   // the number of its last one in this process: a change that is being written meanwhile is published rolled back
	cause, by  string                // what last set its split, see causes.go, and who that was
	rolls      map[string]rolls      // of those in one fleet, by its name, and of those in all, under ""; replaced, never changed
}

type fleetSettings struct {
	doc      *crossfadev1.Fleet
	compiled *policy.Fleet
	record   *crossfadev1.Revision
}

// clone returns a snapshot.
func (in *intent) clone() *intent {
	out := *in
	out.fleets, out.structures, out.mirrors, out.rollouts = maps.Clone(in.fleets), maps.Clone(in.structures), maps.Clone(in.mirrors), maps.Clone(in.rollouts)
	return &out
}

func newIntent(comparators string) intent {
	return intent{comparators: comparators, fleets: map[string]*fleetSettings{}, structures: map[string]*translate.Structure{}, mirrors: map[string]*mirror{}, rollouts: map[string]*plan{}}
}

// load takes an object from the store.
func (in *intent) load(o store.Object) error {
	switch {
	case o.Document.GetService() != nil:
		compiled, errs := policy.CompileService(o.Document.GetService())
		if len(errs) > 0 {
			return unaccepted("service", o.Key.Name, errs)
		}
		in.services.Set(o.Key.Name, &service{doc: o.Document.GetService(), compiled: compiled, record: o.Record, rolledBack: o.Record.GetRolledBack(), cause: cmp.Or(o.Record.GetCause(), fmt.Sprintf("%srevision-%d", causeChange, o.Revision)), by: o.Record.GetWho()})
	case o.Document.GetFleet() != nil:
		compiled, errs := policy.CompileFleet(o.Document.GetFleet())
		if len(errs) > 0 {
			return unaccepted("fleet", o.Key.Name, errs)
		}
		in.fleets[o.Key.Name] = &fleetSettings{doc: o.Document.GetFleet(), compiled: compiled, record: o.Record}
	case o.Document.GetMirror() != nil:
		compiled, errs := policy.CompileMirror(o.Document.GetMirror())
		m := &mirror{doc: o.Document.GetMirror(), compiled: compiled, record: o.Record}
		if len(errs) > 0 { // no experiment keeps a control plane from starting
			m.compiled, m.unread = &policy.Mirror{Name: o.Key.Name, Service: m.doc.GetService(), Mode: policy.Dark}, errs
		}
		in.mirrors[o.Key.Name] = m
	case o.Document.GetRollout() != nil:
		in.setRollout(o.Key.Name, o.Document.GetRollout(), o.Record)
	}
	return nil
}

// unaccepted says of each error whose it is: only the errors themselves reach whoever starts the server.
func unaccepted(kind, name string, errs policy.Errors) error {
	out := make(policy.Errors, len(errs))
	for i, e := range errs {
		own := *e
		own.Message = fmt.Sprintf("the store holds a %s %q that this version does not accept: %s", kind, name, e.Message)
		out[i] = &own
	}
	return out
}

// fleetNames are the fleets that a document names.
func (in *intent) fleetNames() map[string]bool {
	out := map[string]bool{}
	for name := range in.fleets {
		out[name] = true
	}
	for _, s := range in.services.All() {
		for _, fleet := range s.compiled.Fleets {
			out[fleet] = true
		}
	}
	return out
}

// of returns the services of a fleet, by name; of every fleet if it is empty.
func (in *intent) of(fleet string) []*service {
	var out []*service
	for _, name := range slices.Sorted(in.services.Keys()) {
		if s := in.services.At(name); fleet == "" || slices.Contains(s.compiled.Fleets, fleet) {
			out = append(out, s)
		}
	}
	return out
}

func (in *intent) compiledOf(fleet string) (*policy.Fleet, []*policy.Service) {
	settings := policy.DefaultFleetSettings(fleet)
	if f, ok := in.fleets[fleet]; ok {
		settings = f.compiled
	}
	var out []*policy.Service
	for _, s := range in.of(fleet) {
		out = append(out, s.compiled)
	}
	return settings, out
}

func (in *intent) levers(fleet string) map[string][]translate.Lever {
	out := map[string][]translate.Lever{}
	for _, s := range in.of(fleet) {
		out[s.compiled.Name] = translate.Levers(s.compiled.In(fleet))
	}
	return out
}

// sameEndpoints says whether the origins of two services, of the same structure, have the same addresses, or find them in the same place.
func sameEndpoints(a, b *policy.Service) bool {
	return slices.EqualFunc(a.Origins, b.Origins, func(x, y policy.Origin) bool { return x.Source() == y.Source() && slices.Equal(x.Static, y.Static) })
}

// document returns a live object, nil if there is none.
func (in *intent) document(key store.ObjectKey) *crossfadev1.Document {
	if s, ok := in.services.Get(key.Name); ok && key.Kind == kindService {
		return serviceDocument(s.doc)
	}
	if f, ok := in.fleets[key.Name]; ok && key.Kind == kindFleet {
		return &crossfadev1.Document{Object: &crossfadev1.Document_Fleet{Fleet: f.doc}}
	}
	if m, ok := in.mirrors[key.Name]; ok && key.Kind == kindMirror {
		return mirrorDocument(m.doc)
	}
	if p, ok := in.rollouts[key.Name]; ok && key.Kind == kindRollout {
		return rolloutDocument(p.doc)
	}
	return nil
}

// record returns the last revision of a live object, nil if there is none.
func (in *intent) record(key store.ObjectKey) *crossfadev1.Revision {
	if s, ok := in.services.Get(key.Name); ok && key.Kind == kindService {
		return s.record
	}
	if f, ok := in.fleets[key.Name]; ok && key.Kind == kindFleet {
		return f.record
	}
	if m, ok := in.mirrors[key.Name]; ok && key.Kind == kindMirror {
		return m.record
	}
	if p, ok := in.rollouts[key.Name]; ok && key.Kind == kindRollout {
		return p.record
	}
	return nil
}

func serviceDocument(s *crossfadev1.Service) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: s}}
}

// sameStructure says whether two documents of a service differ at most in levers (weights and pin switches), in where endpoints are, and in
// what they can take. It is right to say no.
func sameStructure(a, b *crossfadev1.Service) bool {
	return a != nil && b != nil && proto.Equal(structureOf(a), structureOf(b))
}

func structureOf(s *crossfadev1.Service) *crossfadev1.Service {
	out := proto.CloneOf(s)
	out.RolledBackIn = nil
	for _, o := range out.GetOrigins() {
		if o.GetDns() == nil { // whoever finds the endpoints, the proxies get them in the same way
			o.Discovery = nil
		}
		o.Capacity = nil
	}
	for _, p := range out.GetPins() {
		p.Enabled = nil
	}
	if out.GetSplit() != nil {
		out.Split.Weights = nil
		if out.Split.Sticky == nil {
			out.Split = nil
		}
	}
	return out
}
