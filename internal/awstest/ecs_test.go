package awstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"
)

var prod = aws.String("prod")

func TestPages(t *testing.T) {
	e := NewECS()
	e.CreateCluster("prod")
	want := map[string]bool{}
	for i := range 250 {
		arn := e.RunTask(Task{Cluster: "prod", Group: fmt.Sprintf("service:s%d", i%2), Address: fmt.Sprintf("10.0.0.%d", i)})
		want[arn] = true
		switch {
		case i%50 == 7:
			e.Remove(arn)
			delete(want, arn)
		case i%50 == 9:
			e.SetStatus(arn, "RUNNING", "STOPPED")
			delete(want, arn)
		}
	}
	client := ecs.NewFromConfig(e.Direct(region))
	for _, size := range []int32{1, 7, 100} {
		got := map[string]bool{}
		in := &ecs.ListTasksInput{Cluster: prod, MaxResults: aws.Int32(size)}
		for {
			out, err := client.ListTasks(t.Context(), in)
			if err != nil || len(out.TaskArns) > int(size) {
				t.Fatalf("%d tasks, %v", len(out.TaskArns), err)
			}
			for _, arn := range out.TaskArns {
				got[arn] = true
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				break
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("pages of %d give %d tasks, want %d", size, len(got), len(want))
		}
	}
	out, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String(clusterARN("prod")), ServiceName: aws.String("s1"), DesiredStatus: "STOPPED"})
	if err != nil || len(out.TaskArns) != 5 {
		t.Errorf("%d tasks of s1 are to stop, want 5; %v", len(out.TaskArns), err)
	}
}

func TestLimits(t *testing.T) {
	e := NewECS()
	e.CreateCluster("prod")
	client := ecs.NewFromConfig(e.Direct(region))
	many := slices.Repeat([]string{"x"}, 101)
	for name, call := range map[string]func() error{
		"101 tasks": func() error {
			_, err := client.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: prod, Tasks: many})
			return err
		},
		"11 services": func() error {
			_, err := client.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: prod, Services: many[:11]})
			return err
		},
		"101 instances": func() error {
			_, err := client.DescribeContainerInstances(t.Context(), &ecs.DescribeContainerInstancesInput{Cluster: prod, ContainerInstances: many})
			return err
		},
		"pages of 101": func() error {
			_, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: prod, MaxResults: aws.Int32(101)})
			return err
		},
		"a token of nobody": func() error {
			_, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: prod, NextToken: aws.String("x")})
			return err
		},
	} {
		if err := call(); code(err) != "InvalidParameterException" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{}); code(err) != "ClusterNotFoundException" {
		t.Errorf("cluster \"default\": %v", err)
	}
	out, err := client.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: prod, Tasks: many[:1]})
	if err != nil || len(out.Failures) != 1 || aws.ToString(out.Failures[0].Reason) != "MISSING" {
		t.Errorf("a task that is not there: %+v, %v", out, err)
	}
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func TestFaults(t *testing.T) {
	e := NewECS()
	e.CreateCluster("prod")
	e.CreateCluster("dev")
	client := ecs.NewFromConfig(e.Direct(region))
	list := func(cluster string) string {
		_, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: &cluster})
		return code(err)
	}
	e.Fail(Fault{Action: "DescribeTasks", Code: "A"})
	e.Fail(Fault{Cluster: "prod", Code: "B", Status: 500, Times: 2})
	e.Fail(Fault{Code: "C", Times: 1})
	for i, want := range []struct{ cluster, code string }{{"prod", "B"}, {"dev", "C"}, {"dev", "<nil>"}, {"prod", "B"}, {"prod", "<nil>"}} {
		if got := list(want.cluster); got != want.code {
			t.Errorf("call %d: %s, want %s", i, got, want.code)
		}
	}
	if got := e.Calls(); got["ListTasks"] != 5 || len(got) != 1 {
		t.Errorf("calls %v", got)
	}
	e.Fail(Fault{Code: "D"})
	if a, b := list("prod"), list("prod"); a != "D" || b != "D" {
		t.Errorf("got %s and %s", a, b)
	}
	e.Heal()
	if got := list("prod"); got != "<nil>" {
		t.Errorf("got %s after it was healed", got)
	}
}

