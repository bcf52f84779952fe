package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// States of a proof.
const (
	proven  = "proven"
	silent  = "silent"
	pending = "pending"
	unknown = "unknown"
)

// showChange writes what became of one change. What was done is said in front, where the split alone does not show it.
func (a *app) showChange(c *crossfadev1.Change, done string) error {
	return a.show(manifest.Answer(c), func() { a.sayChange(c, done) })
}

// showChanges writes what became of several.
func (a *app) showChanges(changes []*crossfadev1.Change, done string) error {
	return a.show(page(changes, ""), func() {
		for _, c := range changes {
			a.sayChange(c, done)
		}
	})
}

// sayChange is the sentence for people, and below it what needs an eye, a line each.
func (a *app) sayChange(c *crossfadev1.Change, done string) {
	if c.GetKind() == policy.KindRollout { // no proxy hears of it
		c = proto.CloneOf(c)
		c.Fleet, c.Fleets, c.Proof = nil, nil, nil
	}
	parts := []string{subject(c, done)}
	if state := a.stateWords(c); state != "" {
		parts = append(parts, state)
	}
	a.say("%s. %s", strings.Join(parts, ". "), a.recordWords(c))
	a.sayFleets(c)
	fleet := c.GetFleet()
	for _, r := range fleet.GetRefused() {
		a.detail("refused", red, r.GetProxy()+" "+r.GetType()+": "+r.GetMessage())
	}
	if len(fleet.GetPending()) > 0 {
		a.detail("pending", yellow, few(fleet.GetPending())+" (connected, not acknowledged yet)")
	}
	if len(fleet.GetLost()) > 0 && !named(c.GetWarnings(), fleet.GetLost()[0]) {
		a.detail("lost", yellow, fewOf(fleet.GetLost(), len(fleet.GetLost())+int(fleet.GetLostMore()))+" (seen within 24 h, not connected now: still serving what it last had)")
	}
	a.sayDoubts(c)
	for _, w := range c.GetWarnings() {
		if fleet == nil || fleet.GetConnected() > 0 || !strings.HasPrefix(w, "no proxy of fleet") { // the sentence above says that
			a.detail("warning", yellow, w)
		}
	}
}

// sayFleets says what each of several fleets made of a change, a line each.
func (a *app) sayFleets(c *crossfadev1.Change) {
	for _, f := range c.GetFleets() {
		one := &crossfadev1.Change{Service: c.GetService(), Action: c.GetAction(), Split: f.GetSplit(), Fleet: f.GetFleet(), Proof: f.GetProof()}
		words := a.stateWords(one)
		if split := splitWords(f.GetSplit()); split != "" && split != splitWords(c.GetSplit()) {
			words = split + ". " + words
		}
		a.say("  fleet    %s: %s", oneLine(f.GetName()), words)
	}
}

// sayDoubts lists why proxies are not proven: those with the same reason in one line, and not what the sentence has said already.
func (a *app) sayDoubts(c *crossfadev1.Change) {
	type doubt struct{ state, reason string }
	var order []doubt
	proxies := map[doubt][]string{}
	for _, p := range c.GetProof().GetPerProxy() {
		d := doubt{p.GetState(), p.GetReason()}
		if d.reason == "" || d.state != unknown && (d.state != pending || !a.proofWanted(c)) {
			continue
		}
		if proxies[d] == nil {
			order = append(order, d)
		}
		proxies[d] = append(proxies[d], p.GetProxy())
	}
	const most = 10 // reasons hold figures, so that a thousand proxies may have as many
	for i, d := range order {
		if i == most {
			a.detail("and", yellow, count(int64(len(order)-most), "reason")+" more: -o json has them all")
			break
		}
		names, more := proxies[d], 0
		if slices.Contains(c.GetFleet().GetLost(), names[0]) {
			more = int(c.GetFleet().GetLostMore()) // of those only some are named
		}
		if text := fewOf(names, len(names)+more) + ": " + d.reason; c.GetProof().GetReason() != text {
			a.detail(d.state, yellow, text)
		}
	}
}

// proofWanted tells whether the caller waits for proof. Without, it is not there at the moment of the answer, and that is no news.
func (a *app) proofWanted(c *crossfadev1.Change) bool {
	return a.wait == proven || strings.HasPrefix(c.GetAction(), "rollback")
}

// named tells whether a warning names a proxy already.
func named(warnings []string, proxy string) bool {
	return slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, proxy) })
}

func (a *app) detail(what string, c color, text string) {
	a.say("  %s%s%s", a.paint(what, c), strings.Repeat(" ", max(1, 9-len(what))), oneLine(text))
}

// subject says what was changed, and to what.
func subject(c *crossfadev1.Change, done string) string {
	name := oneLine(c.GetService())
	switch c.GetKind() {
	case policy.KindFleet:
		name = "fleet " + name
	case policy.KindMirror:
		name = "mirror " + name
	case policy.KindRollout:
		name = "rollout " + name
	}
	switch {
	case c.GetUndoneBy() > 0:
		return name + ": refused by a proxy, so it is as it was"
	case strings.HasPrefix(c.GetAction(), "delete"):
		return name + ": deleted"
	case len(c.GetSplit()) > 0 && done != "":
		return name + ": " + done + "; " + splitWords(c.GetSplit())
	case done != "":
		return name + ": " + done
	case len(c.GetSplit()) > 0:
		return name + ": " + splitWords(c.GetSplit())
	case unchanged(c):
		return name + ": as it was"
	case (c.GetKind() == policy.KindMirror || c.GetKind() == policy.KindRollout) && c.GetAction() == "apply":
		return name + ": started"
	case c.GetAction() == "apply":
		return name + ": applied"
	default:
		return name + ": " + dash(c.GetAction())
	}
}

