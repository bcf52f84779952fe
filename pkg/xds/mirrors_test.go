package xds

import (
	"fmt"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// compiled is a service with the mirror that runs on it.
func (w *fleetWorld) compiled(name string) *policy.Service {
	s, errs := policy.CompileService(w.docs[name])
	if len(errs) > 0 {
		w.t.Fatal(errs)
	}
	return s.WithMirror(w.mirrors[name])
}

// randomMirror starts one on a service, or ends it.
func (w *fleetWorld) randomMirror(name string) {
	delete(w.mirrors, name)
	if w.r.IntN(2) > 0 {
		return
	}
	origins := w.docs[name].GetOrigins()
	w.mirrors[name] = &policy.Mirror{
		Name: fmt.Sprint("m", w.r.IntN(3)), Service: name, Mode: policy.Compare, Control: origins[0].GetName(), Candidate: origins[1].GetName(),
		Share: policy.BasisPoints(w.r.IntN(10001)), Methods: []string{"GET"}, Run: policy.MirrorRun{ID: fmt.Sprint("r", w.revision)},
	}
}

// endpointsOf are all that belong to a service.
func endpointsOf(s *policy.Service) (out []translate.Resource) {
	for _, o := range s.Origins {
		out = append(out, translate.Endpoints(s.Name, o.Name, translate.Static(o.Static)))
		if m := s.Mirror; m != nil && (o.Name == m.Control || o.Name == m.Candidate) {
			out = append(out, translate.ShadowEndpoints(s.Name, o.Name, translate.Static(o.Static)))
		}
	}
	if s.Mirror != nil {
		out = append(out, translate.Comparators(nil))
	}
	return out
}
