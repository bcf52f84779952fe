package ecs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// What ECS takes and gives in one call.
const (
	listPage      = 100
	maxPages      = 1000 // more is an answer that never ends
	describeBatch = 100
	serviceBatch  = 10
)

// missing is ECS's word for what it does not know.
const missing = "MISSING"

// list returns the ARNs of all tasks of the cluster that are to run.
func (p *poller) list(ctx context.Context) (map[string]struct{}, error) {
	clients, err := p.region.get(ctx)
	if err != nil {
		return nil, p.explain(err, "ECS", "ecs:ListTasks")
	}
	listed := map[string]struct{}{}
	in := &ecs.ListTasksInput{Cluster: &p.cluster, MaxResults: sdk.Int32(listPage), DesiredStatus: types.DesiredStatusRunning}
	for range maxPages {
		out, err := clients.ecs.ListTasks(ctx, in)
		if err != nil {
			return nil, p.explain(err, "ECS", "ecs:ListTasks")
		}
		for _, arn := range out.TaskArns {
			if err := p.sameAccount(arn); err != nil {
				return nil, err
			}
			listed[arn] = struct{}{}
		}
		if sdk.ToString(out.NextToken) == "" {
			return listed, nil
		}
		in.NextToken = out.NextToken
	}
	return nil, p.odd("lists more than %d pages of tasks", maxPages)
}

// describe brings some tasks up to date. An answer must account for each of them.
func (p *poller) describe(ctx context.Context, arns []string, groups map[string]bool) error {
	clients, err := p.region.get(ctx)
	if err != nil {
		return p.explain(err, "ECS", "ecs:DescribeTasks")
	}
	out, err := clients.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &p.cluster, Tasks: arns})
	if err != nil {
		return p.explain(err, "ECS", "ecs:DescribeTasks")
	}
	told := make(map[string]bool, len(arns))
	for i := range out.Tasks {
		t := read(&out.Tasks[i])
		told[t.arn] = true
		p.learn(t, groups)
	}
	for _, f := range out.Failures {
		if reason := sdk.ToString(f.Reason); reason != missing {
			return p.odd("does not describe task %s: %s %s", sdk.ToString(f.Arn), reason, sdk.ToString(f.Detail))
		}
		told[sdk.ToString(f.Arn)] = true
		p.lose(sdk.ToString(f.Arn))
	}
	if i := slices.IndexFunc(arns, func(arn string) bool { return !told[arn] }); i >= 0 {
		return p.odd("was asked for %d tasks, and says nothing of %s", len(arns), arns[i])
	}
	return nil
}

// learn notes what a task is now.
func (p *poller) learn(t task, groups map[string]bool) {
	k := p.tasks[t.arn]
	switch {
	case !groups[t.group]:
		delete(p.tasks, t.arn)
		p.others[t.arn] = t.group
	case k != nil:
		k.task, k.described = k.later(t), p.round
	case t.over():
		p.others[t.arn] = t.group // it had ended before we knew it
	default:
		delete(p.others, t.arn)
		p.had[t.group] = true
		p.account = accountIn(t.arn)
		p.tasks[t.arn] = &known{task: t, listed: true, described: p.round}
	}
}

// lose notes that ECS knows nothing of a task. If it lists it in the same look, one of its answers is old, and the task is what it was.
func (p *poller) lose(arn string) {
	if k := p.tasks[arn]; k != nil && !k.listed {
		delete(p.tasks, arn)
	}
}

// sameAccount refuses answers of another AWS account while tasks of one are known: it may have a cluster and a service with the same
// names.
func (p *poller) sameAccount(arn string) error {
	is := accountIn(arn)
	if len(p.tasks) == 0 || is == p.account {
		return nil
	}
	return &policy.Error{
		Kind: policy.Unavailable, Code: "ecs_account_changed", Value: is,
		Message: fmt.Sprintf("ECS in %s answers for another AWS account than before, %s", p.region.name, p.account),
		Next:    "give this process its AWS identity back; if the move is meant, restart it",
	}
}

// accountIn is the account that an ARN names.
func accountIn(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}

// odd says that an answer cannot be used.
func (p *poller) odd(format string, args ...any) *policy.Error {
	p.worse(errOdd)
	return &policy.Error{
		Kind: policy.Unavailable, Code: "ecs_answer_odd",
		Message: fmt.Sprintf("ECS in %s ", p.region.name) + fmt.Sprintf(format, args...), Next: "it is asked again",
	}
}

var errOdd = errors.New("odd answer")

// ecsError explains what only ECS says; nil if it is nothing of the kind.
func (p *poller) ecsError(err error) *policy.Error {
	var notFound *types.ClusterNotFoundException
	if !errors.As(err, &notFound) {
		return nil
	}
	return &policy.Error{
		Kind: policy.NotFound, Code: "ecs_cluster_missing", Value: p.cluster,
		Message: fmt.Sprintf("there is no such ECS cluster in %s, in the AWS account that we belong to", p.region.name),
		Next:    fmt.Sprintf("see which there are with `aws ecs list-clusters --region %s`, and who we are with `aws sts get-caller-identity`", p.region.name),
	}
}