func unchanged(c *crossfadev1.Change) bool { return c.GetRevision() == 0 && !notRecorded(c) }

// notRecorded tells a rollback that was applied and is not in the store. Nothing else can be applied without.
func notRecorded(c *crossfadev1.Change) bool {
	return !c.GetRecorded() && strings.HasPrefix(c.GetAction(), "rollback")
}

func (a *app) recordWords(c *crossfadev1.Change) string {
	switch {
	case c.GetUndoneBy() > 0:
		return fmt.Sprintf("Revision %d, undone by revision %d.", c.GetRevision(), c.GetUndoneBy())
	case notRecorded(c):
		return a.paint("Applied, but NOT RECORDED.", red)
	case c.GetRevision() == 0:
		return "Nothing was to change."
	case c.GetAction() == "none":
		return fmt.Sprintf("Nothing was to change since revision %d.", c.GetRevision())
	case c.GetRecorded():
		return fmt.Sprintf("Revision %d, recorded.", c.GetRevision())
	default:
		return fmt.Sprintf("Revision %d.", c.GetRevision())
	}
}

// stateWords says what the fleet and the data plane made of a change.
func (a *app) stateWords(c *crossfadev1.Change) string {
	var parts []string
	if c.GetFleet() != nil {
		parts = append(parts, a.fleetWords(c.GetFleet()))
	}
	if words := a.proofWords(c); words != "" {
		parts = append(parts, words)
	}
	for _, o := range slices.Sorted(maps.Keys(c.GetProof().GetOpenStreams())) {
		if n := c.GetProof().GetOpenStreams()[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s still open on %s", count(n, "stream"), o))
		}
	}
	return strings.Join(parts, "; ")
}

func (a *app) fleetWords(f *crossfadev1.FleetState) string {
	switch {
	case f.GetConnected() == 0 && len(f.GetLost()) == 0:
		return a.paint("No proxy of "+ofFleets(strings.Split(dash(f.GetName()), ","))+" is connected, so nothing serves this yet", yellow)
	case f.GetConnected() == 0:
		return a.paint(fmt.Sprintf("No proxy of %s is connected, %d lost", ofFleets(strings.Split(dash(f.GetName()), ",")), len(f.GetLost())+int(f.GetLostMore())), yellow)
	case f.GetAcked() == 0:
		return a.paint(fmt.Sprintf("0/%d proxies acknowledged so far", f.GetConnected()), yellow)
	}
	words := fmt.Sprintf("%d/%d proxies acknowledged in %s", f.GetAcked(), f.GetConnected(), milliseconds(f.GetAckMs()))
	if f.GetAcked() < f.GetConnected() {
		return a.paint(words, yellow)
	}
	return words
}

// proofWords says what the data plane shows of the origins that should get nothing any more.
func (a *app) proofWords(c *crossfadev1.Change) string {
	p, drained := c.GetProof(), drainedOrigins(c)
	switch p.GetState() {
	case proven:
		return a.provenWords(p, drained)
	case silent:
		return a.silentWords(c, drained)
	case pending:
		if !a.proofWanted(c) {
			return ""
		}
		return a.paint("not proven yet"+because(p.GetReason()), yellow)
	case unknown:
		if drained == "" {
			return a.paint("what the data plane does is unknown"+because(p.GetReason()), yellow)
		}
		return a.paint("whether "+drained+" still gets requests is unknown"+because(p.GetReason()), yellow)
	}
	if c.GetAction() == "rollback" && drained != "" && c.GetFleet().GetConnected() > 0 {
		return "without proof that " + drained + " gets no request"
	}
	return ""
}

func (a *app) provenWords(p *crossfadev1.Proof, drained string) string {
	words := "proven by the data plane"
	if drained != "" {
		words = fmt.Sprintf("no new request to %s since +%s", drained, seconds(p.GetSinceMs()))
	}
	if p.GetResolutionMs() > 0 {
		words += fmt.Sprintf(" (resolution %s)", seconds(p.GetResolutionMs()))
	}
	return words
}

// silentWords says how many proxies had no request since the change, and what the others show.
func (a *app) silentWords(c *crossfadev1.Change, drained string) string {
	quiet, busy := 0, 0
	for _, one := range c.GetProof().GetPerProxy() {
		switch one.GetState() {
		case silent:
			quiet++
		case proven:
			busy++
		}
	}
	if busy == 0 {
		return "no proxy has had a request for " + c.GetService() + " since, so the acknowledgement is all there is to show (silent)"
	}
	return fmt.Sprintf("%s at %d of %d proxies; %d had no request for %s since (silent)",
		a.provenWords(c.GetProof(), drained), busy, busy+quiet, quiet, c.GetService())
}

// drainedOrigins lists the origins of a change that should get nothing.
func drainedOrigins(c *crossfadev1.Change) string {
	var out []string
	for _, o := range slices.Sorted(maps.Keys(c.GetSplit())) {
		if c.GetSplit()[o] == 0 {
			out = append(out, o)
		}
	}
	return strings.Join(out, " or ")
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + oneLine(reason)
}
