package access

import (
	"fmt"
	"path"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// CodeDenied is the code of every refusal.
const CodeDenied = "access_denied"

// Refusal is why a call is refused.
type Refusal struct {
	Who     string // verified name; empty: nobody showed one
	Method  string // short, for example "Rollback"
	Service string // that it concerns; empty: none, every one, or one that the caller did not name
	What    string // it concerns, as the caller calls it: "service orders", "mirror m1"; empty as in "every service"
	Role    string // that would do; empty: none would
	Why     string // it shows none, where it showed a certificate
	At      int    // index of the document that it concerns, from 0
	every   bool
}

// Decide says whether a caller may make a call: nil, or why not. Method is the full name of a method, request its request.
func Decide(g Grants, method string, request any, l Lookup) *Refusal {
	r := rowOf(method)
	short := path.Base(method)
	if r.right == Nothing {
		return &Refusal{Who: g.Name, Method: short}
	}
	var targets []target
	if r.find != nil {
		targets = r.find(request, l)
	}
	if len(targets) == 0 {
		targets = []target{{}}
	}
	refused := refusal(g, r.right, short, targets)
	if refused == nil && r.also != nil && !g.MayAll(r.right) {
		refused = refusal(g, r.right, short, r.also(request, l))
	}
	return refused
}

// refusal is why a caller may not have one of the targets, nil if it may have all.
func refusal(g Grants, of Right, method string, targets []target) *Refusal {
	for _, t := range targets {
		right := of
		if t.right != Nothing {
			right = t.right
		}
		if !t.had(g, right) {
			return &Refusal{Who: g.Name, Method: method, Service: t.service, What: t.words, Role: right.Role(), At: t.at, every: t.every && t.words == ""}
		}
	}
	return nil
}

func (t target) had(g Grants, right Right) bool {
	switch {
	case right == Known:
		return g.Name != ""
	case t.service != "":
		return g.May(right, t.service)
	case t.every:
		return g.MayAll(right)
	}
	return g.MaySome(right)
}

// Err is the refusal for people and programs.
func (r *Refusal) Err() *policy.Error {
	e := &policy.Error{Kind: policy.Denied, Code: CodeDenied, Value: r.Who, Document: r.At}
	switch {
	case r.Why != "":
		e.Message, e.Next = r.Why, "have a certificate made that names whom it is for"
	case r.Who == "":
		e.Message, e.Next = "no verified certificate says who calls", "give shadowctl a certificate: --tls-cert, --tls-key"
	case r.Role == "":
		e.Message, e.Next = fmt.Sprintf("may not %s: the server has no rule for this method", r.Method), "please report it"
	default:
		e.Message = fmt.Sprintf("may not %s%s: that needs role %s%s", r.Method, r.on(), r.roles(), r.scope())
		e.Next = "ask who runs the server to name you in the section roles of its settings; `shadowctl auth whoami` shows what you have"
	}
	return e
}

func (r *Refusal) on() string {
	switch {
	case r.every && r.Role != Admin:
		return " on every service"
	case r.What != "":
		return " on " + r.What
	}
	return ""
}

func (r *Refusal) roles() string {
	switch r.Role {
	case Admin:
		return Admin
	case Viewer:
		return Viewer + ", or any other"
	}
	return strings.Join([]string{r.Role, Admin}, " or ")
}

func (r *Refusal) scope() string {
	switch {
	case r.every, r.Role == Admin:
		return ", for all services"
	case strings.HasPrefix(r.What, "service "):
		return " for it"
	case r.What != "":
		return " for its service"
	}
	return ""
}

// DecideWithout is [Decide] for what is no method of the API and of no single service: what administers needs the right to all services, what reads to some.
func DecideWithout(g Grants, what string, right Right) *Refusal {
	t := target{every: right != Read}
	if t.had(g, right) {
		return nil
	}
	return &Refusal{Who: g.Name, Method: what, Role: right.Role(), every: t.every}
}
