package awstest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/crossfade-proxy/crossfade/internal/awstest"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/ecs"
)

const region = "eu-central-1"

// motoTasks makes a cluster "prod" with a service "orders" in moto, and tasks of it.
type motoTasks struct {
	client  *awsecs.Client
	network *types.NetworkConfiguration
}

func newMotoTasks(t *testing.T, m *awstest.Moto) *motoTasks {
	t.Helper()
	client, network := awsecs.NewFromConfig(m.Config(region)), motoNetwork(t, m)
	_, err := client.CreateCluster(t.Context(), &awsecs.CreateClusterInput{ClusterName: aws.String("prod")})
	if err == nil {
		_, err = client.RegisterTaskDefinition(t.Context(), &awsecs.RegisterTaskDefinitionInput{
			Family: aws.String("orders"), NetworkMode: types.NetworkModeAwsvpc, Cpu: aws.String("256"), Memory: aws.String("512"),
			RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
			ContainerDefinitions:    []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("app:1"), Memory: aws.Int32(256)}},
		})
	}
	if err == nil {
		_, err = client.CreateService(t.Context(), &awsecs.CreateServiceInput{
			Cluster: aws.String("prod"), ServiceName: aws.String("orders"), TaskDefinition: aws.String("orders"), DesiredCount: aws.Int32(2),
			LaunchType: types.LaunchTypeFargate, NetworkConfiguration: network,
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return &motoTasks{client, network}
}

// motoNetwork is in the default VPC: moto wants subnets that are there, and security groups.
func motoNetwork(t *testing.T, m *awstest.Moto) *types.NetworkConfiguration {
	t.Helper()
	client := ec2.NewFromConfig(m.Config(region))
	subnets, err := client.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{})
	if err != nil || len(subnets.Subnets) == 0 {
		t.Fatalf("no subnets: %v", err)
	}
	groups, err := client.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{})
	if err != nil || len(groups.SecurityGroups) == 0 {
		t.Fatalf("no security groups: %v", err)
	}
	return &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
		Subnets: []string{aws.ToString(subnets.Subnets[0].SubnetId)}, SecurityGroups: []string{aws.ToString(groups.SecurityGroups[0].GroupId)},
	}}
}

// run starts a task and returns its ARN and its address.
func (m *motoTasks) run(t *testing.T, group string) (arn, address string) {
	t.Helper()
	out, err := m.client.RunTask(t.Context(), &awsecs.RunTaskInput{
		Cluster: aws.String("prod"), TaskDefinition: aws.String("orders"), Group: aws.String(group), LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: m.network,
	})
	if err != nil || len(out.Tasks) != 1 {
		t.Fatalf("%v, %+v", err, out)
	}
	for _, a := range out.Tasks[0].Attachments {
		for _, d := range a.Details {
			if aws.ToString(d.Name) == "privateIPv4Address" {
				address = aws.ToString(d.Value)
			}
		}
	}
	return aws.ToString(out.Tasks[0].TaskArn), address
}

// TestTheFakeIsFaithful: the source of endpoints sees the same in moto and in the fake, for all that moto can do.
func TestTheFakeIsFaithful(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	moto, fake := awstest.StartMoto(t), awstest.StartECS(t)
	tasks := newMotoTasks(t, moto)
	fake.CreateCluster("prod")
	fake.SetService("prod", "orders", 2)
	there, here := map[string]string{}, map[string]string{} // ARNs by address
	for _, group := range []string{"service:orders", "service:orders", "service:carts"} {
		arn, address := tasks.run(t, group)
		there[address] = arn
		here[address] = fake.RunTask(awstest.Task{Cluster: "prod", Group: group, Address: address})
	}
	target := ecs.Target{Region: region, Cluster: "prod", Service: "orders", Port: 8080}
	a, b := follow(t, moto.URL, target), follow(t, fake.URL(), target)
	same := func(what string, done func(discovery.Look) bool) discovery.Look {
		t.Helper()
		x, y := a.until(t, done), b.until(t, done)
		if show(x) != show(y) {
			t.Errorf("%s: moto is seen as %s, the fake as %s", what, show(x), show(y))
		}
		return x
	}
	first := same("two tasks run", func(l discovery.Look) bool { return len(l.Endpoints) == 2 })
	if first.Endpoints[0].State != discovery.Ready {
		t.Fatalf("got %s", show(first))
	}
	for i, e := range first.Endpoints {
		address := e.Address.Addr().String()
		if _, err := tasks.client.StopTask(t.Context(), &awsecs.StopTaskInput{Cluster: aws.String("prod"), Task: aws.String(there[address])}); err != nil {
			t.Fatal(err)
		}
		fake.SetStatus(here[address], "STOPPED", "STOPPED")
		same(fmt.Sprintf("task %d was stopped", i), func(l discovery.Look) bool {
			return slices.ContainsFunc(l.Endpoints, func(e discovery.Endpoint) bool {
				return e.Address.Addr().String() == address && e.State == discovery.Draining
			})
		})
	}
	_, err := tasks.client.UpdateService(t.Context(), &awsecs.UpdateServiceInput{Cluster: aws.String("prod"), Service: aws.String("orders"), DesiredCount: aws.Int32(0)})
	if err != nil {
		t.Fatal(err)
	}
	fake.SetService("prod", "orders", 0)
	same("it is scaled to nothing", func(l discovery.Look) bool { return l.Meant && len(l.Endpoints) == 0 })
	for what, target := range map[string]ecs.Target{
		"a service that is missing": {Region: region, Cluster: "prod", Service: "nobody", Port: 80},
		"a cluster that is missing": {Region: region, Cluster: "nobody", Service: "orders", Port: 80},
	} {
		a, b = follow(t, moto.URL, target), follow(t, fake.URL(), target)
		same(what, func(l discovery.Look) bool { return l.Err != nil })
	}
}

