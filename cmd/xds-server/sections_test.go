package main

import (
	"encoding/base64"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/kubernetes"
)

func TestSectionsSayWhereEndpointsAreFound(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, "PEM")
	file := filepath.Join(t.TempDir(), "settings.yaml")
	write(t, file, `
dev: true
data-dir: d
kubernetes:
- name: prod
  eks: {cluster: prod-1, region: eu-central-1, endpoint: "https://x.eks.amazonaws.com", ca: `+base64.StdEncoding.EncodeToString([]byte("PEM"))+`}
- {name: here, inCluster: {}}
- name: dev
  kubeconfig:
    file: /home/a/.kube/config
    context: dev
- {name: blue, eks: {cluster: b, region: r, endpoint: e, caFile: `+ca+`}}
aws: {region: eu-west-1, endpoint: "http://127.0.0.1:5000", poll: 2s}
discovery: {share: 50, confirm: 1m}
`)
	c, err := parse([]string{"--config", file}, in(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := sources{
		clusters: []kubernetes.Config{
			{Name: "prod", EKS: &kubernetes.EKS{Cluster: "prod-1", Region: "eu-central-1", Endpoint: "https://x.eks.amazonaws.com", CA: []byte("PEM")}},
			{Name: "here", InCluster: &kubernetes.InCluster{}},
			{Name: "dev", Kubeconfig: &kubernetes.Kubeconfig{File: "/home/a/.kube/config", Context: "dev"}},
			{Name: "blue", EKS: &kubernetes.EKS{Cluster: "b", Region: "r", Endpoint: "e", CA: []byte("PEM")}},
		},
		aws:   awsSettings{region: "eu-west-1", endpoint: "http://127.0.0.1:5000", poll: 2 * time.Second},
		rules: discovery.Rules{Share: 50, Confirm: time.Minute},
	}
	if !reflect.DeepEqual(c.sources, want) {
		t.Errorf("got  %+v\nwant %+v", c.sources, want)
	}
}

func TestMistakesInSectionsHaveTheirLine(t *testing.T) {
	large := filepath.Join(t.TempDir(), "all.pem")
	write(t, large, strings.Repeat("x", 100_000))
	for _, c := range []struct {
		name, text string
		wants      []string
	}{
		{"no list", "kubernetes: prod\n", []string{":1:13: kubernetes: ", "must be a list of clusters"}},
		{"no name", "kubernetes:\n- inCluster: {}\n", []string{":2:3: kubernetes[0].name: ", "needs a name"}},
		{"two ways", "kubernetes:\n- {name: a, inCluster: {}, kubeconfig: {}}\n", []string{"kubernetes[0]", "exactly one of kubeconfig, inCluster and eks"}},
		{"no way", "kubernetes:\n- name: a\n", []string{"exactly one of"}},
		{"name twice", "kubernetes:\n- {name: a, inCluster: {}}\n- {name: a, inCluster: {}}\n", []string{":3:3: kubernetes[1].name", "two clusters"}},
		{"unknown key", "kubernetes:\n- {name: a, incluster: {}}\n", []string{":2:13: kubernetes[0]: \"incluster\"", "did you mean inCluster?"}},
		{"certificate", "kubernetes:\n- {name: a, eks: {ca: \"-----BEGIN\"}}\n", []string{"kubernetes[0].eks.ca", "base64"}},
		{"certificate file", "kubernetes:\n- {name: a, eks: {caFile: /nowhere/ca.pem}}\n", []string{"caFile", "no such file"}},
		{"certificates of everybody", "kubernetes:\n- {name: a, eks: {caFile: " + large + "}}\n", []string{"caFile", "more than 64 KiB"}},
		{"no time to confirm", "discovery: {confirm: 0s}\n", []string{"discovery.confirm", "1s to 1h0m0s"}},
		{"poll too often", "aws: {poll: 10ms}\n", []string{":1:13: aws.poll", "1s to 5m0s"}},
		{"poll without unit", "aws: {poll: 5}\n", []string{"aws.poll", "write for example 10s"}},
		{"endpoint", "aws: {endpoint: \"127.0.0.1:5000\"}\n", []string{"aws.endpoint", "must be the URL"}},
		{"endpoint with a secret", "aws: {endpoint: \"http://a:b@127.0.0.1\"}\n", []string{"aws.endpoint"}},
		{"region empty", "aws: {region: \"\"}\n", []string{"aws.region: needs a text"}},
		{"key twice", "aws: {region: a, region: b}\n", []string{"\"region\": is there twice"}},
		{"section twice", "aws: {region: a}\naws: {region: b}\n", []string{":2:1: ", "is in line 1 already"}},
		{"share", "discovery: {share: 101}\n", []string{"discovery.share", "0 to 100"}},
		{"near", "discovry: {}\n", []string{"did you mean discovery?"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "settings.yaml")
			write(t, file, c.text)
			_, err := parse([]string{"--dev", "--data-dir", "d", "--config", file}, in(nil))
			if err == nil {
				t.Fatal("no error")
			}
			if missing := lacks(err.Error(), append(c.wants, "settings.yaml")); len(missing) > 0 {
				t.Errorf("%v\nlacks %q", err, missing)
			}
		})
	}
}

func TestMapping(t *testing.T) {
	for _, c := range []struct{ mapping, from, to string }{
		{"", "10.1.2.3:80", "10.1.2.3:80"},
		{"10.0.0.0/8=127.0.0.0/8", "10.1.2.3:80", "127.1.2.3:80"},
		{"10.0.0.0/8=127.0.0.0/8", "11.1.2.3:80", "11.1.2.3:80"},
		{"10.0.0.0/8=127.0.0.0/8", "[::1]:80", "[::1]:80"},
		{"10.96.0.0/12=127.16.0.0/12", "10.111.2.3:80", "127.31.2.3:80"},
		{"10.0.0.7/32=127.0.0.9/32", "10.0.0.7:80", "127.0.0.9:80"},
	} {
		m, err := parseMapping(c.mapping)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.of(netip.MustParseAddrPort(c.from)).String(); got != c.to {
			t.Errorf("%s by %q is %s, want %s", c.from, c.mapping, got, c.to)
		}
	}
	for _, bad := range []string{"x", "10.0.0.0/8", "10.0.0.0/8=127.0.0.0/9", "10.0.0.0/8=::1/8", "10.0.0.0/8=192.168.0.0/8"} {
		if _, err := parseMapping(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
