package ecs

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/awstest"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// address is the n-th of 10.0.0.0/8.
func address(n int) string {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}).String()
}

// TestManyTasks: 10,000 of one service are all seen, and one that ends is announced.
func TestManyTasks(t *testing.T) {
	const n = 10000
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "orders", n)
		var arns []string
		for i := range n {
			arns = append(arns, e.RunTask(task1(address(i+1))))
		}
		w := watch(t, c, orders)
		pass(30 * time.Second)
		if got := len(w.last().Endpoints); got != n {
			t.Fatalf("%d endpoints, want %d: %v", got, n, w.last().Err)
		}
		e.SetStatus(arns[5000], "STOPPING", "STOPPED")
		pass(30 * time.Second)
		var draining []string
		for _, e := range w.last().Endpoints {
			if e.State == discovery.Draining {
				draining = append(draining, e.Address.Addr().String())
			}
		}
		if want := []string{address(5001)}; !slices.Equal(draining, want) {
			t.Errorf("draining %v, want %v", draining, want)
		}
	})
}

// TestOneOfManyStops: it is described in the next look, though the others wait for their turn.
func TestOneOfManyStops(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		var last string
		for i := range 1000 {
			last = e.RunTask(task1(address(i + 1)))
		}
		w := watch(t, c, orders)
		pass(time.Second)
		e.SetStatus(last, "STOPPING", "STOPPED")
		pass(poll1)
		endpoints := w.last().Endpoints
		if n := len(endpoints); n != 1000 || endpoints[n-1].State != discovery.Draining {
			t.Errorf("%d endpoints, the last one is %+v", n, endpoints[n-1])
		}
	})
}

// TestALookWithoutOnePage: if one page of many cannot be had, nothing is told but the error.
func TestALookWithoutOnePage(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		for i := range 250 {
			e.RunTask(task1(address(i + 1)))
		}
		w := watch(t, c, orders)
		pass(time.Second)
		if n := len(w.last().Endpoints); n != 250 {
			t.Fatalf("%d endpoints of 250: %v", n, w.last().Err)
		}
		if calls := e.Calls(); calls["ListTasks"] != 3 || calls["DescribeTasks"] != 3 {
			t.Errorf("250 tasks took %v", calls)
		}
		for _, action := range []string{"ListTasks", "DescribeTasks"} {
			e.Fail(awstest.Fault{Action: action, Code: "ServerException", Status: 500, Times: 3}) // each call is tried three times
			w.expect(poll1, "!aws_failing")
			pass(2 * poll1)
			if n := len(w.last().Endpoints); n != 250 {
				t.Errorf("%d endpoints of 250 after %s failed: %v", n, action, w.last().Err)
			}
		}
	})
}

// TestTheQuota: 200 services with 20 tasks each, in one cluster or in 20, are followed with at most half of the calls that AWS grants,
// and each service sees its tasks. The figures are those of the package's documentation.
func TestTheQuota(t *testing.T) {
	const services, each = 200, 20
	for _, clusters := range []int{1, 20} {
		t.Run(fmt.Sprintf("%d clusters", clusters), func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
				watchers := map[string]*watcher{}
				for i := range services {
					cluster, service := fmt.Sprintf("c%d", i%clusters), fmt.Sprintf("s%d", i)
					if i < clusters {
						e.CreateCluster(cluster)
					}
					for j := range each {
						e.RunTask(awstest.Task{Cluster: cluster, Group: "service:" + service, Address: address(i*each + j + 1)})
					}
					watchers[service] = watch(t, c, Target{Region: region1, Cluster: cluster, Service: service, Port: 80})
				}
				pass(30 * time.Second)
				const minutes = 1
				before := e.Calls()
				looks, _ := watchers["s7"].all()
				pass(minutes * time.Minute)
				list, describe := e.Calls()["ListTasks"]-before["ListTasks"], e.Calls()["DescribeTasks"]-before["DescribeTasks"]
				after, _ := watchers["s7"].all()
				t.Logf("a minute: %d ListTasks and %d DescribeTasks of 1200 that AWS grants; a look every %.1f s", list/minutes, describe/minutes, 60*minutes/float64(after-looks))
				if list+describe > 600*minutes+40 { // and what may come at once
					t.Errorf("%d calls in %d minutes", list+describe, minutes)
				}
				if after-looks < 7*minutes {
					t.Errorf("%d looks in %d minutes", after-looks, minutes)
				}
				for service, w := range watchers {
					if n := len(w.last().Endpoints); n != each {
						t.Errorf("%s: %d endpoints, want %d: %v", service, n, each, w.last().Err)
					}
				}
				if n := total(e.Calls()) - e.Calls()["ListTasks"] - e.Calls()["DescribeTasks"]; n != 0 {
					t.Errorf("other calls: %v", e.Calls())
				}
			})
		})
	}
}

// TestOthersInTheCluster: tasks that nobody follows are described once.
func TestOthersInTheCluster(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.RunTask(task1("10.0.0.1"))
		for i := range 500 {
			e.RunTask(awstest.Task{Cluster: "prod", Group: "service:other", Address: address(1000 + i)})
		}
		w := watch(t, c, orders)
		w.expect(time.Second, "10.0.0.1")
		before := e.Calls()["DescribeTasks"]
		w.expect(time.Minute, "10.0.0.1")
		if n := e.Calls()["DescribeTasks"] - before; n > 14 {
			t.Errorf("%d calls of DescribeTasks in a minute for one task", n)
		}
		other := orders
		other.Service = "other"
		o := watch(t, c, other)
		pass(2 * time.Second)
		if n := len(o.last().Endpoints); n != 500 {
			t.Errorf("%d endpoints of 500", n)
		}
	})
}
