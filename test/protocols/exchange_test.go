package protocols

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// exchange is something that a client and an application do together.
type exchange struct {
	name    string
	service string
	short   bool // has no middle: it is done many times while things change
	do      func(ctx context.Context, p *peer) error
}

// peer is whom an exchange is had with, and what was seen of it.
type peer struct {
	*world
	address string                      // HOST:PORT
	host    string                      // of requests
	turn    func(context.Context) error // called in the middle of an exchange: while it stands, things change
	id      string                      // no other exchange has it
	saw     []string                    // "origin NAME: VALUE" and "client NAME: VALUE", in the order of their kind
}

// client notes what the client saw.
func (p *peer) client(name string, value any) {
	p.saw = append(p.saw, fmt.Sprintf("client %s: %v", name, value))
}

// origin notes what the application saw.
func (p *peer) origin(name string, value any) {
	p.saw = append(p.saw, fmt.Sprintf("origin %s: %v", name, value))
}

// said notes lines that the application said of what it saw.
func (p *peer) said(text string) {
	for line := range strings.Lines(strings.TrimSpace(text)) {
		p.saw = append(p.saw, "origin "+strings.TrimSpace(line))
	}
}

// differences lists what was seen directly and not through the fleet, and the other way round.
func differences(direct, through []string) []string {
	var out []string
	a, b := byName(direct), byName(through)
	for _, name := range slices.Compact(slices.Sorted(slices.Values(append(names(direct), names(through)...)))) {
		switch x, y := a[name], b[name]; {
		case x == y:
		case x == "":
			out = append(out, "+ "+name+": "+y)
		case y == "":
			out = append(out, "- "+name+": "+x)
		default:
			out = append(out, name+": "+x+" → "+y)
		}
	}
	return out
}

func names(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i], _, _ = strings.Cut(l, ": ")
	}
	return out
}

// byName joins the values of one name.
func byName(lines []string) map[string]string {
	out := map[string]string{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		if before := out[name]; before != "" {
			value = before + ", " + value
		}
		out[name] = value
	}
	return out
}
