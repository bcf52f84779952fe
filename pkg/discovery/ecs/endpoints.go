package ecs

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// machine is a container instance: where the ports of tasks in network mode bridge and host are.
type machine struct {
	ec2     string
	address netip.Addr // not valid if it is not known
	zone    string
	problem string // why not
}

// endpointsOf makes endpoints of the tasks of a target's group, in any order. It is pure.
//
// A task that cannot be read is left out and told as a problem; it is not an error of the whole, for then one task with a mistake would
// stop an origin from following its deployments, and addresses of tasks that ended are given to others. That does not make an origin
// shrink without a word: where a task is does not change, so one that could be read once can be until it ends.
//
// If all that run are ill, all are used: a health check that is wrong for all takes nobody out.
func endpointsOf(tasks []task, machines map[string]machine, t Target) (endpoints []discovery.Endpoint, problems []problem) {
	tasks = slices.SortedFunc(slices.Values(tasks), func(a, b task) int { return cmp.Compare(a.arn, b.arn) })
	found, well := map[netip.AddrPort]candidate{}, false
	for _, one := range tasks {
		c, err := one.endpoint(machines, t)
		if err != nil {
			problems = append(problems, problem{one.arn, err})
			continue
		}
		// An address is given to the next task when one has ended: who takes requests has it.
		if known, twice := found[c.Address]; c.presence != absent && (!twice || c.presence < known.presence) {
			found[c.Address] = c
		}
		well = well || c.presence == ready
	}
	for _, c := range found {
		if c.presence == ill && !well {
			c.State = discovery.Ready
		}
		endpoints = append(endpoints, c.Endpoint)
	}
	slices.SortFunc(endpoints, func(a, b discovery.Endpoint) int { return a.Address.Compare(b.Address) })
	return endpoints, problems
}

// problem is why a task is no endpoint.
type problem struct {
	arn string
	err *policy.Error
}

// candidate is a task as an endpoint.
type candidate struct {
	discovery.Endpoint
	presence presence
}

// endpoint makes an endpoint of a task, or says why it cannot. What is wrong with a task that ends is of no interest: had it been an
// endpoint, it could be read.
func (t task) endpoint(machines map[string]machine, target Target) (candidate, *policy.Error) {
	p := t.presence(nil)
	if p == absent {
		return candidate{}, nil
	}
	if p == unreadable {
		return candidate{}, t.problem(target, "ecs_status_unknown", t.last, "has a status that is not known here", "")
	}
	c, port, problem := t.port(target)
	out := candidate{presence: t.presence(c), Endpoint: discovery.Endpoint{Zone: t.zone}}
	if problem == nil {
		problem = t.locate(&out.Endpoint, port, machines, target)
	}
	switch {
	case problem != nil && p == leaving:
		return candidate{}, nil
	case problem != nil:
		return candidate{}, problem
	}
	out.Health, out.State = t.word(out.presence), stateOf(out.presence)
	return out, nil
}

// locate fills in where a task is.
func (t task) locate(e *discovery.Endpoint, port uint16, machines map[string]machine, target Target) *policy.Error {
	e.Metadata = map[string]string{"task": t.id(), "definition": t.definition}
	switch {
	case t.own && t.address.IsValid():
		e.Address = netip.AddrPortFrom(t.address, port)
		return nil
	case t.own:
		return t.problem(target, "ecs_address_missing", "", "has a network interface without an address that can be used", "")
	case t.machine == "":
		return t.problem(target, "ecs_address_missing", "", "has neither a network interface nor a container instance", "")
	}
	m := machines[t.machine]
	if !m.address.IsValid() {
		return t.problem(target, "ecs_machine_unknown", "",
			fmt.Sprintf("is on container instance %s, %s", after(t.machine, "/"), cmp.Or(m.problem, "which ECS does not know")),
			"tasks in network mode awsvpc have addresses of their own")
	}
	e.Address, e.Zone = netip.AddrPortFrom(m.address, port), cmp.Or(e.Zone, m.zone)
	e.Metadata["instance"] = m.ec2
	return nil
}

// port finds the container that is meant, if it can be known, and the port to connect to.
func (t task) port(target Target) (*container, uint16, *policy.Error) {
	want := uint16(target.Port)
	var chosen *container
	var host uint16
	named := false
	for i := range t.containers {
		c := &t.containers[i]
		if target.Container != "" && c.name != target.Container {
			continue
		}
		named = true
		if t.own {
			if target.Container != "" {
				chosen = c
			}
			continue
		}
		h, has := c.host(want)
		if !has {
			continue
		}
		if chosen != nil {
			return nil, 0, t.problem(target, "ecs_port_ambiguous", fmt.Sprint(target.Port),
				fmt.Sprintf("has the port in containers %q and %q", chosen.name, c.name), "name the container in the origin")
		}
		chosen, host = c, h
	}
	switch {
	case target.Container != "" && !named:
		return nil, 0, t.problem(target, "ecs_container_missing", target.Container, "has no such container; there are: "+t.names(), "")
	case t.own:
		return chosen, want, nil
	case chosen == nil:
		return nil, 0, t.problem(target, "ecs_port_missing", fmt.Sprint(target.Port), "maps no such TCP port to its host", "add it to portMappings of its task definition, or correct the origin")
	}
	return chosen, host, nil
}

// host returns the port of the host that a container's port is: the lowest, if there are several.
func (c *container) host(port uint16) (lowest uint16, has bool) {
	for _, b := range c.bindings {
		if port < b.from || port > b.to {
			continue
		}
		if h := b.host + port - b.from; !has || h < lowest {
			lowest, has = h, true
		}
	}
	return lowest, has
}

func (t task) names() string {
	var names []string
	for _, c := range t.containers {
		names = append(names, c.name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// problem says what is wrong with a task.
func (t task) problem(target Target, code, value, message, next string) *policy.Error {
	return &policy.Error{
		Kind: policy.NotFound, Code: code, Value: value, Next: next,
		Message: fmt.Sprintf("task %s (%s) of %s %s", t.id(), t.definition, target, message),
	}
}

// serving says that something takes requests.
func serving(endpoints []discovery.Endpoint) bool {
	return slices.ContainsFunc(endpoints, func(e discovery.Endpoint) bool { return e.State == discovery.Ready })
}
