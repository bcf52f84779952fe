package ecs

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/discovery/internal/aws"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Target is where the endpoints of one origin are. Targets can be compared.
type Target struct {
	Region string // for example "eu-central-1"
	// Cluster by name or ARN. Targets that name the same cluster in the same way share all calls.
	Cluster string
	// Service by name: its tasks. Either it or Group is given.
	Service string
	// Group is a task group: what RunTask was told, or "family:NAME" if it was told nothing.
	Group string
	// Container by name. It may be empty if one container of the task has the port.
	Container string
	// Port at which the container listens: in network mode awsvpc and host the same for everybody, in bridge mode that inside.
	Port int
}

// Forms of names, as ECS restricts them.
var (
	nameForm    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	clusterForm = regexp.MustCompile(`^(arn:aws[a-z-]*:ecs:[a-z0-9-]+:[0-9]{12}:cluster/)?[A-Za-z0-9_-]{1,255}$`)
	groupForm   = regexp.MustCompile(`^[A-Za-z0-9_:./-]{1,255}$`)
)

// Check returns what is wrong with a target, as policy.Errors; nil if nothing is.
func (t Target) Check() error {
	var wrong policy.Errors
	refuse := func(field, code, value, message, next string) {
		wrong = append(wrong, &policy.Error{Kind: policy.Invalid, Code: code, Field: field, Value: value, Message: message, Next: next})
	}
	if e := aws.CheckRegion(t.Region); e != nil {
		wrong = append(wrong, e)
	} else if t.Region == "" {
		refuse("region", "aws_region_missing", "", "a region is needed, for example eu-central-1", "")
	}
	if !clusterForm.MatchString(t.Cluster) {
		refuse("cluster", "ecs_cluster_invalid", t.Cluster, "a cluster is its ARN, or its name of at most 255 letters, digits, dashes and underscores", "")
	} else if region := regionIn(t.Cluster); region != "" && region != t.Region {
		refuse("cluster", "ecs_cluster_region", t.Cluster, fmt.Sprintf("the ARN is of region %s, the target of %q", region, t.Region), "make them the same")
	}
	t.checkTasks(refuse)
	if t.Container != "" && !nameForm.MatchString(t.Container) {
		refuse("container", "ecs_container_invalid", t.Container, "a container has a name of at most 255 letters, digits, dashes and underscores", "")
	}
	if t.Port < 1 || t.Port > 65535 {
		refuse("port", "port_invalid", fmt.Sprint(t.Port), "a port is between 1 and 65535", "")
	}
	return wrong.Err()
}

// checkTasks checks what says whose tasks are meant.
func (t Target) checkTasks(refuse func(field, code, value, message, next string)) {
	switch {
	case t.Service == "" && t.Group == "":
		refuse("service", "ecs_service_required", "", "a service is needed, or the group of tasks that belong to none", "")
	case t.Service != "" && t.Group != "":
		refuse("group", "ecs_group_and_service", t.Group, "either a service or a group may be given, not both", "")
	case strings.HasPrefix(t.Group, servicePrefix):
		refuse("group", "ecs_group_invalid", t.Group, "this is the group of a service", "give the service instead: it also has a desired count")
	case t.Group != "" && !groupForm.MatchString(t.Group):
		refuse("group", "ecs_group_invalid", t.Group, "a group is at most 255 letters, digits, and of :./_-", "")
	case t.Service != "" && !nameForm.MatchString(t.Service):
		refuse("service", "ecs_service_invalid", t.Service, "a service has a name of at most 255 letters, digits, dashes and underscores",
			"give its name alone, not its ARN")
	}
}

func regionIn(cluster string) string {
	if parts := strings.SplitN(cluster, ":", 6); len(parts) == 6 {
		return parts[3]
	}
	return ""
}

// String is the target as messages name it.
func (t Target) String() string {
	what := fmt.Sprintf("service %q", t.Service)
	if t.Service == "" {
		what = fmt.Sprintf("group %q", t.Group)
	}
	return fmt.Sprintf("%s in ECS cluster %q", what, t.Cluster)
}

// servicePrefix is what ECS puts before the name of a service to name the group of its tasks.
const servicePrefix = "service:"

// group is the task group of a target.
func (t Target) group() string {
	if t.Service != "" {
		return servicePrefix + t.Service
	}
	return t.Group
}

func compareTargets(a, b Target) int {
	return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.group(), b.group()),
		cmp.Compare(a.Container, b.Container), cmp.Compare(a.Port, b.Port))
}
