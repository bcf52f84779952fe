package ecs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/awstest"
)

// TestALifeOfATask: from its start to its end, and that a vanishing is announced.
func TestALifeOfATask(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "orders", 2)
		e.RunTask(task1("10.0.0.1"))
		arn := e.RunTask(awstest.Task{Cluster: "prod", Group: "service:orders", Last: "PROVISIONING"})
		w := watch(t, c, orders)
		w.expect(time.Second, "10.0.0.1")
		e.Edit(arn, func(t *awstest.Task) { t.Last, t.Address = "PENDING", "10.0.0.2" })
		w.expect(poll1, "10.0.0.1")
		for _, s := range []struct{ last, desired, want string }{
			{"ACTIVATING", "RUNNING", "10.0.0.1"},
			{"RUNNING", "RUNNING", "10.0.0.1 10.0.0.2"},
			{"RUNNING", "STOPPED", "10.0.0.1 10.0.0.2d(desired STOPPED)"},
			{"DEACTIVATING", "STOPPED", "10.0.0.1 10.0.0.2d(DEACTIVATING)"},
			{"STOPPING", "STOPPED", "10.0.0.1 10.0.0.2d(STOPPING)"},
			{"DEPROVISIONING", "STOPPED", "10.0.0.1 10.0.0.2d(DEPROVISIONING)"},
			{"STOPPED", "STOPPED", "10.0.0.1 10.0.0.2d(STOPPED)"},
			{"STOPPED", "STOPPED", "10.0.0.1 10.0.0.2d(STOPPED)"}, // who missed one look hears it in the next
		} {
			e.SetStatus(arn, s.last, s.desired)
			w.expect(poll1, s.want)
		}
		w.expect(4*poll1, "10.0.0.1")
		e.Remove(arn)
		w.expect(poll1, "10.0.0.1")
	})
}

// TestATaskThatEndsBetweenTwoLooks is announced all the same, and forgotten afterwards.
func TestATaskThatEndsBetweenTwoLooks(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "orders", 2)
		e.RunTask(task1("10.0.0.1"))
		arn := e.RunTask(task1("10.0.0.2"))
		w := watch(t, c, orders)
		w.expect(time.Second, "10.0.0.1 10.0.0.2")
		e.Edit(arn, func(t *awstest.Task) { t.Last, t.Desired, t.Address = "STOPPED", "STOPPED", "" })
		w.expect(poll1, "10.0.0.1 10.0.0.2d(STOPPED)")
		e.Remove(arn)
		w.expect(poll1, "10.0.0.1 10.0.0.2d(STOPPED)") // what is known to have ended is not asked for again
		w.expect(4*poll1, "10.0.0.1")
		before := e.Calls()["DescribeTasks"]
		w.expect(2*poll1, "10.0.0.1")
		if n := e.Calls()["DescribeTasks"] - before; n > 3 {
			t.Errorf("%d calls of DescribeTasks for 1 task in %s", n, 2*poll1)
		}
	})
}

// TestANewTaskHasTheAddressOfOneThatEnded: it takes requests.
func TestANewTaskHasTheAddressOfOneThatEnded(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "orders", 1)
		arn := e.RunTask(task1("10.0.0.1"))
		w := watch(t, c, orders)
		w.expect(time.Second, "10.0.0.1")
		e.SetStatus(arn, "STOPPED", "STOPPED")
		e.RunTask(task1("10.0.0.1"))
		w.expect(poll1, "10.0.0.1")
	})
}

// TestAListThatLeavesTasksOut: what ECS says of a task itself counts, whatever its lists leave out.
func TestAListThatLeavesTasksOut(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "orders", 2)
		e.RunTask(task1("10.0.0.1"))
		gone := e.RunTask(task1("10.0.0.2"))
		w := watch(t, c, orders)
		w.expect(time.Second, "10.0.0.1 10.0.0.2")
		e.Hide("prod", func(awstest.Task) bool { return true })
		w.expect(5*poll1, "10.0.0.1 10.0.0.2")
		e.Remove(gone) // and ECS knows nothing of it any more: gone, without a word
		w.expect(poll1, "10.0.0.1")
	})
}

