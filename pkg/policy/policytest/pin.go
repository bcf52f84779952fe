package policytest

import (
	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// expression is a regular expression with values that it matches and values that it nearly does.
type expression struct {
	regex string
	hits  []string
	miss  []string
}

var expressions = []expression{
	{"beta-[0-9]+", []string{"beta-1", "beta-042"}, []string{"beta-", "xbeta-1", "beta-1x"}},
	{"(?i)canary|blue", []string{"CANARY", "blue", "Blue"}, []string{"canary2", "green"}},
	{"[a-f0-9]{8}", []string{"deadbeef", "00000000"}, []string{"deadbee", "deadbeefs"}},
	{".*test.*", []string{"test", "a-test-b"}, []string{"tes", ""}},
	{"(a|b)*c?", []string{"", "abba", "abc"}, []string{"cc", "d"}},
	{`^v\d\.\d$`, []string{"v1.2"}, []string{"v1-2", "v12"}},
	{"[^,;]+", []string{"anything", "1"}, []string{"a,b", ""}},
	{`\w+@\w+`, []string{"me@home"}, []string{"me", "@"}},
}

var (
	pinHeaders = []string{"X-Beta", "x-tenant", "user-agent", "accept-language", "referer"}
	pinCookies = []string{"beta", "cf", "Group"}
	pinParams  = []string{"v", "beta", "a%20b"}
	pinValues  = []string{"1", "0", "on", "beta-1", "deadbeef", "v1.2", "canary", ""}
)

func (g *generator) pin(name string, origins []*crossfadev1.Origin) *crossfadev1.Pin {
	p := &crossfadev1.Pin{Name: name, Origin: pick(g.Rand, origins).Name}
	if g.one(3) {
		p.Enabled = new(g.one(2))
	}
	switch g.IntN(3) {
	case 0:
		p.Match = &crossfadev1.Pin_Header{Header: g.condition(pick(g.Rand, pinHeaders))}
	case 1:
		p.Match = &crossfadev1.Pin_Cookie{Cookie: g.condition(pick(g.Rand, pinCookies))}
	default:
		p.Match = &crossfadev1.Pin_Query{Query: g.condition(pick(g.Rand, pinParams))}
	}
	return p
}

func (g *generator) condition(name string) *crossfadev1.ValueMatch {
	m := &crossfadev1.ValueMatch{Name: name}
	switch g.IntN(4) {
	case 0:
		m.Condition = &crossfadev1.ValueMatch_Exact{Exact: pick(g.Rand, pinValues)}
	case 1:
		m.Condition = &crossfadev1.ValueMatch_Prefix{Prefix: pick(g.Rand, []string{"b", "beta-", "1", "v1"})}
	case 2:
		m.Condition = &crossfadev1.ValueMatch_Regex{Regex: pick(g.Rand, expressions).regex}
	default:
		m.Condition = &crossfadev1.ValueMatch_Present{Present: !g.one(4)}
	}
	return m
}
