package main

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// thenAgain is how a rule comes into an experiment.
const thenAgain = " Stop the experiment, add the rule, and start it again."

// Patterns that show how one is written. They fit nobody's answers as they are: one that fits too much would hide what it should not.
const (
	locationPattern = `https://[a-z0-9.-]+/orders/[0-9]+\?state=[0-9A-Za-z_-]+`
	textPattern     = `(?m)^\d{4}-\d\d-\d\d,`
)

// ruleFor is the rule that says of a difference that it is meant, and what to think of first. There is none for a failure.
func ruleFor(r *crossfadev1.MirrorReport, d *crossfadev1.MirrorDifference) (*crossfadev1.MirrorRule, string) {
	rule := &crossfadev1.MirrorRule{Endpoint: d.GetEndpoint(), Path: pathOfRule(d.GetPath()), Action: "ignore"}
	if !strings.HasPrefix(rule.GetEndpoint(), "/") {
		rule.Endpoint = "" // of all that had no room of their own
	}
	kind := d.GetKind()
	if array, key := shuffledArray(r, d); array != "" && kind != "failure" {
		rule.Path, rule.Action, rule.Key = pathOfRule(array), "set", key
		if !strings.Contains(rule.GetPath(), "{") {
			return rule, "Elements of this array differ in most answers, at several places: are they only in another order? Then this compares them as a set, " +
				"whose elements are found by a member of theirs (key), and shows what differs in them besides. If it is not the order, ignore or tolerate what varies." + thenAgain
		}
	}
	switch {
	case kind == "failure":
		return nil, "No rule takes it away: an origin that gives no answer is not meant to."
	case strings.Contains(rule.GetPath(), "{"):
		return nil, "Its name could be content, so it is not shown, and no rule can be made of it here: one that you write by its name works."
	case strings.HasSuffix(kind, "_order"):
		rule.Action = "set"
		return rule, "If the order of these elements does not matter, this compares them as a set." + thenAgain
	}
	return rule, tolerance(rule, d)
}

// pathOfRule is a place as rules name it: {key} stands for the keys of a map.
func pathOfRule(place string) string { return strings.ReplaceAll(place, ".{key}", ".*") }

// tolerance makes of a rule that ignores a place one that still sees something there, where there is one. It returns what to think of first.
func tolerance(rule *crossfadev1.MirrorRule, d *crossfadev1.MirrorDifference) string {
	const anchored = " The pattern is an example: write what varies in yours. It has to match the whole of both values."
	switch kind := d.GetKind(); {
	case kind == "limit", kind == "over_cap", kind == "length", kind == "invalid", kind == "body":
		return "If the bodies of this endpoint are meant to differ as a whole, this leaves them out; a larger bodyCap compares more of long ones." + thenAgain
	case kind == "text":
		rule.Action, rule.Pattern = "tolerate", textPattern
		return "If a part of the text varies, this leaves out whatever matches, and compares the rest. The pattern is an example: the date at the beginning of each line of a CSV. " +
			"{path: body, action: ignore} leaves the whole text out." + thenAgain
	case d.GetPath() == "header:location" && kind == "header_changed":
		rule.Action, rule.Pattern = "tolerate", locationPattern
		return "If a part of the address varies, this tolerates addresses of one form." + anchored + thenAgain
	case kind == "json_number":
		return numberTolerance(rule, d)
	case (kind == "json_value" || kind == "header_changed") && d.GetState() == diffBlind:
		rule.Action, rule.Pattern = "tolerate", "id"
		if bothLong(d, 36) {
			rule.Pattern = "uuid"
		}
		return "If it is an id or a time that is new in each answer, this tolerates whatever looks like one, and sees what does not; ignore leaves the place out. " +
			"Other patterns are uuid, time, hex, number, and RE2 expressions that match the whole value." + thenAgain
	case kind == "json_value", kind == "proto_value", kind == "header_changed":
		return "If it is meant, this leaves the place out. If both are an id or a time, tolerate is better: {action: tolerate, pattern: uuid} or {action: tolerate, window: 2s}." + thenAgain
	default:
		return "If it is meant, this leaves the place out." + thenAgain
	}
}

// numberTolerance does not begin with a share: the value is not shown, and 1 % of a whole number (a count, an amount in cents, an id) is no error
// of measurement.
func numberTolerance(rule *crossfadev1.MirrorRule, d *crossfadev1.MirrorDifference) string {
	rule.Action = "tolerate"
	const orElse = " If it is measured or computed with decimals, {action: tolerate, rel: 0.000001} tolerates errors of rounding; abs says how much absolutely. Neither is for whole numbers."
	if bothLong(d, 10) || bothLong(d, 13) {
		rule.Window = durationpb.New(2 * time.Second)
		return "It is as long as a time in seconds or milliseconds. If it is one, this lets both differ by 2 s." + orElse + thenAgain
	}
	rule.Pattern = "number"
	return "If any number is right there (a counter, an id), this demands that both are one." + orElse + thenAgain
}

func bothLong(d *crossfadev1.MirrorDifference, length int64) bool {
	return d.GetExample().GetControl().GetLength() == length && d.GetExample().GetCandidate().GetLength() == length
}

// shuffledArray is the array above a place whose elements differ in most answers, at this place and others: its order may be all that differs. Key is
// a member of the elements that reads like an id. Both are empty if there is no such array.
func shuffledArray(r *crossfadev1.MirrorReport, d *crossfadev1.MirrorDifference) (array, key string) {
	for at := 0; ; {
		next := strings.Index(d.GetPath()[at:], "[*]")
		if next < 0 {
			return "", ""
		}
		array, at = d.GetPath()[:at+next], at+next+len("[*]")
		var places []string
		most := false
		for _, other := range r.GetDifferences() {
			member, below := strings.CutPrefix(other.GetPath(), array+"[*]")
			if !below || other.GetEndpoint() != d.GetEndpoint() || strings.Contains(member, "[*]") {
				continue
			}
			most = most || other.GetState() == diffBlind
			places = append(places, member)
		}
		slices.Sort(places)
		if places = slices.Compact(places); most && len(places) > 1 {
			return array, keyOf(places)
		}
	}
}

// idLike are names by which elements are told apart. A shuffled array differs there too.
var idLike = regexp.MustCompile(`^\.(_?id|uuid|guid|key|code|sku|name|[A-Za-z]+(Id|ID|_id))$`)

// keyOf is the member of elements that tells them apart, by its name; "id" before others.
func keyOf(members []string) string {
	found := ""
	for _, m := range members {
		switch {
		case m == ".id":
			return "id"
		case found == "" && idLike.MatchString(m):
			found = strings.TrimPrefix(m, ".")
		}
	}
	return found
}