// TestInstances: EC2 is asked by filter, by ID, and for an instance that it does not know.
func TestInstances(t *testing.T) {
	e := StartECS(t)
	e.CreateCluster("prod")
	arn := e.AddMachine(Machine{Cluster: "prod", EC2: "i-1", Address: "10.0.0.1", Zone: "eu-central-1b"})
	e.AddMachine(Machine{Cluster: "prod", EC2: "i-2", Address: "fd00::2", Zone: "eu-central-1c"})
	machines, err := ecs.NewFromConfig(e.Config(region)).DescribeContainerInstances(t.Context(),
		&ecs.DescribeContainerInstancesInput{Cluster: prod, ContainerInstances: []string{arn}})
	if err != nil || len(machines.ContainerInstances) != 1 || aws.ToString(machines.ContainerInstances[0].Ec2InstanceId) != "i-1" {
		t.Fatalf("got %+v, %v", machines, err)
	}
	client := ec2.NewFromConfig(e.Config(region))
	out, err := client.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{
		Filters: []ec2types.Filter{{Name: aws.String("instance-id"), Values: []string{"i-1", "i-2", "i-3"}}},
	})
	if err != nil || len(out.Reservations) != 2 {
		t.Fatalf("got %+v, %v", out, err)
	}
	one, two := out.Reservations[0].Instances[0], out.Reservations[1].Instances[0]
	if aws.ToString(one.PrivateIpAddress) != "10.0.0.1" || aws.ToString(one.Placement.AvailabilityZone) != "eu-central-1b" || aws.ToString(two.Ipv6Address) != "fd00::2" {
		t.Errorf("got %+v and %+v", one, two)
	}
	if _, err := client.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{"i-3"}}); code(err) != "InvalidInstanceID.NotFound" {
		t.Errorf("got %v", err)
	}
	e.Fail(Fault{Action: "DescribeInstances", Code: "RequestLimitExceeded", Status: 503})
	if _, err := client.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{}); code(err) != "RequestLimitExceeded" {
		t.Errorf("got %v", err)
	}
}

// TestDown: connections are refused, and then no longer, at the same address.
func TestDown(t *testing.T) {
	e := StartECS(t)
	e.CreateCluster("prod")
	client := ecs.NewFromConfig(e.Config(region))
	for i := range 3 {
		e.Down(true)
		e.Down(true)
		_, _ = client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: prod}) // may find the connection that was open
		if _, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: prod}); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%d: down: %v", i, err)
		}
		e.Down(false)
		if _, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: prod}); err != nil {
			t.Errorf("%d: up: %v", i, err)
		}
	}
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewECS()
		e.CreateCluster("prod")
		client := ecs.NewFromConfig(e.Direct(region))
		e.Latency(3 * time.Second)
		start := time.Now()
		if _, err := client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: prod}); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("took %s, %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.ListTasks(ctx, &ecs.ListTasksInput{Cluster: prod}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	e := StartECS(t)
	e.CreateCluster("prod")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			client := ecs.NewFromConfig(e.Config(region))
			for range 20 {
				arn := e.RunTask(Task{Cluster: "prod", Group: "service:orders", Address: "10.0.0.1"})
				e.SetHealth(arn, "HEALTHY")
				e.SetService("prod", "orders", i)
				if _, err := client.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: prod, Tasks: []string{arn}}); err != nil {
					t.Error(err)
				}
				e.Remove(arn)
			}
		})
	}
	wg.Wait()
	if left := e.Tasks("prod", "service:orders"); len(left) != 0 || e.Calls()["DescribeTasks"] != 160 {
		t.Errorf("left %v, calls %v", left, e.Calls())
	}
}

func TestMistakesOfTests(t *testing.T) {
	e := NewECS()
	for name, mistake := range map[string]func(){
		"cluster": func() { e.RunTask(Task{Cluster: "prod"}) },
		"task":    func() { e.SetStatus("arn", "RUNNING", "RUNNING") },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, "no "+name) {
					t.Errorf("%s: %s", name, text)
				}
			}()
			mistake()
		}()
	}
}
