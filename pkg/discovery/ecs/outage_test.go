package ecs

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossfade-proxy/crossfade/internal/awstest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestWhatFails: each way to fail has its code, is told again with each attempt, and ends.
func TestWhatFails(t *testing.T) {
	for name, c := range map[string]struct {
		fault awstest.Fault
		want  string
	}{
		"ECS fails":                    {awstest.Fault{Code: "ServerException", Status: 500}, "aws_failing"},
		"the list fails":               {awstest.Fault{Action: "ListTasks", Code: "ServerException", Status: 503}, "aws_failing"},
		"the descriptions fail":        {awstest.Fault{Action: "DescribeTasks", Code: "ServerException", Status: 500}, "aws_failing"},
		"the list is forbidden":        {awstest.Fault{Action: "ListTasks", Code: "AccessDeniedException"}, "aws_access_denied"},
		"the descriptions are":         {awstest.Fault{Action: "DescribeTasks", Code: "AccessDeniedException"}, "aws_access_denied"},
		"throttled":                    {awstest.Fault{Code: "ThrottlingException", Message: "Rate exceeded"}, "aws_throttled"},
		"the credentials have expired": {awstest.Fault{Code: "ExpiredTokenException"}, "aws_credentials_expired"},
		"the credentials are wrong":    {awstest.Fault{Code: "UnrecognizedClientException"}, "aws_credentials_invalid"},
		"the cluster is gone":          {awstest.Fault{Code: "ClusterNotFoundException"}, "ecs_cluster_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, client *Client) {
				e.SetService("prod", "orders", 1)
				e.RunTask(task1("10.0.0.1"))
				w := watch(t, client, orders)
				w.expect(time.Second, "10.0.0.1")
				e.Fail(c.fault)
				w.expect(2*poll1, "!"+c.want)
				var err *policy.Error
				if errors.As(w.last().Err, &err); err.Message == "" || err.Next == "" && c.want != "aws_error" {
					t.Errorf("error without advice: %v", err)
				}
				before, _ := w.all()
				w.expect(5*time.Minute, "!"+c.want)
				if n, _ := w.all(); n < before+4 {
					t.Errorf("told %d times in 5 minutes", n-before)
				}
				e.Heal()
				w.expect(70*time.Second, "10.0.0.1")
			})
		})
	}
}

// TestThrottled: who is told that he asks too often asks less often, and then as before.
func TestThrottled(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "orders", 1)
		e.RunTask(task1("10.0.0.1"))
		w := watch(t, c, orders)
		w.expect(time.Second, "10.0.0.1")
		e.Fail(awstest.Fault{Code: "ThrottlingException"})
		w.expect(3*time.Minute, "!aws_throttled")
		before := total(e.Calls())
		w.expect(10*time.Minute, "!aws_throttled")
		if n := total(e.Calls()) - before; n < 3*8 || n > 3*12 { // each is tried three times
			t.Errorf("%d calls in 10 minutes while throttled, want about three a minute", n)
		}
		for n, _ := w.all(); ; pass(100 * time.Millisecond) {
			if now, _ := w.all(); now > n {
				break // the next look is almost a minute away
			}
		}
		carts := orders
		carts.Service = "carts"
		before = total(e.Calls())
		somebody := watch(t, c, carts)
		somebody.expect(time.Millisecond, "!aws_throttled") // he hears of it at once, and changes nothing
		pass(5 * time.Second)
		if n := total(e.Calls()) - before; n != 0 {
			t.Errorf("somebody new caused %d calls", n)
		}
		e.Heal()
		w.expect(70*time.Second, "10.0.0.1")
		before = total(e.Calls())
		w.expect(time.Minute, "10.0.0.1")
		if n := total(e.Calls()) - before; n < 2*10 {
			t.Errorf("%d calls in a minute after it was throttled", n)
		}
	})
}

