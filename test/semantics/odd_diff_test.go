package semantics

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// exchange is what both ends of a conversation had.
type exchange struct {
	saw []message // the origin
	got []message // the client; an end before its time is a message "closed" or "cut off"
}

// differences says in short words what is different through a proxy: at the origin, and at the client.
func differences(direct, proxied exchange, port string) (origin, client []string) {
	if refusal := refused(proxied); refusal != "" {
		origin, client = []string{"nothing"}, []string{refusal}
		if len(proxied.saw) > 0 {
			origin = requestDifferences(direct.saw, proxied.saw, port)
		}
		return origin, client
	}
	return requestDifferences(direct.saw, proxied.saw, port), answerDifferences(direct.got, proxied.got)
}

// refused describes an answer of the proxy's own.
func refused(e exchange) string {
	if len(e.got) == 0 {
		return ""
	}
	last := e.got[len(e.got)-1]
	var own struct{ Error struct{ Cause string } }
	if json.Unmarshal([]byte(last.body), &own) != nil || own.Error.Cause == "" {
		return ""
	}
	cause, _, _ := strings.Cut(own.Error.Cause, "{")
	return last.status() + " " + cause
}

var forwardedAddress = regexp.MustCompile(`(?:\d+\.){3}\d+$`)

func requestDifferences(direct, proxied []message, port string) []string {
	if len(direct) != len(proxied) {
		return []string{fmt.Sprintf("%d requests", len(proxied))}
	}
	var out []string
	for i := range direct {
		d, p := direct[i], proxied[i]
		out = append(out, startDifferences(d.start, p.start, [3]string{"method", "target", "version"})...)
		p.header = slices.Clone(p.header)
		for j, h := range p.header {
			switch h[0] {
			case "X-Forwarded-For":
				p.header[j][1] = forwardedAddress.ReplaceAllString(h[1], "CLIENT")
			case "X-Forwarded-Port":
				p.header[j][1] = strings.ReplaceAll(h[1], port, "PORT")
			}
		}
		for _, always := range [][2]string{{"X-Forwarded-For", "CLIENT"}, {"X-Forwarded-Proto", "http"}, {"X-Forwarded-Port", "PORT"}} {
			if d.get(always[0]) != "" {
				continue // there are two: let the difference show
			}
			if at := slices.Index(p.header, always); at >= 0 {
				p.header = slices.Delete(p.header, at, at+1)
			} else {
				out = append(out, "no "+always[0])
			}
		}
		out = append(out, restDifferences(d, p)...)
	}
	return unique(out)
}

func answerDifferences(direct, proxied []message) []string {
	interim := func(m message) bool { return strings.HasPrefix(m.status(), "1") && m.status() != "101" }
	var out []string
	if d, p := starts(direct, interim), starts(proxied, interim); !slices.Equal(d, p) {
		out = append(out, changed("interim answers", strings.Join(d, ", "), strings.Join(p, ", ")))
	}
	direct, proxied = slices.DeleteFunc(slices.Clone(direct), interim), slices.DeleteFunc(slices.Clone(proxied), interim)
	if len(direct) != len(proxied) {
		return append(out, fmt.Sprintf("%d answers: %s", len(proxied), strings.Join(starts(proxied, func(message) bool { return true }), ", ")))
	}
	for i := range direct {
		out = append(out, startDifferences(direct[i].start, proxied[i].start, [3]string{"version", "status", "reason"})...)
		out = append(out, restDifferences(direct[i], proxied[i])...)
	}
	return unique(out)
}

func starts(all []message, which func(message) bool) []string {
	var out []string
	for _, m := range all {
		if which(m) {
			out = append(out, m.start)
		}
	}
	return out
}

// startDifferences compares first lines in three parts, of which the last may hold spaces in answers.
func startDifferences(direct, proxied string, names [3]string) []string {
	d, p := parts(direct, names), parts(proxied, names)
	var out []string
	for i, name := range names {
		if d[i] != p[i] {
			out = append(out, changed(name, d[i], p[i]))
		}
	}
	return out
}

func parts(start string, names [3]string) (out [3]string) {
	if names[0] == "version" {
		copy(out[:], strings.SplitN(start, " ", 3))
		return out
	}
	out[0], start, _ = strings.Cut(start, " ")
	if i := strings.LastIndexByte(start, ' '); i >= 0 {
		out[1], out[2] = start[:i], start[i+1:]
	} else {
		out[1] = start
	}
	return out
}

// restDifferences compares headers, bodies and trailers.
func restDifferences(direct, proxied message) []string {
	out := headerDifferences("", direct.header, proxied.header)
	if direct.body != proxied.body {
		out = append(out, changed("body", direct.body, proxied.body))
	}
	return append(out, headerDifferences("trailer ", direct.trailer, proxied.trailer)...)
}

var httpDate = regexp.MustCompile(`^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$`)

func headerDifferences(what string, direct, proxied [][2]string) []string {
	d, p := byName(direct), byName(proxied)
	names := maps.Clone(d)
	maps.Copy(names, p)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch a, b := strings.Join(d[name], " + "), strings.Join(p[name], " + "); {
		case slices.Equal(d[name], p[name]):
		case d[name] == nil:
			out = append(out, "+ "+what+short(b))
		case p[name] == nil:
			out = append(out, "- "+what+short(a))
		default:
			out = append(out, changed(strings.TrimSpace(what), a, b))
		}
	}
	if both := func(other map[string][]string) func([2]string) bool {
		return func(h [2]string) bool {
			return !slices.Equal(d[strings.ToLower(h[0])], p[strings.ToLower(h[0])]) || other[strings.ToLower(h[0])] == nil
		}
	}; !slices.Equal(slices.DeleteFunc(slices.Clone(direct), both(p)), slices.DeleteFunc(slices.Clone(proxied), both(d))) {
		out = append(out, "other order of headers")
	}
	return out
}

// byName returns headers as lines, by their names in lower case.
func byName(all [][2]string) map[string][]string {
	out := map[string][]string{}
	for _, h := range all {
		name, value := strings.ToLower(h[0]), h[1]
		if name == "date" && httpDate.MatchString(value) {
			value = "NOW"
		}
		out[name] = append(out[name], strings.TrimSuffix(h[0]+": "+value, " "))
	}
	return out
}

func changed(what, from, to string) string {
	return strings.TrimSpace(what + " " + short(from) + " → " + short(to))
}

// short is a text that fits into a table.
func short(s string) string {
	if len(s) > 100 {
		return fmt.Sprintf("%.20s… (%d bytes)", s, len(s))
	}
	q := strconv.Quote(s)
	q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	if q == "" {
		return "(none)"
	}
	return strings.NewReplacer("|", "¦", "`", "'").Replace(q)
}

func unique(all []string) []string {
	var out []string
	for _, s := range all {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
