package main

import (
	"fmt"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// shownBlind is how many places are listed at which nothing can be found.
const shownBlind = 10

// blindWords says of how many places nothing is known.
func blindWords(n int) string {
	if n == 1 {
		return "1 place differs from itself in most answers: nothing can be found there until a rule opens it"
	}
	return fmt.Sprintf("%d places differ from themselves in most answers: nothing can be found there until a rule opens them", n)
}

// blind are the differences that hide others, with their numbers.
func blind(r *crossfadev1.MirrorReport) []numbered {
	return (&diffFilter{state: diffBlind}).of(r)
}

// sayBlind lists the places at which nothing can be found, and what would change that.
func (a *app) sayBlind(r *crossfadev1.MirrorReport) {
	all := blind(r)
	if len(all) == 0 {
		return
	}
	a.say("\n%s", a.paint(blindWords(len(all)), yellow))
	a.sayBlindRules(r, all)
}

// sayBlindRules has a row for each place, with what the rule does that would open it.
func (a *app) sayBlindRules(r *crossfadev1.MirrorReport, all []numbered) {
	t := &table{head: []string{"#", "ENDPOINT", "KIND", "PLACE", "NOISE", "RULE"}}
	for _, d := range all[:min(shownBlind, len(all))] {
		t.row(fmt.Sprint(d.number), a.middle(d.GetEndpoint(), 24), d.GetKind(), a.middle(d.GetPath(), 26), share(d.GetNoiseRate()), ruleInShort(r, d.MirrorDifference))
	}
	a.write(t)
	a.sayMore(len(all)-shownBlind, "place")
	a.say("%s", a.paint(fmt.Sprintf("shadowctl mirror explain %s %d says what the first rule does, and writes it", r.GetMirror(), all[0].number), faint))
}

// ruleInShort is what a rule does, without where: "set $.items by id", "tolerate pattern uuid".
func ruleInShort(r *crossfadev1.MirrorReport, d *crossfadev1.MirrorDifference) string {
	rule, _ := ruleFor(r, d)
	switch {
	case rule == nil:
		return "by its name"
	case rule.GetAction() == "set" && rule.GetKey() != "":
		return "set, key " + rule.GetKey()
	case rule.GetAction() == "set":
		return "set"
	case rule.GetWindow() != nil:
		return "tolerate, window " + manifest.FormatDuration(rule.GetWindow())
	case len(rule.GetPattern()) > len("number"):
		return "tolerate, pattern"
	case rule.GetPattern() != "":
		return "tolerate, " + rule.GetPattern()
	}
	return rule.GetAction()
}

// markdownBlind is the same in a comment.
func markdownBlind(line func(string, ...any), r *crossfadev1.MirrorReport) {
	all := blind(r)
	if len(all) == 0 {
		return
	}
	line("%s:\n", plain(blindWords(len(all))))
	line("| # | endpoint | kind | place | noise | rule |")
	line("|---:|---|---|---|---|---|")
	for _, d := range all[:min(shownBlind, len(all))] {
		line("| %d | %s | %s | %s | %s | %s |", d.number, code(d.GetEndpoint()), d.GetKind(), code(d.GetPath()), share(d.GetNoiseRate()), plain(ruleInShort(r, d.MirrorDifference)))
	}
	if rest := len(all) - shownBlind; rest > 0 {
		line("\nAnd %d more.", rest)
	}
	line("")
}

// variantWords are the pairs of statuses or failures at a place: "200 → 405 70 times, 206 → 200 30 times".
func variantWords(d *crossfadev1.MirrorDifference) string {
	var parts []string
	rest := d.GetCount()
	for _, v := range d.GetVariants() {
		parts = append(parts, v.GetControl()+" → "+v.GetCandidate()+" "+times(v.GetCount()))
		rest -= v.GetCount()
	}
	if rest > 0 && len(parts) > 0 {
		parts = append(parts, "others "+times(rest))
	}
	return strings.Join(parts, ", ")
}
