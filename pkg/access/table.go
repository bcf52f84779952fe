package access

import (
	"cmp"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// row says what a method needs. Find lists what a request concerns; nil: nothing of a single service. Also lists what it concerns beside that; it is
// asked only for who has the right to the former, and not to every service.
type row struct {
	right Right
	find  func(request any, l Lookup) []target
	also  func(request any, l Lookup) []target
}

// target is something that a request concerns, and the right on it that is needed; 0: that of the method.
type target struct {
	service string // empty: see every
	every   bool   // every service; else, without a service, some: the answer shows no others
	right   Right
	words   string // as the caller calls it
	at      int    // index of the document, from 0
}

// Lookup says of which service a mirror or a rollout is, empty if there is none of this name, and what stands beside a service.
type Lookup interface {
	ServiceOfMirror(name string) string
	ServiceOfRollout(name string) string
	// TakesFrom says which other services would lose requests to a service if it became like this, and lose none to it as it is.
	TakesFrom(*crossfadev1.Service) []string
}

const (
	api        = "/crossfade.v1.CrossfadeService/"
	admin      = "/crossfade.v1.AdminService/"
	comparator = "/crossfade.v1.ComparatorService/"
)

// table has a row for each method of each service that is served; what has none is refused, whoever asks.
var table = map[string]row{
	api + "Apply":           {right: Change, find: documents(Administer), also: losers},
	api + "Diff":            {right: Read, find: documents(Read)},
	api + "Get":             {right: Read, find: object(Read)},
	api + "List":            {right: Read},
	api + "Delete":          {right: Change, find: object(Administer)},
	api + "SetSplit":        {right: Change, find: byService},
	api + "PutPin":          {right: Change, find: byService},
	api + "DeletePin":       {right: Change, find: byService},
	api + "SetPrimary":      {right: Change, find: byService},
	api + "Rollback":        {right: Change, find: rollback},
	api + "Undo":            {right: Change, find: byService},
	api + "ListProxies":     {right: Read},
	api + "ListHistory":     {right: Read, find: someService},
	api + "Watch":           {right: Read, find: someService},
	api + "ExplainRoute":    {right: Read, find: documents(Read)},
	api + "ListEndpoints":   {right: Read, find: someService},
	api + "WatchEndpoints":  {right: Read, find: someService},
	api + "AcceptEndpoints": {right: Change, find: byService},
	api + "StartMirror":     {right: Change, find: startMirror},
	api + "StopMirror":      {right: Change, find: mirrorByName},
	api + "ListMirrors":     {right: Read, find: someService},
	api + "GetMirrorReport": {right: Read, find: mirrorByName},
	api + "WatchMirror":     {right: Read, find: mirrorByName},
	api + "StartRollout":    {right: Change, find: startRollout},
	api + "ActOnRollout":    {right: Change, find: actOnRollout},
	api + "ListRollouts":    {right: Read, find: someService},
	api + "GetRollout":      {right: Read, find: rolloutByName},
	api + "WatchRollout":    {right: Read, find: rolloutByName},
	api + "RunCanary":       {right: Change, find: startRollout},
	api + "GetServerInfo":   {right: Read},
	api + "CanI":            {right: Known},

	admin + "*": {right: Administer, find: fleetwide},

	comparator + "Work": {right: Known}, // it asks for the token of comparators

	"/grpc.health.v1.Health/Check":                                   {right: Known},
	"/grpc.health.v1.Health/List":                                    {right: Known},
	"/grpc.health.v1.Health/Watch":                                   {right: Known},
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      {right: Read},
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {right: Read},
}

// rowOf returns the row of a method by its full name; without one, the right is Nothing.
func rowOf(method string) row {
	if r, ok := table[method]; ok {
		return r
	}
	return table[method[:strings.LastIndexByte(method, '/')+1]+"*"]
}

// Listed says whether a method, by its full name, has a row.
func Listed(method string) bool { return rowOf(method).right != Nothing }

func fleetwide(any, Lookup) []target { return []target{{every: true}} }

type hasService interface{ GetService() string }

// byService is for requests that name one service; without a name, nobody may but who may all.
func byService(request any, _ Lookup) []target {
	if r, ok := request.(hasService); ok && r.GetService() != "" {
		return one(r.GetService())
	}
	return fleetwide(nil, nil)
}

// someService is for lists: those of a service, or of all that the caller may see.
func someService(request any, _ Lookup) []target {
	if r, ok := request.(hasService); ok && r.GetService() != "" {
		return one(r.GetService())
	}
	return nil
}

func one(service string) []target { return []target{{service: service, words: "service " + service}} }

func rollback(request any, l Lookup) []target {
	if r, ok := request.(*crossfadev1.RollbackRequest); !ok || r.GetAll() {
		return fleetwide(nil, nil)
	}
	return byService(request, l)
}

// named is a mirror or rollout by its name. One that is not there is nobody's: only who may all is told so.
func named(kind, name, service string) target {
	return target{service: service, every: service == "", words: kind + " " + name}
}

type hasName interface{ GetName() string }

func mirrorByName(request any, l Lookup) []target {
	r, ok := request.(hasName)
	if !ok {
		return fleetwide(nil, nil)
	}
	return []target{named("mirror", r.GetName(), l.ServiceOfMirror(r.GetName()))}
}

func rolloutByName(request any, l Lookup) []target {
	r, ok := request.(hasName)
	if !ok {
		return fleetwide(nil, nil)
	}
	return []target{named("rollout", r.GetName(), l.ServiceOfRollout(r.GetName()))}
}

// replaced is a mirror or rollout that a document would take the place of, whosever it is.
func replaced(kind, name, service, now string) []target {
	out := one(service)
	if service == "" {
		out = fleetwide(nil, nil)
	}
	if now != "" && now != service {
		out = append(out, named(kind, name, now))
	}
	return out
}

func startMirror(request any, l Lookup) []target {
	r, ok := request.(*crossfadev1.StartMirrorRequest)
	if !ok || r.GetMirror() == nil {
		return mirrorByName(request, l)
	}
	out := ofMirror(r.GetMirror(), l)
	if r.GetName() != "" {
		out = append(out, mirrorByName(request, l)...)
	}
	return out
}

func ofMirror(m *crossfadev1.Mirror, l Lookup) []target {
	return replaced("mirror", m.GetName(), m.GetService(), l.ServiceOfMirror(m.GetName()))
}

func ofRollout(r *crossfadev1.Rollout, l Lookup) []target {
	return replaced("rollout", r.GetName(), r.GetService(), l.ServiceOfRollout(r.GetName()))
}

// startRollout is for a document, or for the name of a rollout that is over.
func startRollout(request any, l Lookup) []target {
	r, ok := request.(interface{ GetRollout() *crossfadev1.Rollout })
	if !ok || r.GetRollout() == nil {
		return rolloutByName(request, l)
	}
	out := ofRollout(r.GetRollout(), l)
	if n, ok := request.(hasName); ok && n.GetName() != "" {
		out = append(out, rolloutByName(request, l)...)
	}
	return out
}

func actOnRollout(request any, l Lookup) []target {
	out := rolloutByName(request, l)
	r, _ := request.(*crossfadev1.ActOnRolloutRequest)
	switch r.GetAction() {
	case "approve", "reject":
		out[0].right = Approve
	}
	return out
}

// object is what a Get or Delete names. The settings of a fleet need a right of their own.
func object(fleet Right) func(any, Lookup) []target {
	return func(request any, l Lookup) []target {
		r, ok := request.(interface {
			GetKind() string
			GetName() string
		})
		if !ok {
			return fleetwide(nil, nil)
		}
		switch r.GetKind() {
		case "service":
			if r.GetName() != "" {
				return one(r.GetName())
			}
		case "fleet":
			return ofFleet(r.GetName(), fleet)
		case "mirror":
			return mirrorByName(request, l)
		case "rollout":
			return rolloutByName(request, l)
		}
		return fleetwide(nil, nil)
	}
}

// ofFleet is the settings of a fleet, which are no service's: whoever reads some services may see them, and nobody but an admin of all change them.
func ofFleet(name string, right Right) []target {
	return []target{{every: right == Administer, right: right, words: "fleet " + cmp.Or(name, "default")}}
}

// losers are the services from which documents would take requests. The words do not name them: the caller may not see them.
func losers(request any, l Lookup) (out []target) {
	r, ok := request.(hasDocuments)
	if !ok {
		return fleetwide(nil, nil)
	}
	for i, d := range r.GetDocuments() {
		s := d.GetService()
		if s == nil {
			continue
		}
		for _, name := range l.TakesFrom(s) {
			out = append(out, target{service: name, words: "hosts or paths that service " + s.GetName() + " would take from another service", at: i})
		}
	}
	return out
}

type hasDocuments interface {
	GetDocuments() []*crossfadev1.Document
}

// documents are those of a request, each for itself. A request without any concerns nothing.
func documents(fleet Right) func(any, Lookup) []target {
	return func(request any, l Lookup) []target {
		r, ok := request.(hasDocuments)
		if !ok {
			return fleetwide(nil, nil)
		}
		var out []target
		for i, d := range r.GetDocuments() {
			first := len(out)
			switch {
			case d.GetFleet() != nil:
				out = append(out, ofFleet(d.GetFleet().GetName(), fleet)...)
			case d.GetMirror() != nil:
				out = append(out, ofMirror(d.GetMirror(), l)...)
			case d.GetRollout() != nil:
				out = append(out, ofRollout(d.GetRollout(), l)...)
			case d.GetService().GetName() != "":
				out = append(out, one(d.GetService().GetName())...)
			default:
				out = append(out, target{every: true, words: "a document without a name"})
			}
			for j := range out[first:] {
				out[first+j].at = i
			}
		}
		return out
	}
}