func show(l discovery.Look) string {
	if l.Err != nil {
		return l.Err.Error()
	}
	var b strings.Builder
	for _, e := range l.Endpoints {
		fmt.Fprintf(&b, "%s %s %s; ", e.Address, e.State, e.Health)
	}
	return fmt.Sprintf("%smeant %v", b.String(), l.Meant)
}

// followed are the looks at a target.
type followed chan discovery.Look

func follow(t *testing.T, endpoint string, target ecs.Target) followed {
	t.Helper()
	c, err := ecs.New(t.Context(), ecs.Config{Poll: time.Second, Endpoint: endpoint, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	out, ended := make(followed, 100), make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Watch(t.Context(), target, func(l discovery.Look) { out <- l }) // ends with Close
	}()
	t.Cleanup(func() {
		c.Close()
		<-ended
	})
	return out
}

// until returns the first look for which done is true.
func (f followed) until(t *testing.T, done func(discovery.Look) bool) discovery.Look {
	t.Helper()
	var last discovery.Look
	for timeout := time.After(30 * time.Second); ; {
		select {
		case last = <-f:
			if done(last) {
				return last
			}
		case <-timeout:
			t.Fatalf("waited in vain; the last look was %s", show(last))
		}
	}
}

// TestTheFakeNamesFieldsAsAWSDoes: each field of an answer of the fake is one that moto has too, with a value of the same kind, or, where
// moto leaves out what AWS says, one that the SDK knows.
func TestTheFakeNamesFieldsAsAWSDoes(t *testing.T) {
	moto, fake := awstest.StartMoto(t), awstest.StartECS(t)
	there, _ := newMotoTasks(t, moto).run(t, "service:orders")
	fake.CreateCluster("prod")
	fake.SetService("prod", "orders", 2)
	here := fake.RunTask(awstest.Task{Cluster: "prod", Group: "service:orders", Address: "10.0.0.1"})
	for action, c := range map[string]struct {
		body string
		sdk  any
	}{
		"ListTasks":        {`{"cluster":"prod","maxResults":1}`, awsecs.ListTasksOutput{}},
		"DescribeTasks":    {`{"cluster":"prod","tasks":["ARN","nobody"]}`, awsecs.DescribeTasksOutput{}},
		"DescribeServices": {`{"cluster":"prod","services":["orders","nobody"]}`, awsecs.DescribeServicesOutput{}},
	} {
		has := raw(t, moto.URL, action, strings.ReplaceAll(c.body, "ARN", there))
		for path, kind := range raw(t, fake.URL(), action, strings.ReplaceAll(c.body, "ARN", here)) {
			other, ok := has[path]
			switch {
			case ok && other != kind:
				t.Errorf("%s: %s is a %s in the fake, a %s in moto", action, path, kind, other)
			case !ok && !inSDK(reflect.TypeOf(c.sdk), path):
				t.Errorf("%s: %s is known neither to moto nor to the SDK", action, path)
			}
		}
	}
}

// inSDK says that a path of an answer is one of a type of the SDK: the field "taskArn" of the protocol is TaskArn there.
func inSDK(in reflect.Type, path string) bool {
	for _, name := range strings.Split(strings.ReplaceAll(path, "[]", ""), ".")[1:] {
		for in.Kind() == reflect.Slice || in.Kind() == reflect.Pointer {
			in = in.Elem()
		}
		if in.Kind() != reflect.Struct {
			return false
		}
		f, ok := in.FieldByName(strings.ToUpper(name[:1]) + name[1:])
		if !ok {
			return false
		}
		in = f.Type
	}
	return true
}

// raw asks without the SDK and returns the kinds of all values by their path.
func raw(t *testing.T, url, action, body string) map[string]string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+action)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=A/20260101/"+region+"/ecs/aws4_request, SignedHeaders=host, Signature=0")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s, %v", action, response.Status, text, err)
	}
	var answer any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	walk("", answer, kinds)
	return kinds
}

func walk(path string, v any, kinds map[string]string) {
	kinds[path] = fmt.Sprintf("%T", v)
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			walk(path+"."+name, field, kinds)
		}
	case []any:
		for _, element := range v {
			walk(path+"[]", element, kinds)
		}
	}
}
