package ecs

import (
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/awstest"
)

// onMachine is a task in network mode bridge.
func onMachine(machine string, hostPort int) awstest.Task {
	return awstest.Task{
		Cluster: "prod", Group: "service:orders", Machine: machine,
		Containers: []awstest.Container{{Name: "app", Bindings: []awstest.Binding{{ContainerPort: 8080, HostPort: hostPort}}}},
	}
}

// TestTasksOnEC2: where a machine is, is asked once.
func TestTasksOnEC2(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		one := e.AddMachine(awstest.Machine{Cluster: "prod", EC2: "i-1", Address: "10.9.0.1", Zone: "eu-central-1b"})
		two := e.AddMachine(awstest.Machine{Cluster: "prod", EC2: "i-2", Address: "10.9.0.2", Zone: "eu-central-1c"})
		e.RunTask(onMachine(one, 32768))
		w := watch(t, c, orders)
		w.expect(time.Second, "10.9.0.1")
		if a := w.last().Endpoints[0]; a.Address.Port() != 32768 || a.Metadata["instance"] != "i-1" {
			t.Errorf("got %+v", a)
		}
		w.expect(time.Minute, "10.9.0.1")
		if calls := e.Calls(); calls["DescribeContainerInstances"] != 1 || calls["DescribeInstances"] != 1 {
			t.Errorf("calls %v", calls)
		}
		arn := e.RunTask(onMachine(two, 32768))
		w.expect(poll1, "10.9.0.1 10.9.0.2")
		e.SetStatus(arn, "STOPPING", "STOPPED")
		w.expect(poll1, "10.9.0.1 10.9.0.2d(STOPPING)")
		e.SetStatus(arn, "STOPPED", "STOPPED")
		w.expect(5*poll1, "10.9.0.1")
		if calls := e.Calls(); calls["DescribeContainerInstances"] != 2 || calls["DescribeInstances"] != 2 {
			t.Errorf("calls %v", calls)
		}
	})
}

// TestEC2IsForbidden: who needs no machine does not care; who does, hears of it.
func TestEC2IsForbidden(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		one := e.AddMachine(awstest.Machine{Cluster: "prod", EC2: "i-1", Address: "10.9.0.1"})
		e.RunTask(onMachine(one, 32768))
		e.RunTask(awstest.Task{Cluster: "prod", Group: "service:carts", Address: "10.0.0.1"})
		e.Fail(awstest.Fault{Action: "DescribeInstances", Code: "UnauthorizedOperation", Status: 403})
		carts := orders
		carts.Service = "carts"
		a, b := watch(t, c, orders), watch(t, c, carts)
		a.expect(time.Second, "!aws_access_denied")
		b.expect(0, "10.0.0.1")
		e.Heal()
		a.expect(poll1, "10.9.0.1")
		e.Fail(awstest.Fault{Action: "DescribeContainerInstances", Code: "ServerException", Status: 500})
		a.expect(2*poll1, "10.9.0.1") // what is known of a machine stays
		two := e.AddMachine(awstest.Machine{Cluster: "prod", EC2: "i-2", Address: "10.9.0.2"})
		e.RunTask(onMachine(two, 32768))
		a.expect(2*poll1, "!aws_failing") // without the new one it would be a part
		b.expect(0, "10.0.0.1")
	})
}

func TestMachinesThatAreNotOnEC2(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		anywhere := e.AddMachine(awstest.Machine{Cluster: "prod", EC2: "mi-1"})
		gone := e.AddMachine(awstest.Machine{Cluster: "prod", EC2: "i-gone"})
		e.RunTask(onMachine(anywhere, 1))
		w := watch(t, c, orders)
		w.expect(time.Second, "!ecs_machine_unknown")
		e.RunTask(onMachine(gone, 1))
		e.RunTask(onMachine("arn:aws:ecs:eu-central-1:123456789012:container-instance/prod/nobody", 1))
		w.expect(poll1, "!ecs_machine_unknown")
		one := e.AddMachine(awstest.Machine{Cluster: "prod", EC2: "i-1", Address: "10.9.0.1"})
		e.RunTask(onMachine(one, 1))
		w.expect(poll1, "10.9.0.1")
	})
}
