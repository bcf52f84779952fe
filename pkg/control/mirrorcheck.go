package control

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// MirrorRules are what the server's settings allow of mirrors.
type MirrorRules struct {
	Values     []string // places whose values may be shown
	Identities []string // names of test identities
	MaxRPS     int      // copies per second of all mirrors of a fleet together; 0: DefaultMirrorRPS
}

// DefaultMirrorRPS is how many copies per second all mirrors of a fleet may ask again together.
const DefaultMirrorRPS = 500

// checkMirrors compiles what a draft says of mirrors and gives services those that will run on them. The services of the draft are compiled.
func (d *draft) checkMirrors() policy.Errors {
	d.mirrors, d.derived = make([]*policy.Mirror, len(d.edits)), map[string]*policy.Service{}
	d.nameControls()
	var found policy.Errors
	running, by := d.live.running(), map[string]int{} // by service; the edits that concern one
	for i, e := range d.edits {
		if e.key.Kind != kindMirror {
			continue
		}
		if old := d.live.mirrors[e.key.Name]; old != nil {
			running[old.compiled.Service] = slices.DeleteFunc(running[old.compiled.Service], func(m *policy.Mirror) bool { return m.Name == e.key.Name })
			by[old.compiled.Service] = i
		}
		if e.after == nil {
			continue
		}
		m, errs := policy.CompileMirror(e.after.GetMirror())
		if len(errs) > 0 {
			found = append(found, inDocument(errs, i)...)
			continue
		}
		d.mirrors[i], by[m.Service] = m, i
		if m.Running() {
			running[m.Service] = append(running[m.Service], m)
		}
	}
	if d.running = running; len(found) > 0 {
		return found
	}
	for i, e := range d.edits {
		if e.key.Kind == kindService {
			if _, ok := by[e.key.Name]; !ok {
				by[e.key.Name] = i
			}
		}
	}
	for _, service := range slices.Sorted(maps.Keys(by)) {
		errs := d.attach(service, running[service])
		if d.edits[by[service]].key.Kind == kindService {
			errs = inTheWay(errs, running[service])
		}
		if len(errs) > 0 {
			found = append(found, inDocument(errs, by[service])...)
		}
	}
	return found
}

// nameControls writes the control into mirrors that leave it to the primary: during a run it does not change with that.
func (d *draft) nameControls() {
	for i, e := range d.edits {
		m := e.after.GetMirror()
		if m == nil || m.GetControl() != "" || m.GetMode() == string(policy.Dark) {
			continue
		}
		if s, _ := d.serviceAfter(m.GetService()); s != nil {
			named := proto.CloneOf(m)
			named.Control = s.Primary
			d.edits[i].after = mirrorDocument(named)
		}
	}
}

// inDocument says of errors which document of a request they are about.
func inDocument(errs policy.Errors, i int) policy.Errors {
	for _, err := range errs {
		err.Document = i
	}
	return errs
}

// running are the mirrors that run, by service.
func (in *intent) running() map[string][]*policy.Mirror {
	out := map[string][]*policy.Mirror{}
	for _, name := range slices.Sorted(maps.Keys(in.mirrors)) {
		if m := in.mirrors[name].compiled; m.Running() {
			out[m.Service] = append(out[m.Service], m)
		}
	}
	return out
}

// attach gives a service, as it will be, the mirror that will run on it.
func (d *draft) attach(service string, running []*policy.Mirror) policy.Errors {
	s, at := d.serviceAfter(service)
	switch {
	case len(running) == 0 && s == nil:
		return nil
	case len(running) > 1:
		return policy.Errors{{
			Kind: policy.Held, Code: "mirror_running", Field: "service", Value: service,
			Message: fmt.Sprintf("mirror %q runs on this service, and one at a time may", running[0].Name), Next: "end it with `shadowctl mirror stop " + running[0].Name + "`",
		}}
	case s == nil:
		return policy.Errors{{
			Kind: policy.NotFound, Code: "unknown_service", Field: "service", Value: service,
			Message: "there is no service of this name for mirror " + running[0].Name, Next: "`shadowctl get services` lists them",
		}}
	}
	var next *policy.Mirror
	if len(running) == 1 {
		m, errs := running[0].For(s)
		if len(errs) > 0 {
			return errs
		}
		next = m
		if old := d.live.services.At(service); old != nil && halted(old.compiled.Mirror) && old.compiled.Mirror.Run.ID == m.Run.ID {
			next = m.Halted()
		}
	}
	if at >= 0 {
		d.services[at] = d.services[at].WithMirror(next)
	} else {
		d.derived[service] = s.WithMirror(next)
	}
	return nil
}

// inTheWay says of a change of a service that the mirror which runs on it cannot go on with it.
func inTheWay(errs policy.Errors, running []*policy.Mirror) policy.Errors {
	if len(errs) == 0 || len(running) == 0 {
		return errs
	}
	name := running[0].Name
	return policy.Errors{{
		Kind: policy.Held, Code: "mirror_running", Field: "origins", Value: name,
		Message: fmt.Sprintf("mirror %q runs on this service and cannot go on with the change: %s", name, errs[0].Message), Next: "end it with `shadowctl mirror stop " + name + "` first",
	}}
}