// TestOneClusterIsForbidden: the others are followed.
func TestOneClusterIsForbidden(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.CreateCluster("dev")
		e.SetService("prod", "orders", 1)
		e.SetService("dev", "orders", 1)
		e.RunTask(task1("10.0.0.1"))
		dev := e.RunTask(awstest.Task{Cluster: "dev", Group: "service:orders", Address: "10.1.0.1"})
		e.Fail(awstest.Fault{Action: "ListTasks", Cluster: "prod", Code: "AccessDeniedException", Message: "User: arn:aws:sts::123456789012:" +
			"assumed-role/crossfade/i-1 is not authorized to perform: ecs:ListTasks on resource: * because no identity-based policy allows the ecs:ListTasks action"})
		inDev := orders
		inDev.Cluster = "dev"
		prod, other := watch(t, c, orders), watch(t, c, inDev)
		prod.expect(poll1, "!aws_access_denied")
		if text := prod.last().Err.Error(); !strings.Contains(text, "ecs:ListTasks") {
			t.Errorf("does not name the action: %s", text)
		}
		other.expect(0, "10.1.0.1")
		e.SetStatus(dev, "STOPPING", "STOPPED")
		other.expect(poll1, "10.1.0.1d(STOPPING)")
	})
}

// TestDescribeServicesIsForbidden: only who needs it hears of it.
func TestDescribeServicesIsForbidden(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "carts", 0)
		e.RunTask(task1("10.0.0.1"))
		e.Fail(awstest.Fault{Action: "DescribeServices", Code: "AccessDeniedException"})
		carts := orders
		carts.Service = "carts"
		a, b := watch(t, c, orders), watch(t, c, carts)
		a.expect(poll1, "10.0.0.1")
		b.expect(0, "!aws_access_denied")
	})
}

// TestUnreachable: nobody is there; then AWS does not answer in time; then it does.
func TestUnreachable(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		e.SetService("prod", "orders", 1)
		e.RunTask(task1("10.0.0.1"))
		e.Down(true)
		w := watch(t, c, orders)
		w.expect(time.Second, "!aws_unreachable")
		e.Down(false)
		e.Latency(time.Hour)
		w.expect(time.Minute, "!aws_unreachable")
		if text := w.last().Err.Error(); !strings.Contains(text, "no answer in time") {
			t.Errorf("says %s", text)
		}
		e.Latency(0)
		w.expect(40*time.Second, "10.0.0.1")
	})
}

// TestTheConfigurationCannotBeLoaded is told, and tried again.
func TestTheConfigurationCannotBeLoaded(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, e *awstest.ECS, c *Client) {
		file := os.Getenv("AWS_SHARED_CREDENTIALS_FILE")
		if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = half\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		e.RunTask(task1("10.0.0.1"))
		w := watch(t, c, orders)
		w.expect(time.Second, "!aws_config_invalid")
		writeIdentity(t, file, "AKIDEXAMPLE")
		w.expect(25*time.Second, "10.0.0.1")
	})
}

// TestCredentialsAreRenewed: where AWS does not accept them, they are read anew.
func TestCredentialsAreRenewed(t *testing.T) {
	var good atomic.Pointer[string]
	h := &keyed{good: &good}
	bubble(t, Config{http: h}, func(t *testing.T, e *awstest.ECS, c *Client) {
		h.HTTPClient = e.Direct(region1).HTTPClient
		good.Store(new("AKIDEXAMPLE"))
		e.RunTask(task1("10.0.0.1"))
		w := watch(t, c, orders)
		w.expect(time.Minute, "10.0.0.1")
		good.Store(new("AKIDANOTHER"))
		w.expect(poll1, "!aws_credentials_expired")
		writeIdentity(t, os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), "AKIDANOTHER")
		w.expect(time.Minute, "10.0.0.1")
	})
}

// keyed accepts one access key.
type keyed struct {
	sdk.HTTPClient
	good *atomic.Pointer[string]
}

func (k *keyed) Do(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.Header.Get("Authorization"), *k.good.Load()) {
		return k.HTTPClient.Do(r)
	}
	return &http.Response{
		StatusCode: http.StatusBadRequest, Request: r, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(strings.NewReader(`{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}`)),
	}, nil
}
