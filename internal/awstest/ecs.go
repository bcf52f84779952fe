package awstest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// account and region are in the names of everything here.
const (
	account = "123456789012"
	region  = "eu-central-1"
)

// ECS is a fake of the parts of ECS and EC2 that tell where tasks are. It speaks to the real SDK. Its methods may be called from several
// goroutines. [NewECS] and [StartECS] make one.
type ECS struct {
	mu       sync.Mutex
	clusters map[string]*cluster // by name
	tasks    map[string]*Task    // by ARN
	machines map[string]*Machine // by ARN
	counter  int                 // of tasks and instances
	faults   []*Fault
	latency  time.Duration
	down     bool
	calls    map[string]int

	server *server // nil unless it is served on loopback
}

type cluster struct {
	services map[string]*Service
	tasks    []*Task // by number
	hidden   func(Task) bool
}

// Service is what DescribeServices says of one.
type Service struct {
	Status  string // ACTIVE, DRAINING or INACTIVE
	Desired int
}

// Task is what DescribeTasks says of one. The zero values of the lower half are filled in by [ECS.RunTask].
type Task struct {
	Cluster string
	Group   string // "service:orders"
	// Address is of its network interface, IPv4 or IPv6; empty if it has none: network mode bridge or host.
	Address string
	Zone    string
	Machine string // ARN of [ECS.AddMachine]; empty on Fargate

	Definition string      // "orders:7"
	Containers []Container // one, "app"
	Last       string      // lastStatus: RUNNING
	Desired    string      // desiredStatus: RUNNING
	Health     string      // healthStatus: UNKNOWN

	arn     string
	number  int
	created time.Time
	started bool
}

// Container is a container of a task.
type Container struct {
	Name     string
	Last     string // lastStatus: that of the task
	Health   string // healthStatus: UNKNOWN
	Bindings []Binding
}

// Binding is a port of a container in network mode bridge or host. Ranges are "8000-8010"; they are in place of the ports.
type Binding struct {
	ContainerPort, HostPort   int
	ContainerRange, HostRange string
	Protocol                  string // tcp
}

// Machine is a container instance.
type Machine struct {
	Cluster string
	EC2     string // "i-0123", or "mi-0123" of ECS Anywhere
	Address string // as EC2 knows it; empty if EC2 does not know it
	Zone    string

	arn string
}

// NewECS makes one that is reached by [ECS.Direct] only, without any network: for bubbles of testing/synctest.
func NewECS() *ECS {
	return &ECS{clusters: map[string]*cluster{}, tasks: map[string]*Task{}, machines: map[string]*Machine{}, calls: map[string]int{}}
}

// StartECS serves one on loopback until the test ends.
func StartECS(t testing.TB) *ECS {
	t.Helper()
	e := NewECS()
	if err := e.serve(t); err != nil {
		t.Fatal(err)
	}
	return e
}

// CreateCluster makes an empty cluster.
func (e *ECS) CreateCluster(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clusters[name] = &cluster{services: map[string]*Service{}}
}

// DeleteCluster forgets a cluster and what is in it.
func (e *ECS) DeleteCluster(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.cluster(name).tasks {
		delete(e.tasks, t.arn)
	}
	delete(e.clusters, name)
}

// cluster returns a cluster; that there is none is a mistake of the test. The caller holds mu.
func (e *ECS) cluster(name string) *cluster {
	c := e.clusters[name]
	if c == nil {
		panic("awstest: there is no cluster " + name)
	}
	return c
}

// SetService makes an active service, or changes how many tasks it should have. It starts and stops none: tests do.
func (e *ECS) SetService(cluster, name string, desired int) {
	e.SetServiceStatus(cluster, name, desired, "ACTIVE")
}

// SetServiceStatus is [ECS.SetService] with another status.
func (e *ECS) SetServiceStatus(cluster, name string, desired int, status string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cluster(cluster).services[name] = &Service{Status: status, Desired: desired}
}

// RemoveService forgets a service, as ECS does some time after it was deleted.
func (e *ECS) RemoveService(cluster, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.cluster(cluster).services, name)
}

// RunTask adds a task and returns its ARN.
func (e *ECS) RunTask(t Task) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.cluster(t.Cluster)
	e.counter++
	t.number = e.counter
	t.arn = fmt.Sprintf("arn:aws:ecs:%s:%s:task/%s/%032x", region, account, t.Cluster, t.number)
	t.created = time.Now()
	t.Definition = cmp.Or(t.Definition, "orders:1")
	t.Last, t.Desired, t.Health = cmp.Or(t.Last, "RUNNING"), cmp.Or(t.Desired, "RUNNING"), cmp.Or(t.Health, "UNKNOWN")
	t.Zone = cmp.Or(t.Zone, region+"a")
	if t.Containers == nil {
		t.Containers = []Container{{Name: "app"}}
	}
	t.started = t.Last == "RUNNING"
	c.tasks = append(c.tasks, &t)
	e.tasks[t.arn] = &t
	return t.arn
}

// SetStatus changes the lastStatus and desiredStatus of a task.
func (e *ECS) SetStatus(arn, last, desired string) {
	e.Edit(arn, func(t *Task) { t.Last, t.Desired = last, desired })
}

// SetHealth changes the healthStatus of a task.
func (e *ECS) SetHealth(arn, health string) {
	e.Edit(arn, func(t *Task) { t.Health = health })
}

// Edit changes a task.
func (e *ECS) Edit(arn string, change func(*Task)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.tasks[arn]
	if t == nil {
		panic("awstest: there is no task " + arn)
	}
	change(t)
	t.started = t.started || t.Last == "RUNNING"
}

// Remove forgets a task, as ECS does about an hour after it stopped.
func (e *ECS) Remove(arn string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.tasks[arn]
	if t == nil {
		return
	}
	delete(e.tasks, arn)
	c := e.cluster(t.Cluster)
	c.tasks = slices.DeleteFunc(c.tasks, func(other *Task) bool { return other == t })
}

// Hide makes ListTasks leave out the tasks for which it is true, though they run: what a wrong answer of ECS would look like.
// nil hides none.
func (e *ECS) Hide(cluster string, hidden func(Task) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cluster(cluster).hidden = hidden
}

// AddMachine adds a container instance and returns its ARN.
func (e *ECS) AddMachine(m Machine) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counter++
	m.arn = fmt.Sprintf("arn:aws:ecs:%s:%s:container-instance/%s/%032x", region, account, m.Cluster, e.counter)
	e.machines[m.arn] = &m
	return m.arn
}

// Tasks returns the ARNs of the tasks of a group, oldest first.
func (e *ECS) Tasks(cluster, group string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, t := range e.cluster(cluster).tasks {
		if t.Group == group {
			out = append(out, t.arn)
		}
	}
	return out
}

// nameIn is the name that a name or an ARN means.
func nameIn(nameOrARN string) string {
	return nameOrARN[strings.LastIndex(nameOrARN, "/")+1:]
}
