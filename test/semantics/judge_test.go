package semantics

import (
	"fmt"
	"slices"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// judge holds what Envoy did against the model.
type judge struct {
	f      *fleet
	b      batch
	router *policy.Router
	byName map[string]*policy.Service
}

func newJudge(f *fleet, b batch) *judge {
	j := &judge{f: f, b: b, byName: map[string]*policy.Service{}}
	j.router = policy.NewRouter(b.settings, b.services).WithDialect(f.dialect)
	for _, s := range b.services {
		j.byName[s.Name] = s
	}
	return j
}

// wrong says what is wrong with an answer; nothing if nothing is.
func (j *judge) wrong(q policy.Request, a answer) string {
	d := j.router.Route(q)
	if d.Service == "" {
		if a.status != 404 || a.code != "no_service" {
			return fmt.Sprintf("the model says 404, Envoy %s", a)
		}
		return ""
	}
	elsewhere := j.elsewhere(d, a.origin)
	if possible := clusters(d); !elsewhere && !slices.Contains(possible, a.origin) {
		return fmt.Sprintf("the model says %v, Envoy %s", possible, a)
	}
	if j.f.origins.isDead(a.origin) {
		if a.status != 503 || !a.byProxy {
			return fmt.Sprintf("%s is dead, Envoy says %s", a.origin, a)
		}
		return ""
	}
	if a.status != 200 || a.byProxy {
		return fmt.Sprintf("the model says 200 from %s, Envoy %s", a.origin, a)
	}
	for _, h := range a.echo.Header {
		if name := strings.ToLower(h[0]); strings.HasPrefix(name, "x-cf-") || strings.HasPrefix(name, "x-envoy-") {
			return fmt.Sprintf("the origin saw %s: %s", h[0], h[1])
		}
	}
	if elsewhere {
		return "" // its cookie is of where it was sent first
	}
	return j.wrongCookie(q, d, a)
}

// elsewhere says whether an answer may come from this origin because the one where the request belongs is dead, and what fails there is tried at the
// other one. pkg/xds/translate has tests of when it is.
func (j *judge) elsewhere(d policy.Decision, cluster string) bool {
	s := j.byName[d.Service]
	if d.Pin != "" || !s.OtherTries() || !slices.Contains(s.Retries.OtherOrigin.Methods, "GET") {
		return false
	}
	for _, o := range s.Origins {
		if first := policy.ClusterName(s.Name, o.Name); first != cluster && slices.Contains(clusters(d), first) && j.f.origins.isDead(first) {
			return true
		}
	}
	return false
}

// clusters are where a request may go.
func clusters(d policy.Decision) []string {
	if d.Origin != "" {
		return []string{policy.ClusterName(d.Service, d.Origin)}
	}
	var out []string
	for o := range d.Chances {
		out = append(out, policy.ClusterName(d.Service, o))
	}
	slices.Sort(out)
	return out
}

// wrongCookie looks at the sticky cookie: it is set where the client brought none and no pin decided, once, and brings the client back to
// where it is now.
func (j *judge) wrongCookie(q policy.Request, d policy.Decision, a answer) string {
	s := j.byName[d.Service]
	wanted := s.Split.Sticky != nil && s.Split.Sticky.Cookie != nil && d.Pin == "" && d.Hash == nil
	if !wanted {
		if len(a.cookies) > 0 {
			return fmt.Sprintf("Envoy set cookies %v", a.cookies)
		}
		return ""
	}
	k := s.Split.Sticky.Cookie
	if len(a.cookies) != 1 {
		return fmt.Sprintf("Envoy set cookies %v, want %q", a.cookies, k.Name)
	}
	c := a.cookies[0]
	if c.Name != k.Name || c.Path != k.Path || c.MaxAge != int(k.TTL.Seconds()) || !c.HttpOnly || c.Value == "" {
		return fmt.Sprintf("Envoy set cookie %v, want %+v", c, *k)
	}
	unpinned := *s
	unpinned.Pins = nil
	back := policy.NewRouter(j.b.settings, []*policy.Service{&unpinned}).Route(policy.Request{
		Port: q.Port, Host: q.Host, Path: q.Path, Headers: []policy.Header{{Name: "cookie", Value: c.Name + "=" + c.Value}},
	})
	if got := policy.ClusterName(s.Name, back.Origin); got != a.origin {
		return fmt.Sprintf("%s answered, and the cookie %s sends back to %s", a.origin, c.Value, got)
	}
	return ""
}

// String says what came back.
func (a answer) String() string {
	if a.byProxy {
		return fmt.Sprintf("%d %s of its own for %q", a.status, a.code, a.origin)
	}
	return fmt.Sprintf("%d from %q", a.status, a.origin)
}

// smallest leaves headers out of a request that Envoy and the model disagree on, as long as they still do.
func (j *judge) smallest(c *client, q policy.Request) policy.Request {
	for i := len(q.Headers) - 1; i >= 0; i-- {
		less := q
		less.Headers = slices.Delete(slices.Clone(q.Headers), i, i+1)
		if a, err := c.do(less); err == nil && j.wrong(less, a) != "" {
			q = less
		}
	}
	return q
}

// describe says all that is needed to see it again.
func (j *judge) describe(q policy.Request, a answer) string {
	d := j.router.Route(q)
	var b strings.Builder
	fmt.Fprintf(&b, "%s=%d, fleet %+v, from %s to port %d:\n%s", seedVariable, run.seed, *j.b.settings, q.ClientAddress, q.Port, text(q))
	fmt.Fprintf(&b, "the model:\n  %s\n", strings.Join(d.Steps, "\n  "))
	of, _, _ := strings.Cut(a.origin, "/")
	for _, doc := range j.b.docs {
		if doc.Name == d.Service || doc.Name == of {
			yaml, err := manifest.YAML(&crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: doc}})
			fmt.Fprintf(&b, "---\n%s%s", yaml, errorText(err))
		}
	}
	return b.String()
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error() + "\n"
}
