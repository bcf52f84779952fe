package awstest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// request has the fields of all requests together.
type request struct {
	Cluster            string   `json:"cluster"`
	DesiredStatus      string   `json:"desiredStatus"`
	ServiceName        string   `json:"serviceName"`
	Family             string   `json:"family"`
	MaxResults         int      `json:"maxResults"`
	NextToken          string   `json:"nextToken"`
	Tasks              []string `json:"tasks"`
	Services           []string `json:"services"`
	ContainerInstances []string `json:"containerInstances"`
}

// failure is an answer that says what is wrong.
type failure struct {
	Code    string `json:"__type"`
	Message string `json:"message"`
}

// object is a JSON object.
type object = map[string]any

// do carries out an action of ECS.
func (e *ECS) do(action string, in request) (object, *failure) {
	e.mu.Lock()
	defer e.mu.Unlock()
	name := nameIn(in.Cluster)
	if name == "" {
		name = "default"
	}
	c := e.clusters[name]
	if c == nil {
		return nil, &failure{Code: "ClusterNotFoundException", Message: "Cluster not found."}
	}
	switch action {
	case "ListTasks":
		return e.listTasks(c, in)
	case "DescribeTasks":
		return describe("tasks", "task", 100, in.Tasks, func(arn string) (object, bool) {
			t := e.tasks[arn]
			if t == nil {
				t = e.tasks[fmt.Sprintf("arn:aws:ecs:%s:%s:task/%s/%s", region, account, name, arn)]
			}
			if t == nil || t.Cluster != name {
				return nil, false
			}
			return t.object(), true
		})
	case "DescribeServices":
		return describe("services", "service", 10, in.Services, func(s string) (object, bool) {
			service := c.services[nameIn(s)]
			if service == nil {
				return nil, false
			}
			return service.object(name, nameIn(s), c.tasks), true
		})
	case "DescribeContainerInstances":
		return describe("containerInstances", "container-instance", 100, in.ContainerInstances, func(arn string) (object, bool) {
			m := e.machines[arn]
			if m == nil || m.Cluster != name {
				return nil, false
			}
			return m.object(), true
		})
	}
	return nil, &failure{Code: "UnknownOperationException", Message: action}
}

// listTasks gives a page of ARNs. A token is the number of the last task of the page before.
func (e *ECS) listTasks(c *cluster, in request) (object, *failure) {
	size, after := in.MaxResults, 0
	if size == 0 {
		size = 100
	}
	if size < 1 || size > 100 {
		return nil, &failure{Code: "InvalidParameterException", Message: "maxResults must be between 1 and 100"}
	}
	if in.NextToken != "" {
		var err error
		if after, err = strconv.Atoi(in.NextToken); err != nil {
			return nil, &failure{Code: "InvalidParameterException", Message: "Invalid token"}
		}
	}
	desired := in.DesiredStatus
	if desired == "" {
		desired = "RUNNING"
	}
	from, _ := slices.BinarySearchFunc(c.tasks, after+1, func(t *Task, n int) int { return t.number - n })
	arns, last := []string{}, 0
	for _, t := range c.tasks[from:] {
		if t.Desired != desired || in.ServiceName != "" && t.Group != "service:"+nameIn(in.ServiceName) || c.hidden != nil && c.hidden(*t) {
			continue
		}
		if family, _, _ := strings.Cut(t.Definition, ":"); in.Family != "" && family != in.Family {
			continue
		}
		if len(arns) == size {
			return object{"taskArns": arns, "nextToken": strconv.Itoa(last)}, nil
		}
		arns, last = append(arns, t.arn), t.number
	}
	return object{"taskArns": arns}, nil
}

// describe answers what is asked of each name, and lists those that are not there.
func describe(field, kind string, most int, names []string, one func(string) (object, bool)) (object, *failure) {
	if len(names) == 0 || len(names) > most {
		return nil, &failure{Code: "InvalidParameterException", Message: fmt.Sprintf("%s must have between 1 and %d members, not %d", field, most, len(names))}
	}
	found, failures := []object{}, []object{}
	for _, name := range names {
		if o, ok := one(name); ok {
			found = append(found, o)
			continue
		}
		arn := name
		if !strings.HasPrefix(arn, "arn:") {
			arn = fmt.Sprintf("arn:aws:ecs:%s:%s:%s/%s", region, account, kind, name)
		}
		failures = append(failures, object{"arn": arn, "reason": "MISSING"})
	}
	return object{field: found, "failures": failures}, nil
}

