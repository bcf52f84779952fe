package access

import (
	"maps"
	"path"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// verb is a word for a method, with the request that it makes where that is not said by a service alone.
type verb struct {
	method  string // short
	request any
}

var verbs = map[string]verb{
	"apply": {method: "Apply"}, "diff": {method: "Diff"}, "get": {method: "Get"}, "list": {method: "List"}, "delete": {method: "Delete"},
	"split": {method: "SetSplit"}, "pin": {method: "PutPin"}, "unpin": {method: "DeletePin"}, "set-primary": {method: "SetPrimary"},
	"rollback": {method: "Rollback"}, "undo": {method: "Undo"}, "fleet": {method: "ListProxies"}, "history": {method: "ListHistory"}, "watch": {method: "Watch"},
	"route": {method: "ExplainRoute"}, "endpoints": {method: "ListEndpoints"}, "accept": {method: "AcceptEndpoints"},
	"mirror": {method: "StartMirror"}, "report": {method: "GetMirrorReport"}, "rollout": {method: "StartRollout"}, "canary": {method: "RunCanary"},
	"approve": act("approve"), "reject": act("reject"), "pause": act("pause"), "resume": act("resume"), "abort": act("abort"), "promote": act("promote"),
	"apply-fleet":  {"Apply", &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{{Object: &crossfadev1.Document_Fleet{Fleet: &crossfadev1.Fleet{}}}}}},
	"delete-fleet": {"Delete", &crossfadev1.DeleteRequest{Kind: "fleet"}},
}

func act(action string) verb {
	return verb{"ActOnRollout", &crossfadev1.ActOnRolloutRequest{Action: action}}
}

// Verbs are the words that [CanI] knows: methods, and words for them, in order.
func Verbs() []string {
	out := slices.Collect(maps.Keys(verbs))
	for full := range table {
		if strings.HasPrefix(full, api) {
			out = append(out, path.Base(full))
		}
	}
	out = append(out, adminMethods()...)
	slices.Sort(out)
	return out
}

// adminMethods are the short names of what admins may do to the server.
func adminMethods() []string {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(path.Dir(admin + "x")[1:]))
	s, ok := d.(protoreflect.ServiceDescriptor)
	if err != nil || !ok {
		return nil
	}
	var out []string
	for i := range s.Methods().Len() {
		out = append(out, string(s.Methods().Get(i).Name()))
	}
	return out
}

// of is a lookup in which everything is of one service.
type of string

func (s of) ServiceOfMirror(string) string  { return string(s) }
func (s of) ServiceOfRollout(string) string { return string(s) }

func (of) TakesFrom(*crossfadev1.Service) []string { return nil }

// CanI says whether a caller may do what a word of [Verbs] means to a service; to every one, or to what is no service's, if it is empty. Known
// is whether there is such a word, in any case; method is the short name that it means.
func CanI(g Grants, word, service string) (method string, refused *Refusal, known bool) {
	full, v := fullName(word)
	if full == "" {
		return "", nil, false
	}
	row := rowOf(full)
	right, every := row.right, row.find != nil
	if v.request != nil {
		t := row.find(v.request, of(service))[0]
		if t.right != Nothing {
			right = t.right
		}
		if right == Administer {
			service = ""
		}
	}
	if right == Read && service == "" || strings.HasPrefix(full, admin) {
		every = right == Administer // lists show what may be seen
	}
	t := target{every: every}
	if service != "" && right != Administer {
		t = one(service)[0]
	}
	if !t.had(g, right) {
		refused = &Refusal{Who: g.Name, Method: v.method, Service: t.service, What: t.words, Role: right.Role(), every: t.every}
	}
	return v.method, refused, true
}

// fullName finds the method that a word means, "" if none.
func fullName(word string) (string, verb) {
	for w, v := range verbs {
		if strings.EqualFold(w, word) {
			return api + v.method, v
		}
	}
	for full := range table {
		if short := path.Base(full); strings.HasPrefix(full, api) && strings.EqualFold(short, word) {
			return full, verb{method: short}
		}
	}
	for _, short := range adminMethods() {
		if strings.EqualFold(short, word) {
			return admin + short, verb{method: short}
		}
	}
	return "", verb{}
}
