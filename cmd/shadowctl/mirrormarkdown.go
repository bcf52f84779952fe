package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// markdown is the fourth form of output, of commands that are marked with takesMarkdown.
const (
	markdown      = "markdown"
	takesMarkdown = "markdown"
)

// commentDifferences is how many differences a comment has: GitHub takes 65,536 characters, and a row has at most a few hundred.
const commentDifferences = 50

// markdownReport is a report as a comment of a pull request.
func markdownReport(r *crossfadev1.MirrorReport) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("### Mirror %s: %s\n", code(r.GetMirror()), dash(r.GetVerdict()))
	if r.GetMode() == modeDark {
		line("%s: %s alone was asked, nothing was compared.\n", code(r.GetService()), code(r.GetCandidate()))
	} else {
		line("%s: %s compared with %s%s.\n", code(r.GetService()), code(r.GetCandidate()), code(r.GetControl()), markdownState(r))
	}
	for _, w := range r.GetWhy() {
		line("- %s%s", plain(w.GetMessage()), markdownNext(w.GetNext()))
	}
	if len(r.GetWhy()) > 0 {
		line("")
	}
	markdownCounts(line, r)
	if r.GetMode() != modeDark {
		markdownDifferences(line, r)
		markdownBlind(line, r)
	}
	markdownDetails(line, r)
	return b.String()
}

func markdownState(r *crossfadev1.MirrorReport) string {
	words := ""
	if r.GetShare() > 0 {
		words = ", " + policy.FormatWeight(policy.BasisPoints(r.GetShare())) + " of the requests"
	}
	switch {
	case r.GetState() != mirrorEnded:
		words += ", " + r.GetState() + " until " + utc(r.GetEnds()) + " UTC"
	case lasted(r) > 0:
		words += ", for " + short(lasted(r)) + " until " + utc(endOf(r)) + " UTC"
	}
	return words
}

func markdownNext(next string) string {
	if next == "" {
		return ""
	}
	return ". Next: " + plain(next)
}

func markdownCounts(line func(string, ...any), r *crossfadev1.MirrorReport) {
	line("| copies | compared | unrepresentative | without an answer | dropped |")
	line("|---:|---:|---:|---:|---:|")
	compared := r.GetCompared()
	if r.GetMode() == modeDark {
		compared = r.GetAnswered()
	}
	line("| %s | %s | %s | %s | %s |\n", whole(r.GetMirrored()), whole(compared), whole(r.GetUnrepresentative()), whole(r.GetTargetFailed()), whole(sumOf(r.GetDropped())))
}

// markdownDifferences lists what is more than noise.
func markdownDifferences(line func(string, ...any), r *crossfadev1.MirrorReport) {
	findings, open, noise := kindCounts(r)
	if findings+open == 0 {
		line("No difference is beyond noise; %d explained by noise.\n", noise)
		return
	}
	line("%s beyond noise, %d open, %d explained by noise:\n", count(int64(findings), "difference"), open, noise)
	line("| # | state | endpoint | kind | place | rate (95 %%) | noise | %s | %s |", cellText(r.GetControl()), cellText(r.GetCandidate()))
	line("|---:|---|---|---|---|---|---|---|---|")
	shown := 0
	for i, d := range r.GetDifferences() {
		if !moreThanNoise(d) || shown == commentDifferences {
			continue
		}
		shown++
		control, candidate := code(shapeWords(d.GetExample().GetControl())), code(shapeWords(d.GetExample().GetCandidate()))
		if len(d.GetVariants()) > 1 {
			candidate = code(variantWords(d))
		}
		line("| %d | %s | %s | %s | %s | %s | %s | %s | %s |", i+1, d.GetState(), code(d.GetEndpoint()), d.GetKind(), code(d.GetPath()), rateWords(d), share(d.GetNoiseRate()), control, candidate)
	}
	if rest := findings + open - shown; rest > 0 {
		line("\nAnd %d more: `shadowctl mirror diffs %s`.", rest, r.GetMirror())
	}
	line("")
}

// markdownDetails are the parts that one opens.
func markdownDetails(line func(string, ...any), r *crossfadev1.MirrorReport) {
	line("<details><summary>Endpoints, latency, what was dropped</summary>\n")
	if len(r.GetEndpoints()) > 0 && r.GetMode() != modeDark {
		line("| endpoint | compared | unrepresentative | would have found, away from noise |")
		line("|---|---:|---:|---|")
		for _, e := range r.GetEndpoints()[:min(commentDifferences, len(r.GetEndpoints()))] {
			line("| %s | %s | %s | %s |", code(e.GetEndpoint()), whole(e.GetCompared()), whole(e.GetUnrepresentative()), detectableWords(e.GetDetectable()))
		}
		line("")
	}
	if len(r.GetLatency()) > 0 {
		line("| origin | p50 | p90 | p99 |")
		line("|---|---:|---:|---:|")
		for _, o := range slices.Sorted(maps.Keys(r.GetLatency())) {
			l := r.GetLatency()[o]
			line("| %s | %s | %s | %s |", code(o), milliseconds(l.GetP50()), milliseconds(l.GetP90()), milliseconds(l.GetP99()))
		}
		if words := slowerWords(r); words != "" {
			line("\n%s", plain(words))
		}
		line("")
	}
	if s := byName(r.GetDropped()); s != "" {
		line("Dropped: %s.\n", plain(s))
	}
	if s := byName(r.GetReasons()); s != "" {
		line("Unrepresentative or without an answer: %s.\n", plain(s))
	}
	line("</details>")
}

// code is a text as it is, in a cell of a table too.
func code(s string) string {
	return "`" + strings.NewReplacer("`", "'", "|", `\|`).Replace(dash(s)) + "`"
}

// plain takes from a text what would be read as markup.
func plain(s string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`, "`", "'", "[", `\[`, "|", `\|`, "@", "@\u200b").Replace(s)
}

func cellText(s string) string { return plain(dash(s)) }