func (t *Task) object() object {
	containers := make([]object, len(t.Containers))
	for i := range t.Containers {
		containers[i] = t.container(&t.Containers[i])
	}
	o := object{
		"taskArn": t.arn, "clusterArn": clusterARN(t.Cluster), "group": t.Group, "lastStatus": t.Last, "desiredStatus": t.Desired,
		"healthStatus": t.Health, "availabilityZone": t.Zone, "launchType": "FARGATE",
		"taskDefinitionArn": fmt.Sprintf("arn:aws:ecs:%s:%s:task-definition/%s", region, account, t.Definition),
		"createdAt":         float64(t.created.UnixMilli()) / 1000, "containers": containers, "attachments": []object{},
	}
	if t.started {
		o["startedAt"] = float64(t.created.UnixMilli()) / 1000
	}
	if t.Machine != "" {
		o["launchType"], o["containerInstanceArn"] = "EC2", t.Machine
	}
	if t.Address != "" {
		details := []object{
			{"name": "subnetId", "value": "subnet-0f"},
			{"name": "networkInterfaceId", "value": fmt.Sprintf("eni-%x", t.number)},
			{"name": "macAddress", "value": "0a:00:00:00:00:01"},
		}
		if a, err := netip.ParseAddr(t.Address); err != nil || a.Is4() {
			details = append(details, object{"name": "privateIPv4Address", "value": t.Address})
		}
		o["attachments"] = []object{{"id": fmt.Sprintf("%032x", t.number), "type": "ElasticNetworkInterface", "status": "ATTACHED", "details": details}}
	}
	return o
}

func (t *Task) container(c *Container) object {
	last, health := c.Last, c.Health
	if last == "" {
		last = t.Last
	}
	if health == "" {
		health = "UNKNOWN"
	}
	bindings, interfaces := []object{}, []object{}
	for _, b := range c.Bindings {
		protocol := b.Protocol
		if protocol == "" {
			protocol = "tcp"
		}
		o := object{"bindIP": "0.0.0.0", "protocol": protocol}
		if b.ContainerRange != "" {
			o["containerPortRange"], o["hostPortRange"] = b.ContainerRange, b.HostRange
		} else {
			o["containerPort"], o["hostPort"] = b.ContainerPort, b.HostPort
		}
		bindings = append(bindings, o)
	}
	if t.Address != "" {
		one := object{"attachmentId": fmt.Sprintf("%032x", t.number), "privateIpv4Address": t.Address}
		if a, err := netip.ParseAddr(t.Address); err == nil && a.Is6() {
			one = object{"attachmentId": fmt.Sprintf("%032x", t.number), "ipv6Address": t.Address}
		}
		interfaces = append(interfaces, one)
	}
	return object{
		"containerArn": fmt.Sprintf("arn:aws:ecs:%s:%s:container/%s/%x", region, account, t.Cluster, t.number), "taskArn": t.arn,
		"name": c.Name, "lastStatus": last, "healthStatus": health, "image": "app:1", "networkBindings": bindings, "networkInterfaces": interfaces,
	}
}

func (s *Service) object(cluster, name string, tasks []*Task) object {
	running, pending := 0, 0
	for _, t := range tasks {
		switch {
		case t.Group != "service:"+name:
		case t.Last == "RUNNING":
			running++
		case t.Last == "PENDING" || t.Last == "PROVISIONING" || t.Last == "ACTIVATING":
			pending++
		}
	}
	return object{
		"serviceArn": fmt.Sprintf("arn:aws:ecs:%s:%s:service/%s/%s", region, account, cluster, name), "serviceName": name,
		"clusterArn": clusterARN(cluster), "status": s.Status, "desiredCount": s.Desired, "runningCount": running, "pendingCount": pending,
		"launchType": "FARGATE", "events": []object{}, "deployments": []object{}, "loadBalancers": []object{},
	}
}

func (m *Machine) object() object {
	return object{
		"containerInstanceArn": m.arn, "ec2InstanceId": m.EC2, "status": "ACTIVE", "agentConnected": true,
		"attributes": []object{{"name": "ecs.availability-zone", "value": m.Zone}, {"name": "ecs.os-type", "value": "linux"}},
	}
}

func clusterARN(name string) string {
	return fmt.Sprintf("arn:aws:ecs:%s:%s:cluster/%s", region, account, name)
}