// serviceAfter is a service as the draft leaves it, nil if there will be none, and its edit, -1 if it has none.
func (d *draft) serviceAfter(name string) (*policy.Service, int) {
	for i, e := range d.edits {
		if e.key == (store.ObjectKey{Kind: kindService, Name: name}) {
			return d.services[i], i
		}
	}
	if s := d.live.services.At(name); s != nil {
		return s.compiled, -1
	}
	return nil, -1
}

// checkMirrorRules holds the mirrors that a draft starts against the settings of the server.
func (c *Controller) checkMirrorRules(d *draft) error {
	var found policy.Errors
	for i, m := range d.mirrors {
		if !m.Running() || d.edits[i].action == ActionRevert || d.live.mirrors[m.Name] != nil && d.live.mirrors[m.Name].compiled.Run.ID == m.Run.ID {
			continue
		}
		found = append(found, inDocument(c.allowed(m), i)...)
		found = append(found, inDocument(c.apart(d, m), i)...)
		if s, _ := d.serviceAfter(m.Service); s != nil {
			found = append(found, inDocument(c.withinBudget(d, s, m), i)...)
		}
	}
	return found.Err()
}

// allowed holds a mirror against what the settings name.
func (c *Controller) allowed(m *policy.Mirror) policy.Errors {
	found := readable(m)
	if c.experiments == nil {
		found = append(found, &policy.Error{Kind: policy.Unavailable, Code: "no_experiments", Field: "kind", Value: policy.KindMirror, Message: "this server runs no experiments"})
	}
	if m.Identity != "" && !slices.Contains(c.mirrorRules.Identities, m.Identity) {
		found = append(found, &policy.Error{
			Kind: policy.Invalid, Code: "unknown_identity", Field: "identity", Value: m.Identity,
			Message: "the server's settings have no test identity of this name", Next: "add it under mirrors.identities in the server's configuration, or leave it out",
		})
	}
	for i, v := range m.Values {
		if !slices.Contains(c.mirrorRules.Values, v) {
			found = append(found, &policy.Error{
				Kind: policy.Invalid, Code: "values_not_allowed", Field: fmt.Sprintf("values[%d]", i), Value: v,
				Message: "the server's settings do not allow values of this place to be shown", Next: "whoever may decide that adds it under mirrors.values in the server's configuration",
			})
		}
	}
	return found
}

// apart refuses a mirror whose origins are the same endpoints: it would find that they agree.
func (c *Controller) apart(d *draft, m *policy.Mirror) policy.Errors {
	s, _ := d.serviceAfter(m.Service)
	if s == nil || m.Control == "" {
		return nil
	}
	var sides [2]map[netip.AddrPort]bool
	for i, name := range [2]string{m.Control, m.Candidate} {
		o, err := originOf(s, name)
		if err != nil {
			return nil // said elsewhere
		}
		all, _ := c.endpoints.of(s.Name, o)
		sides[i] = map[netip.AddrPort]bool{}
		for _, e := range all {
			sides[i][e.Address] = true
		}
	}
	if len(sides[0]) == 0 || !maps.Equal(sides[0], sides[1]) {
		return nil
	}
	return policy.Errors{{
		Kind: policy.Invalid, Code: "same_endpoints", Field: "candidate", Value: m.Candidate,
		Message: fmt.Sprintf("it has the same endpoints as %s: an origin agrees with itself", m.Control), Next: "`shadowctl endpoints list " + m.Service + "` shows them",
	}}
}

// readable holds the rules of a mirror, its templates and descriptors against what reads them.
func readable(m *policy.Mirror) policy.Errors {
	o, errs := shadow.OptionsOf(m, make([]byte, shadow.MinKeyBytes))
	if len(errs) > 0 {
		return errs
	}
	if _, errs = shadow.NewComparer(o); len(errs) > 0 {
		return errs
	}
	_, errs = shadow.NewTally(o)
	return errs
}

// withinBudget refuses a mirror with which those of a fleet could ask more than all may together.
func (c *Controller) withinBudget(d *draft, s *policy.Service, m *policy.Mirror) policy.Errors {
	limit := cmp.Or(c.mirrorRules.MaxRPS, DefaultMirrorRPS)
	sum := max(m.MaxRPS, 1)
	for service, running := range d.running {
		if other, _ := d.serviceAfter(service); other == nil || service == m.Service || !slices.ContainsFunc(other.Fleets, func(f string) bool { return slices.Contains(s.Fleets, f) }) {
			continue
		}
		for _, o := range running {
			sum += max(o.MaxRPS, 1)
		}
	}
	if sum <= limit {
		return nil
	}
	return policy.Errors{{
		Kind: policy.Held, Code: "mirror_budget", Field: "maxRps", Value: fmt.Sprint(m.MaxRPS),
		Message: fmt.Sprintf("with the mirrors that run on the same fleet it could ask %d requests a second; the server's settings allow %d", sum, limit),
		Next:    "lower maxRps, end another mirror, or raise mirrors.maxRps in the server's configuration",
	}}
}