func TestHealth(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "orders", 2)
		one, two := e.RunTask(task1("10.0.0.1")), e.RunTask(task1("10.0.0.2"))
		w := watch(t, c, orders)
		e.SetHealth(one, "HEALTHY")
		w.expect(poll1, "10.0.0.1 10.0.0.2")
		if l := w.last(); l.Endpoints[0].Health != "HEALTHY" || l.Endpoints[1].Health != "" {
			t.Errorf("health %q and %q", l.Endpoints[0].Health, l.Endpoints[1].Health)
		}
		e.SetHealth(two, "UNHEALTHY")
		w.expect(poll1, "10.0.0.1 10.0.0.2d(UNHEALTHY)")
		e.SetHealth(one, "UNHEALTHY")
		w.expect(poll1, "10.0.0.1 10.0.0.2") // all: the check is likelier wrong than everything
		e.SetHealth(two, "HEALTHY")
		w.expect(poll1, "10.0.0.1d(UNHEALTHY) 10.0.0.2")
	})
}

// TestMeant: whether no task is what should be, ECS is asked, and only then.
func TestMeant(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "orders", 1)
		arn := e.RunTask(task1("10.0.0.1"))
		w := watch(t, c, orders)
		w.expect(3*poll1, "10.0.0.1")
		if n := e.Calls()["DescribeServices"]; n != 0 {
			t.Errorf("%d calls of DescribeServices while there are tasks", n)
		}
		e.Remove(arn)
		w.expect(2*poll1, "none")
		e.SetService("prod", "orders", 0)
		w.expect(poll1, "=none")
		e.SetService("prod", "orders", 1)
		arn = e.RunTask(task1("10.0.0.2"))
		w.expect(poll1, "10.0.0.2")
		e.Remove(arn)
		w.expect(poll1, "none") // the earlier answer is of an earlier time
		arn = e.RunTask(task1("10.0.0.3"))
		w.expect(poll1, "10.0.0.3")
		e.SetServiceStatus("prod", "orders", 1, "DRAINING")
		e.SetStatus(arn, "STOPPING", "STOPPED")
		w.expect(poll1, "=10.0.0.3d(STOPPING)")
		e.SetServiceStatus("prod", "orders", 1, "INACTIVE")
		e.SetStatus(arn, "STOPPED", "STOPPED")
		w.expect(5*poll1, "=none")
		before := e.Calls()["DescribeServices"]
		w.expect(2*time.Minute, "=none")
		if n := e.Calls()["DescribeServices"] - before; n > 5 {
			t.Errorf("%d calls of DescribeServices in 2 minutes for a service without tasks", n)
		}
		e.RemoveService("prod", "orders")
		w.expect(40*time.Second, "!ecs_service_missing")
	})
}

func TestAServiceThatIsMissingAppears(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.DeleteCluster("prod")
		w := watch(t, c, orders)
		w.expect(time.Second, "!ecs_cluster_missing")
		e.CreateCluster("prod")
		w.expect(poll1, "!ecs_service_missing")
		e.SetService("prod", "orders", 1)
		w.expect(poll1, "none")
		e.RunTask(task1("10.0.0.1"))
		w.expect(poll1, "10.0.0.1")
	})
}

func TestAGroupOfTasks(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		w := watch(t, c, Target{Region: region1, Cluster: "prod", Group: "family:orders", Port: 80})
		w.expect(time.Second, "!ecs_group_missing")
		arn := e.RunTask(awstest.Task{Cluster: "prod", Group: "family:orders", Address: "10.0.0.1"})
		w.expect(poll1, "10.0.0.1")
		e.SetStatus(arn, "STOPPED", "STOPPED")
		w.expect(poll1, "10.0.0.1d(STOPPED)")
		w.expect(5*poll1, "none")
		if n := e.Calls()["DescribeServices"]; n != 0 {
			t.Errorf("%d calls of DescribeServices for a group", n)
		}
	})
}

