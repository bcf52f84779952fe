package policytest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Request makes a request for one of the services: most often one that hits its host, a path prefix and some of its pins, now and then
// one that just misses. It can be sent over HTTP/1.1 as it is. The peer is 127.0.0.1; x-forwarded-for is random.
func Request(r *rand.Rand, services []*policy.Service) policy.Request {
	m := &requestMaker{Rand: r}
	s := pick(r, services)
	m.q = policy.Request{Port: s.Port, Host: m.host(s), ClientAddress: "127.0.0.1"}
	m.path = m.pathFor(s)
	for i := range s.Pins {
		if m.IntN(3) == 0 {
			m.aim(&s.Pins[i].Match)
		}
	}
	m.stickyKeys()
	m.noise()
	m.finish()
	return m.q
}

type requestMaker struct {
	*rand.Rand
	q       policy.Request
	path    string
	query   []string
	cookies []string
}

func (m *requestMaker) header(name, value string) {
	if m.IntN(4) == 0 {
		name = strings.ToUpper(name)
	}
	m.q.Headers = append(m.q.Headers, policy.Header{Name: name, Value: value})
}

// host takes one of the service's hosts, in some other form of writing, or one nearby.
func (m *requestMaker) host(s *policy.Service) string {
	host := pick(m.Rand, s.Hosts)
	switch {
	case m.IntN(20) == 0:
		return pick(m.Rand, []string{"nobody.invalid", "test", "a.test.evil", "xa.test", ".a.test"})
	case host == "*":
		host = pick(m.Rand, []string{"some.where", "localhost", "10.9.8.7"})
	case host[0] == '*':
		host = pick(m.Rand, []string{"x", "b", "c.b", "very.deep.below"}) + host[1:]
	}
	if m.IntN(3) == 0 {
		host = strings.ToUpper(host)
	}
	if m.IntN(5) == 0 && !strings.HasSuffix(host, "]") {
		host += "."
	}
	if m.IntN(4) == 0 {
		host += pick(m.Rand, []string{":80", ":10000", ":65535", ":"})
	}
	return host
}

// pathFor takes one of the service's prefixes and goes on, by a whole segment or not.
func (m *requestMaker) pathFor(s *policy.Service) string {
	prefix := pick(m.Rand, s.PathPrefixes)
	rest := pick(m.Rand, []string{"", "", "/", "/x", "/x/y.html", "//", "x", ";p", "/%2e", "/v1/", "/api/v1"})
	if prefix == "/" {
		return "/" + strings.TrimPrefix(rest, "/")
	}
	return prefix + rest
}

// aim writes what a pin looks at, mostly so that it matches.
func (m *requestMaker) aim(match *policy.Match) {
	value := m.valueFor(match)
	if match.Condition == policy.Present && match.Value == "false" && m.IntN(2) == 0 {
		return
	}
	for range 1 + m.IntN(4)/3 { // twice, now and then
		switch match.On {
		case policy.OnHeader:
			m.header(match.Name, value)
		case policy.OnCookie:
			m.cookies = append(m.cookies, m.cookie(match.Name, value))
		case policy.OnQuery:
			m.query = append(m.query, m.parameter(match.Name, value))
		}
		value = m.valueFor(match)
	}
}

func (m *requestMaker) valueFor(match *policy.Match) string {
	if m.IntN(5) == 0 {
		return pick(m.Rand, pinValues)
	}
	switch match.Condition {
	case policy.Exact:
		return match.Value
	case policy.Prefix:
		return match.Value + pick(m.Rand, []string{"", "1", "-x"})
	case policy.Regex:
		for _, e := range expressions {
			if e.regex == match.Value {
				return pick(m.Rand, append(slices.Clone(e.hits), e.miss...))
			}
		}
	}
	return pick(m.Rand, pinValues)
}

func (m *requestMaker) cookie(name, value string) string {
	if strings.ContainsAny(value, ";") {
		value = "1"
	}
	switch m.IntN(6) {
	case 0:
		return name + `="` + value + `"`
	case 1:
		return name // without "=": not a cookie
	}
	return name + "=" + value
}

func (m *requestMaker) parameter(name, value string) string {
	switch m.IntN(8) {
	case 0:
		return name
	case 1:
		return strings.ToUpper(name) + "=" + value
	}
	return name + "=" + value
}

// stickyKeys writes what sticky splits recognise users by, more often than not.
func (m *requestMaker) stickyKeys() {
	for _, name := range StickyCookieNames {
		if m.IntN(3) > 0 {
			m.cookies = append(m.cookies, m.cookie(name, m.user()))
		}
	}
	for _, name := range StickyHeaderNames {
		for range []int{0, 1, 1, 2}[m.IntN(4)] {
			m.header(name, m.user())
		}
	}
	for range m.IntN(3) {
		m.header("x-forwarded-for", pick(m.Rand, []string{"203.0.113.7", "198.51.100.1, 203.0.113.9", "2001:DB8::0:5", "::102:304", "unknown", "203.0.113.7:1234", "1.2.3.4,", "10.0.0.1 , 10.0.0.2"}))
	}
}

// user is what a sticky split recognises somebody by; now and then it is there, but empty.
func (m *requestMaker) user() string {
	if m.IntN(10) == 0 {
		return ""
	}
	return pick(m.Rand, []string{"", "u"}) + fmt.Sprint(m.IntN(1_000_000))
}

// noise adds headers that must not matter: forged ones that only the proxy may set, and ordinary ones.
func (m *requestMaker) noise() {
	for _, h := range []policy.Header{
		{Name: "x-cf-key", Value: "forged"},
		{Name: "x-envoy-upstream-alt-stat-name", Value: "forged"},
		{Name: "x-cf-origin", Value: "eks"},
		{Name: "x-envoy-original-path", Value: "/api"},
		{Name: "x-shadow", Value: "1"},
		{Name: "accept", Value: "*/*"},
		{Name: "x-other", Value: "1"},
		{Name: "x-forwarded-host", Value: "a.test"},
	} {
		if m.IntN(6) == 0 {
			m.header(h.Name, h.Value)
		}
	}
	if m.IntN(6) == 0 {
		m.query = append(m.query, pick(m.Rand, []string{"", "x=1", "q=%zz", "=", "a=b=c"}))
	}
	if m.IntN(6) == 0 {
		m.cookies = append(m.cookies, pick(m.Rand, []string{"x=1", "junk", "a=b=c", `q="`}))
	}
}

// finish shuffles and puts the parts together.
func (m *requestMaker) finish() {
	m.Shuffle(len(m.q.Headers), func(i, j int) { h := m.q.Headers; h[i], h[j] = h[j], h[i] })
	m.Shuffle(len(m.query), func(i, j int) { m.query[i], m.query[j] = m.query[j], m.query[i] })
	m.Shuffle(len(m.cookies), func(i, j int) { m.cookies[i], m.cookies[j] = m.cookies[j], m.cookies[i] })
	m.q.Path = m.path
	if len(m.query) > 0 {
		m.q.Path += "?" + strings.Join(m.query, "&")
	}
	for len(m.cookies) > 0 { // one header, now and then several
		n := len(m.cookies)
		if m.IntN(5) == 0 {
			n = 1 + m.IntN(n)
		}
		m.header("cookie", strings.Join(m.cookies[:n], pick(m.Rand, []string{"; ", ";", ";  "})))
		m.cookies = m.cookies[n:]
	}
}
