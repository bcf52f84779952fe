package packages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/crossfade-proxy/crossfade/internal/awstest"
)

// input reads what `aws … --cli-input-json` would, strictly: the SDK's fields and no others.
func input[T any](t *testing.T, name string) *T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "envoy", "ecs", name))
	if err != nil {
		t.Fatal(err)
	}
	out := new(T)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(out); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

// TestTaskDefinition registers the task and makes the service by the SDK, and holds what they say against what the proxy needs.
func TestTaskDefinition(t *testing.T) {
	config := awstest.StartMoto(t).Config("eu-central-1")
	client := ecs.NewFromConfig(config)
	registered, err := client.RegisterTaskDefinition(t.Context(), input[ecs.RegisterTaskDefinitionInput](t, "task-definition.json"))
	if err != nil {
		t.Fatal(err)
	}
	service := input[ecs.CreateServiceInput](t, "service.json")
	if _, err := client.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: service.Cluster}); err != nil {
		t.Fatal(err)
	}
	place(t, ec2.NewFromConfig(config), service.NetworkConfiguration.AwsvpcConfiguration)
	if _, err := client.CreateService(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	task := registered.TaskDefinition
	byName := map[string]types.ContainerDefinition{}
	for _, c := range task.ContainerDefinitions {
		byName[aws.ToString(c.Name)] = c
		if user := aws.ToString(c.User); !numeric.MatchString(user) {
			t.Errorf("%s runs as %q", aws.ToString(c.Name), user)
		}
		if !aws.ToBool(c.ReadonlyRootFilesystem) {
			t.Errorf("%s may write everywhere", aws.ToString(c.Name))
		}
	}
	proxy := byName["envoy"]
	// ECS kills after stopTimeout, which Fargate bounds, and run.sh takes grace and drain.
	took := int32(0)
	for _, v := range proxy.Environment {
		if name := aws.ToString(v.Name); name == "CROSSFADE_GRACE" || name == "CROSSFADE_DRAIN" {
			took += seconds(t, aws.ToString(v.Value))
		}
	}
	if stop := aws.ToInt32(proxy.StopTimeout); took != 75 || stop < took+10 || stop > 120 {
		t.Errorf("a proxy drains for %d s and is killed after %d s", took, stop)
	}
	if len(proxy.DependsOn) != 1 || proxy.DependsOn[0].Condition != types.ContainerConditionSuccess || aws.ToString(proxy.DependsOn[0].ContainerName) != "certificates" {
		t.Errorf("it does not wait for its certificates: %v", proxy.DependsOn)
	}
	if essential := byName["certificates"].Essential; essential == nil || *essential {
		t.Error("the task would end with the container that writes certificates")
	}
	for _, lb := range service.LoadBalancers {
		found := false
		for _, p := range byName[aws.ToString(lb.ContainerName)].PortMappings {
			found = found || aws.ToInt32(p.ContainerPort) == aws.ToInt32(lb.ContainerPort)
		}
		if !found {
			t.Errorf("the load balancer asks %s on port %d, which it does not have", aws.ToString(lb.ContainerName), aws.ToInt32(lb.ContainerPort))
		}
	}
	// The load balancer notices before draining begins.
	group := input[struct {
		Name, TargetType, Protocol, VpcId, HealthCheckProtocol, HealthCheckPort, HealthCheckPath                    string
		Port, HealthCheckIntervalSeconds, HealthCheckTimeoutSeconds, HealthyThresholdCount, UnhealthyThresholdCount int32
		Matcher                                                                                                     struct{ HttpCode string }
	}](t, "target-group.json")
	if notices := group.HealthCheckIntervalSeconds * group.UnhealthyThresholdCount; notices >= 15 || group.HealthCheckPath != "/ready" || group.HealthCheckPort != "10080" {
		t.Errorf("the load balancer: %+v", group)
	}
	for _, flag := range proxy.Command {
		if _, path, ok := strings.Cut(flag, "/run/crossfade/tls/"); ok && !writes(t, byName["certificates"])[path] {
			t.Errorf("%s: nobody writes that file", flag)
		}
	}
}

// place makes a network and puts it in the place of the one that the service names.
func place(t *testing.T, client *ec2.Client, network *types.AwsVpcConfiguration) {
	t.Helper()
	vpc, err := client.CreateVpc(t.Context(), &ec2.CreateVpcInput{CidrBlock: aws.String("10.1.0.0/16")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range network.Subnets {
		subnet, err := client.CreateSubnet(t.Context(), &ec2.CreateSubnetInput{VpcId: vpc.Vpc.VpcId, CidrBlock: aws.String(fmt.Sprintf("10.1.%d.0/24", i))})
		if err != nil {
			t.Fatal(err)
		}
		network.Subnets[i] = aws.ToString(subnet.Subnet.SubnetId)
	}
	for i := range network.SecurityGroups {
		group, err := client.CreateSecurityGroup(t.Context(), &ec2.CreateSecurityGroupInput{
			VpcId: vpc.Vpc.VpcId, GroupName: aws.String(fmt.Sprint("proxies-", i)), Description: aws.String("proxies"),
		})
		if err != nil {
			t.Fatal(err)
		}
		network.SecurityGroups[i] = aws.ToString(group.GroupId)
	}
}

// writes runs what the container of certificates runs, and returns the files that it wrote.
func writes(t *testing.T, c types.ContainerDefinition) map[string]bool {
	t.Helper()
	run := t.TempDir()
	if len(c.EntryPoint) != 2 || c.EntryPoint[0] != "/bin/bash" || len(c.Command) != 1 {
		t.Fatalf("%v %v: no shell with one command", c.EntryPoint, c.Command)
	}
	cmd := exec.CommandContext(t.Context(), "bash", c.EntryPoint[1], strings.ReplaceAll(c.Command[0], "/run/crossfade", run))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for _, s := range c.Secrets {
		cmd.Env = append(cmd.Env, aws.ToString(s.Name)+"=-----BEGIN "+aws.ToString(s.Name)+"-----\nline two")
	}
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	found := map[string]bool{}
	entries, err := os.ReadDir(filepath.Join(run, "tls"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(run, "tls", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		want := "-----BEGIN " + strings.ReplaceAll(e.Name(), ".", "_") + "-----\nline two\n"
		info, err := e.Info()
		if err != nil || string(text) != want || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %q with mode %v, %v; want %q", e.Name(), text, info.Mode(), err, want)
		}
		found[e.Name()] = true
	}
	return found
}
