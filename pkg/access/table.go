package access

import (
	"cmp"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// row says what a method needs. Find lists what a request concerns; nil: nothing of a single service.
type row struct {
	right Right
	find  func(request any, l Lookup) []target
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
	api + "Apply":           {Change, documents(Administer)},
	api + "Diff":            {Read, documents(Read)},
	api + "Get":             {Read, object(Read)},
	api + "List":            {Read, nil},
	api + "Delete":          {Change, object(Administer)},
	api + "SetSplit":        {Change, byService},
	api + "PutPin":          {Change, byService},
	api + "DeletePin":       {Change, byService},
	api + "SetPrimary":      {Change, byService},
	api + "Rollback":        {Change, rollback},
	api + "Undo":            {Change, byService},
	api + "ListProxies":     {Read, nil},
	api + "ListHistory":     {Read, someService},
	api + "Watch":           {Read, someService},
	api + "ExplainRoute":    {Read, documents(Read)},
	api + "ListEndpoints":   {Read, someService},
	api + "WatchEndpoints":  {Read, someService},
	api + "AcceptEndpoints": {Change, byService},
	api + "StartMirror":     {Change, startMirror},
	api + "StopMirror":      {Change, mirrorByName},
	api + "ListMirrors":     {Read, someService},
	api + "GetMirrorReport": {Read, mirrorByName},
	api + "WatchMirror":     {Read, mirrorByName},
	api + "StartRollout":    {Change, startRollout},
	api + "ActOnRollout":    {Change, actOnRollout},
	api + "ListRollouts":    {Read, someService},
	api + "GetRollout":      {Read, rolloutByName},
	api + "WatchRollout":    {Read, rolloutByName},
	api + "RunCanary":       {Change, startRollout},
	api + "GetServerInfo":   {Read, nil},
	api + "CanI":            {Known, nil},

	admin + "*": {Administer, fleetwide},

	comparator + "Work": {Known, nil}, // it asks for the token of comparators

	"/grpc.health.v1.Health/Check":                                   {Known, nil},
	"/grpc.health.v1.Health/List":                                    {Known, nil},
	"/grpc.health.v1.Health/Watch":                                   {Known, nil},
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      {Read, nil},
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {Read, nil},
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

// losers are the services from which a document would take requests. The words do not name them: the caller may not see them.
func losers(s *crossfadev1.Service, l Lookup) (out []target) {
	for _, name := range l.TakesFrom(s) {
		out = append(out, target{service: name, words: "hosts or paths that service " + s.GetName() + " would take from another service"})
	}
	return out
}

// documents are those of a request, each for itself. A request without any concerns nothing.
func documents(fleet Right) func(any, Lookup) []target {
	return func(request any, l Lookup) []target {
		r, ok := request.(interface {
			GetDocuments() []*crossfadev1.Document
		})
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
				if fleet == Administer { // it is to be changed
					out = append(out, losers(d.GetService(), l)...)
				}
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
