package control

import (
	"net/netip"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Explain says where a request would go and why: by what is live, or by the documents in the request.
func (c *Controller) Explain(q *crossfadev1.ExplainRouteRequest) (*crossfadev1.ExplainRouteResponse, error) {
	fleet := q.GetFleet()
	if fleet == "" {
		fleet = policy.DefaultFleet
	}
	c.mu.RLock()
	settings, services := c.live.compiledOf(fleet)
	c.mu.RUnlock()
	if len(q.GetDocuments()) > 0 {
		var errs policy.Errors
		if settings, services, errs = compileDocuments(fleet, q.GetDocuments()); len(errs) > 0 {
			return nil, errs
		}
	}
	request, err := requestOf(q)
	if err != nil {
		return nil, err
	}
	d := policy.NewRouter(settings, services).Route(request)
	out := &crossfadev1.ExplainRouteResponse{Service: d.Service, Origin: d.Origin, Pin: d.Pin, Steps: d.Steps, Chances: map[string]int32{}}
	for origin, share := range d.Chances {
		out.Chances[origin] = int32(share)
	}
	return out, nil
}

func compileDocuments(fleet string, docs []*crossfadev1.Document) (*policy.Fleet, []*policy.Service, policy.Errors) {
	settings := policy.DefaultFleetSettings(fleet)
	var services []*policy.Service
	var all policy.Errors
	for i, doc := range docs {
		var errs policy.Errors
		if doc.GetFleet() != nil {
			var f *policy.Fleet
			if f, errs = policy.CompileFleet(doc.GetFleet()); f != nil && f.Name == fleet {
				settings = f
			}
		} else {
			var s *policy.Service
			if s, errs = policy.CompileService(doc.GetService()); s.In(fleet) != nil {
				services = append(services, s)
			}
		}
		all = append(all, inDocument(errs, i)...)
	}
	if len(all) == 0 {
		all = policy.CheckServices(services)
	}
	return settings, services, all
}

// requestOf reads the request that is asked about.
func requestOf(q *crossfadev1.ExplainRouteRequest) (policy.Request, error) {
	r := policy.Request{Port: int(q.GetPort()), Host: q.GetHost(), Path: q.GetPath(), ClientAddress: q.GetClientAddress()}
	if r.Port == 0 {
		r.Port = policy.DefaultPort
	}
	if r.Path == "" {
		r.Path = "/"
	}
	for _, h := range q.GetHeaders() {
		r.Headers = append(r.Headers, policy.Header{Name: h.GetName(), Value: h.GetValue()})
	}
	if r.ClientAddress != "" {
		if _, err := netip.ParseAddr(r.ClientAddress); err != nil {
			return r, &policy.Error{Kind: policy.Invalid, Code: "address", Field: "clientAddress", Value: r.ClientAddress, Message: "an IP address is needed"}
		}
	}
	return r, nil
}
