package ecs

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/internal/aws"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// poller looks at one cluster and remembers what it saw. Only the goroutine of the cluster uses it.
type poller struct {
	region  *region
	cluster string
	log     *slog.Logger

	round    int                // number of the look
	tasks    map[string]*known  // of groups that are followed, by ARN
	others   map[string]string  // groups of tasks that need not be described again, by ARN
	had      map[string]bool    // groups that had a task
	machines map[string]machine // by ARN
	answers  map[string]answer  // of DescribeServices, by service
	warned   map[warning]struct{}
	account  string // of the cluster; empty until a task is known

	outcome aws.Outcome // of the last look: the worst of its parts
}

// known is a task that was described.
type known struct {
	task
	listed    bool // ECS says in this look that it is to run
	described int  // round in which it was described
	ends      int  // looks that have told its end
}

// endLooks is how many looks tell that a task has ended, before it is forgotten.
const endLooks = 3

func newPoller(c *cluster) *poller {
	return &poller{
		region: c.region, cluster: c.key.name, log: c.client.log.With("region", c.key.region, "cluster", c.key.name),
		tasks: map[string]*known{}, others: map[string]string{}, had: map[string]bool{}, machines: map[string]machine{},
		answers: map[string]answer{}, warned: map[warning]struct{}{},
	}
}

// poll looks once, for all targets. Its error is of all of them; each look may have one of its own. A look is made of whole answers: if a
// page or a part of the descriptions cannot be had, there is none.
func (p *poller) poll(ctx context.Context, targets []Target) (map[Target]discovery.Look, error) {
	p.round++
	p.outcome = aws.Answered
	at := time.Now()
	groups := map[string]bool{}
	for _, t := range targets {
		groups[t.group()] = true
	}
	if err := p.see(ctx, groups); err != nil {
		return nil, err
	}
	byGroup := p.byGroup()
	machinesErr := p.findMachines(ctx, byGroup)
	looks := make(map[Target]discovery.Look, len(targets))
	var ask []string // services that seem to have nothing
	for _, t := range targets {
		l := p.lookAt(t, byGroup[t.group()], machinesErr, at)
		looks[t] = l
		if t.Service != "" && l.Err == nil && !serving(l.Endpoints) {
			ask = append(ask, t.Service)
		}
	}
	p.askServices(ctx, ask, looks, at)
	p.forget(groups)
	return looks, nil
}

// see brings the tasks up to date.
func (p *poller) see(ctx context.Context, groups map[string]bool) error {
	listed, err := p.list(ctx)
	if err != nil {
		return err
	}
	for arn, k := range p.tasks {
		if !groups[k.group] {
			delete(p.tasks, arn) // nobody follows it any more
			continue
		}
		_, k.listed = listed[arn]
	}
	for arn := range p.others {
		if _, still := listed[arn]; !still {
			delete(p.others, arn)
		}
	}
	for _, batch := range p.plan(listed, groups) {
		if err := p.describe(ctx, batch, groups); err != nil {
			return err
		}
	}
	return nil
}

// plan says which tasks to describe, in batches: those that are new, those that ECS no longer lists until they have ended, those that are
// starting or ill; and of the rest a sixth, and as many as the batches have room for, those first that were described longest ago. So a
// cluster of up to 100 tasks is described whole in each look, and a large one within six looks. A task that is to stop leaves the list at
// once.
func (p *poller) plan(listed map[string]struct{}, groups map[string]bool) [][]string {
	var need []string
	var rest []*known
	for arn := range listed {
		group, other := p.others[arn]
		if p.tasks[arn] == nil && (!other || groups[group]) {
			need = append(need, arn)
		}
	}
	for arn, k := range p.tasks {
		switch {
		case k.over():
		case !k.listed || !k.settled():
			need = append(need, arn)
		default:
			rest = append(rest, k)
		}
	}
	slices.Sort(need)
	slices.SortFunc(rest, func(a, b *known) int { return cmp.Or(cmp.Compare(a.described, b.described), cmp.Compare(a.arn, b.arn)) })
	const size, share = describeBatch, 6
	least := len(need) + (len(rest)+share-1)/share
	room := min((least+size-1)/size*size-len(need), len(rest))
	for _, k := range rest[:max(room, 0)] {
		need = append(need, k.arn)
	}
	return slices.Collect(slices.Chunk(need, size))
}

// byGroup returns the tasks of each group.
func (p *poller) byGroup() map[string][]task {
	out := map[string][]task{}
	for _, k := range p.tasks {
		out[k.group] = append(out[k.group], k.task)
	}
	return out
}

// forget drops what no look needs any more.
func (p *poller) forget(groups map[string]bool) {
	used := map[string]bool{}
	for arn, k := range p.tasks {
		if k.over() {
			if k.ends++; k.ends >= endLooks {
				delete(p.tasks, arn)
				p.others[arn] = ""
				continue
			}
		}
		used[k.machine] = true
	}
	for arn := range p.machines {
		if !used[arn] {
			delete(p.machines, arn)
		}
	}
	for g := range p.had {
		if !groups[g] {
			delete(p.had, g)
		}
	}
	for s := range p.answers {
		if !groups[servicePrefix+s] {
			delete(p.answers, s)
		}
	}
	for w := range p.warned {
		if p.tasks[w.arn] == nil {
			delete(p.warned, w)
		}
	}
}

// worse notes how a part of the look went.
func (p *poller) worse(err error) {
	p.outcome = max(p.outcome, aws.OutcomeOf(err))
}

// explain says why a call failed, and notes it.
func (p *poller) explain(err error, service, action string) *policy.Error {
	p.worse(err)
	if e := p.ecsError(err); e != nil {
		return e
	}
	now := time.Now()
	e := aws.Explain(err, service, action, p.region.name, now)
	if strings.HasPrefix(e.Code, "aws_credentials_") {
		p.region.renew(now)
	}
	return e
}
