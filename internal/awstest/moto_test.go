package awstest

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
)

func TestTheLockPinsTheVersion(t *testing.T) {
	if !strings.Contains(string(motoLock), "\nmoto=="+MotoVersion+" \\\n") {
		t.Errorf("moto.lock does not pin moto %s", MotoVersion)
	}
}

func TestMoto(t *testing.T) {
	m := StartMoto(t)
	clusters := ecs.NewFromConfig(m.Config("eu-central-1"))
	if _, err := clusters.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("prod")}); err != nil {
		t.Fatal(err)
	}
	list, err := clusters.ListClusters(t.Context(), &ecs.ListClustersInput{})
	if err != nil || len(list.ClusterArns) != 1 || !strings.HasSuffix(list.ClusterArns[0], ":cluster/prod") {
		t.Errorf("clusters %v, %v", list, err)
	}
	names := servicediscovery.NewFromConfig(m.Config("eu-central-1"))
	if _, err := names.CreateHttpNamespace(t.Context(), &servicediscovery.CreateHttpNamespaceInput{Name: aws.String("shop")}); err != nil {
		t.Error(err)
	}
	other := ecs.NewFromConfig(m.Config("eu-west-1"))
	if list, err := other.ListClusters(t.Context(), &ecs.ListClustersInput{}); err != nil || len(list.ClusterArns) != 0 {
		t.Errorf("another region has %v, %v", list, err)
	}
}
