package ecs

import (
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// lookAt says what there is of a target, as far as its tasks say it.
func (p *poller) lookAt(t Target, tasks []task, machinesErr error, at time.Time) discovery.Look {
	l := discovery.Look{At: at}
	if machinesErr != nil && slices.ContainsFunc(tasks, func(one task) bool {
		return one.needsMachine() && !p.machines[one.machine].settled()
	}) {
		l.Err = machinesErr
		return l
	}
	endpoints, problems := endpointsOf(tasks, p.machines, t)
	switch {
	case len(problems) > 0 && !serving(endpoints):
		l.Err = problems[0].err
		return l
	case t.Service == "" && len(tasks) == 0 && !p.had[t.group()]:
		l.Err = &policy.Error{
			Kind: policy.NotFound, Code: "ecs_group_missing", Message: t.String() + " has no tasks that run",
			Next: fmt.Sprintf("see the group of each with `aws ecs describe-tasks --region %s --cluster %s`", t.Region, t.Cluster),
		}
		return l
	}
	p.warn(problems)
	if serving(endpoints) {
		delete(p.answers, t.Service)
	}
	l.Endpoints = endpoints
	return l
}

// warning is what was logged of a task.
type warning struct{ arn, message string }

// warn logs what is wrong with tasks, once each.
func (p *poller) warn(problems []problem) {
	for _, problem := range problems {
		w := warning{problem.arn, problem.err.Message}
		if _, before := p.warned[w]; !before {
			p.log.Warn("a task that runs is no endpoint", "error", problem.err)
			p.warned[w] = struct{}{}
		}
	}
}
