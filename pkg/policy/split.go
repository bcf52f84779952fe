package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// split returns the weights of every origin. Without weights the primary has everything.
func (p *problems) split(d *crossfadev1.Split, origins []string, primary string) Split {
	s := Split{Weights: make(map[string]BasisPoints, len(origins))}
	for _, o := range origins {
		s.Weights[o] = 0
	}
	if len(d.GetWeights()) == 0 {
		s.Weights[primary] = Whole
	} else {
		p.weights("split.weights", d.GetWeights(), origins)
		for _, o := range origins {
			s.Weights[o] = BasisPoints(d.GetWeights()[o])
		}
	}
	s.Sticky = p.sticky("split.sticky", d.GetSticky())
	return s
}

// weights holds basis points by origin against the rules: known origins, each 0 to Whole, together Whole.
func (p *problems) weights(field string, weights map[string]int32, origins []string) {
	if p.count(field, len(weights), MaxOrigins, "weights") {
		return
	}
	var sum int64
	good := true
	for _, o := range weightOrder(weights, origins) {
		w := weights[o]
		sum += int64(w)
		path := field + "." + clip(o)
		if !slices.Contains(origins, o) {
			good = false
			p.knownOrigin(path, o, origins)
		}
		if w < 0 || BasisPoints(w) > Whole {
			good = false
			p.add(path, "weight_range", fmt.Sprint(w), "a weight is 0 to 10000 basis points (100%)", "")
		}
	}
	if good && sum != int64(Whole) {
		p.add(field, "weights_sum", FormatWeights(weights, origins), fmt.Sprintf("the weights sum to %d basis points (%s); they must sum to 10000 (100%%)", sum, FormatWeight(BasisPoints(sum))), sumHint(int(sum)))
	}
}

// sumHint says how to mend a sum of weights.
func sumHint(sum int) string {
	switch missing := int(Whole) - sum; {
	case sum == 100:
		return "these look like percent: write 100 basis points for each percent, 9000 for 90%"
	case missing > 0:
		return fmt.Sprintf("add %d (%s)", missing, FormatWeight(BasisPoints(missing)))
	default:
		return fmt.Sprintf("take away %d (%s)", -missing, FormatWeight(BasisPoints(-missing)))
	}
}

// weightOrder gives the keys of weights: known origins in their order, then the others by name.
func weightOrder(weights map[string]int32, origins []string) []string {
	var order []string
	for _, o := range origins {
		if _, ok := weights[o]; ok {
			order = append(order, o)
		}
	}
	for _, o := range slices.Sorted(maps.Keys(weights)) {
		if !slices.Contains(origins, o) {
			order = append(order, o)
		}
	}
	return order
}

func (p *problems) sticky(field string, d *crossfadev1.Sticky) *Sticky {
	if d == nil {
		return nil
	}
	switch key := d.GetKey().(type) {
	case *crossfadev1.Sticky_Cookie:
		return &Sticky{Cookie: p.stickyCookie(field+".cookie", key.Cookie)}
	case *crossfadev1.Sticky_Header:
		return &Sticky{Header: p.checkHeader(field+".header.name", key.Header.GetName())}
	case *crossfadev1.Sticky_ClientAddress:
		return &Sticky{ClientAddress: true}
	}
	p.add(field, "sticky_key", "", "it is not said by what a user is recognised: exactly one of cookie, header, clientAddress is needed", "write for example cookie: {name: cf}")
	return nil
}

func (p *problems) stickyCookie(field string, d *crossfadev1.StickyCookie) *StickyCookie {
	p.checkCookie(field+".name", d.GetName())
	if strings.HasPrefix(d.GetName(), "__Host-") || strings.HasPrefix(d.GetName(), "__Secure-") {
		p.add(field+".name", "cookie_prefix", d.GetName(), "browsers take a cookie of such a name only with Secure, which the proxy does not set", "choose a name without this prefix")
	}
	c := &StickyCookie{Name: d.GetName(), TTL: p.duration(field+".ttl", d.GetTtl(), durationRule{unit: time.Second}), Path: d.GetPath()}
	switch {
	case c.Path == "":
		c.Path = "/"
	case len(c.Path) > MaxPrefixBytes:
		p.add(field+".path", "too_long", c.Path, fmt.Sprintf("has %d bytes; at most %d are allowed", len(c.Path), MaxPrefixBytes), "")
	case c.Path[0] != '/' || !isPath(c.Path) || strings.Contains(c.Path, ";"):
		p.add(field+".path", "cookie_path", c.Path, `must be a path that begins with "/", without spaces, ";" or a query`, `leave it out for the default of "/"`)
	}
	return c
}

// checkCookie holds the name of a cookie against the rules.
func (p *problems) checkCookie(field, name string) {
	switch {
	case name == "":
		p.add(field, "cookie_missing", "", "the name of a cookie is needed", "")
	case len(name) > MaxValueBytes:
		p.add(field, "too_long", name, fmt.Sprintf("has %d bytes; at most %d are allowed", len(name), MaxValueBytes), "")
	case !isToken(name):
		p.add(field, "cookie_invalid", name, "is not a cookie name: letters, digits and !#$%&'*+-.^_`|~ are allowed", "")
	}
}
