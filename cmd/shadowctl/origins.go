package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// States of an origin in which nobody need look at it.
const (
	originOK       = "ok"
	originResolved = "resolved"
)

// everyOrigin is the command that shows all of them.
const everyOrigin = "shadowctl endpoints list --summary"

// troubled tells whether somebody should look at an origin.
func troubled(o *crossfadev1.OriginStatus) bool {
	return o.GetState() != originOK && o.GetState() != originResolved
}

func originState(state string) cell {
	switch state {
	case originOK, originResolved:
		return cell{state, green}
	case "waiting", "held":
		return cell{state, yellow}
	default:
		return cell{dash(state), red}
	}
}

func endpointState(state string) cell {
	if state == "ready" {
		return cell{state, green}
	}
	return cell{dash(state), yellow}
}

// ageWords is how long ago something was heard, "-" for what does not age.
func ageWords(ms float64) string {
	if ms <= 0 {
		return "-"
	}
	return short(time.Duration(ms * float64(time.Millisecond)))
}

// countWords is "3 ready, 1 draining, 2 held", "none", or "-" where the proxies look the name up.
func countWords(o *crossfadev1.OriginStatus) string {
	if o.GetState() == originResolved {
		return "-"
	}
	var parts []string
	for _, p := range []struct {
		n    int32
		what string
	}{{o.GetReady(), "ready"}, {o.GetDraining(), "draining"}, {o.GetHeld(), "held"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// originStatusTable has a row for each origin.
func originStatusTable(origins []*crossfadev1.OriginStatus) *table {
	t := &table{head: []string{"SERVICE", "ORIGIN", "STATE", "READY", "DRAINING", "HELD", "AGE", "SOURCE"}}
	for _, o := range origins {
		n := func(n int32) string { return fmt.Sprint(n) }
		if o.GetState() == originResolved {
			n = func(int32) string { return "-" }
		}
		t.row(o.GetService(), o.GetOrigin(), originState(o.GetState()), n(o.GetReady()), n(o.GetDraining()), n(o.GetHeld()), ageWords(o.GetAgeMs()), o.GetSource())
	}
	return t
}

// sayTroubled writes what one should know of origins, a line each, and nothing of those that are well.
func (a *app) sayTroubled(origins []*crossfadev1.OriginStatus) {
	const most = 10
	said, left := 0, 0
	for _, o := range origins {
		switch {
		case !troubled(o) && (o.GetState() != originOK || o.GetDetail() == ""):
		case said == most:
			left++
		default:
			said++
			a.say("%s", a.originWords(o))
		}
	}
	if left > 0 {
		a.say("and %s more: %s", count(int64(left), "origin"), everyOrigin)
	}
}

// originWords is "orders/eks held for 3m: its source no longer names …".
func (a *app) originWords(o *crossfadev1.OriginStatus) string {
	state, name := originState(o.GetState()), oneLine(o.GetService()+"/"+o.GetOrigin())
	if o.GetState() == originOK {
		return name + because(o.GetDetail())
	}
	return name + " " + a.paint(state.text, state.color) + a.lasting(cmp.Or(o.GetFailingSince(), o.GetHeldSince())) + because(o.GetDetail())
}

// lasting is " for 3m", or nothing where it has just begun or no time is known.
func (a *app) lasting(since *timestamppb.Timestamp) string {
	if since == nil || a.now().Sub(since.AsTime()) < time.Second {
		return ""
	}
	return " for " + short(a.now().Sub(since.AsTime()))
}

// sayTroubledOf says in one line which origins of services need a look.
func (a *app) sayTroubledOf(services []*crossfadev1.ServiceStatus) {
	var names []string
	for _, s := range services {
		for _, o := range s.GetOrigins() {
			if troubled(o) {
				names = append(names, oneLine(o.GetService()+"/"+o.GetOrigin())+" "+o.GetState())
			}
		}
	}
	if len(names) > 0 {
		a.say("%s %s (%s)", a.paint("endpoints need a look:", yellow), few(names), everyOrigin)
	}
}

// withoutEndpoints returns the origins that have none, in the order of the list of endpoints.
func withoutEndpoints(origins []*crossfadev1.OriginStatus) []*crossfadev1.OriginStatus {
	var out []*crossfadev1.OriginStatus
	for _, o := range origins {
		if o.GetReady()+o.GetDraining()+o.GetHeld() == 0 {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(x, y *crossfadev1.OriginStatus) int {
		return cmp.Or(cmp.Compare(x.GetService(), y.GetService()), cmp.Compare(x.GetOrigin(), y.GetOrigin()))
	})
	return out
}

// comesBefore tells whether an origin comes before that of an endpoint.
func comesBefore(o *crossfadev1.OriginStatus, e *crossfadev1.Endpoint) bool {
	return cmp.Or(cmp.Compare(o.GetService(), e.GetService()), cmp.Compare(o.GetOrigin(), e.GetOrigin())) < 0
}

// originsTable has a row for each origin of a service: where its endpoints come from, how many there are, and what is set of it. Without what
// the server knows of them, it has what the document says.
func originsTable(s *crossfadev1.Service, known []*crossfadev1.OriginStatus) *table {
	t := &table{head: []string{"ORIGIN", "PROTOCOL", "STATE", "ENDPOINTS", "SOURCE", "SETTINGS"}}
	for i, o := range s.GetOrigins() {
		st := &crossfadev1.OriginStatus{Ready: int32(len(o.GetStatic().GetEndpoints()))}
		if i < len(known) && known[i].GetOrigin() == o.GetName() {
			st = known[i]
		}
		source := dash(st.GetSource())
		if o.GetStatic() != nil {
			source = "static " + few(o.GetStatic().GetEndpoints())
		}
		t.row(o.GetName(), dashOr(o.GetProtocol(), "http1"), originState(st.GetState()), countWords(st), source, settingWords(o))
	}
	return t
}

// settingWords says what a document sets of an origin beyond the ordinary.
func settingWords(o *crossfadev1.Origin) string {
	var parts []string
	if t := o.GetTls(); t != nil {
		words := "TLS as " + cmp.Or(t.GetServerName(), o.GetDns().GetHost())
		if t.GetInsecureSkipVerify() {
			words += ", any certificate"
		}
		parts = append(parts, words)
	}
	if o.GetSlowStart() != nil {
		parts = append(parts, "slow start "+manifest.FormatDuration(o.GetSlowStart()))
	}
	if n := o.GetCapacity().GetRequestsPerSecond(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d req/s each", n))
	}
	if n := o.GetZone().GetMinEndpoints(); n > 0 {
		parts = append(parts, fmt.Sprintf("within the zone while %d are well there", n))
	}
	return dash(strings.Join(parts, "; "))
}