// TestADeployThatCannotBeRead: new tasks without the container are told as an error once no other takes requests.
func TestADeployThatCannotBeRead(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		target := orders
		target.Container = "app"
		old := e.RunTask(task1("10.0.0.1"))
		w := watch(t, c, target)
		w.expect(time.Second, "10.0.0.1")
		e.RunTask(awstest.Task{Cluster: "prod", Group: "service:orders", Address: "10.0.0.2", Containers: []awstest.Container{{Name: "api"}}})
		w.expect(poll1, "10.0.0.1")
		e.SetStatus(old, "STOPPING", "STOPPED")
		w.expect(poll1, "!ecs_container_missing")
	})
}

// TestSlowAnswers do not make looks rarer, as long as they take less than the interval.
func TestSlowAnswers(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.RunTask(task1("10.0.0.1"))
		e.Latency(2 * time.Second)
		w := watch(t, c, orders)
		w.expect(10*time.Second, "10.0.0.1")
		before, _ := w.all()
		pass(time.Minute)
		if n, _ := w.all(); n-before < 10 {
			t.Errorf("%d looks in a minute", n-before)
		}
	})
}

// TestTenTargetsCostAsMuchAsOne: all targets of a cluster share the calls.
func TestTenTargetsCostAsMuchAsOne(t *testing.T) {
	calls := func(targets int) (n int) {
		bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
			for i := range 10 {
				e.RunTask(awstest.Task{Cluster: "prod", Group: fmt.Sprintf("service:s%d", i), Address: fmt.Sprintf("10.0.0.%d", i+1)})
			}
			var ws []*watcher
			for i := range targets {
				ws = append(ws, watch(t, c, Target{Region: region1, Cluster: "prod", Service: fmt.Sprintf("s%d", i), Port: 80}))
			}
			for i, w := range ws {
				w.expect(time.Minute-time.Duration(min(i, 1))*time.Minute, fmt.Sprintf("10.0.0.%d", i+1))
			}
			n = total(e.Calls())
			for action, calls := range c.Calls() {
				if int64(e.Calls()[action]) != calls {
					t.Errorf("%s: %d calls were counted, %d came", action, calls, e.Calls()[action])
				}
			}
		})
		return n
	}
	one, ten := calls(1), calls(10)
	if one < 18 || ten > one+4 || ten < one-4 { // looks come after 4.5 to 5.5 s, by chance
		t.Errorf("1 target: %d calls in a minute; 10 targets: %d", one, ten)
	}
}

// TestSomebodyNewIsServedSoon, without waiting for the interval.
func TestSomebodyNewIsServedSoon(t *testing.T) {
	bubble(t, Config{Poll: time.Minute}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "orders", 1)
		e.RunTask(task1("10.0.0.1"))
		e.RunTask(awstest.Task{Cluster: "prod", Group: "service:carts", Address: "10.0.0.2"})
		watch(t, c, orders).expect(6*time.Second, "10.0.0.1")
		pass(5 * time.Second)
		carts := orders
		carts.Service = "carts"
		watch(t, c, carts).expect(100*time.Millisecond, "10.0.0.2")
		watch(t, c, orders).expect(time.Second, "10.0.0.1")
	})
}

func TestWhoLeavesEndsThePolls(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "orders", 1)
		e.RunTask(task1("10.0.0.1"))
		a, b := watch(t, c, orders), watch(t, c, orders)
		b.expect(poll1, "10.0.0.1")
		a.stop()
		<-a.done
		e.RunTask(task1("10.0.0.2"))
		b.expect(poll1, "10.0.0.1 10.0.0.2")
		b.stop()
		<-b.done
		before := total(e.Calls())
		pass(time.Minute)
		if after := total(e.Calls()); after != before {
			t.Errorf("%d calls for nobody", after-before)
		}
		if !errors.Is(a.err, context.Canceled) || len(c.clusters) != 0 {
			t.Errorf("ended with %v; %d clusters are left", a.err, len(c.clusters))
		}
	})
}

// TestClose ends watches, also in the middle of a call, and joins all goroutines: the bubble would not end otherwise.
func TestClose(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.Latency(5 * time.Second)
		w := watch(t, c, orders)
		pass(2 * time.Second)
		c.Close()
		<-w.done
		if !errors.Is(w.err, ErrClosed) {
			t.Errorf("ended with %v", w.err)
		}
		if n, got := w.all(); n != 0 {
			t.Errorf("was told %q", got)
		}
		if err := c.Watch(t.Context(), orders, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		c.Close()
	})
}
