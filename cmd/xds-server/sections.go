package main

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/kubernetes"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// sources are the settings of where endpoints are found: sections of the file, since they are lists and groups.
type sources struct {
	clusters []kubernetes.Config
	aws      awsSettings
	rules    discovery.Rules
}

type awsSettings struct {
	region   string        // of origins that name none
	endpoint string        // of an emulator
	poll     time.Duration // 0: the default of each source
}

// bounds of what the sections may say.
const (
	minPoll    = time.Second
	maxPoll    = 5 * time.Minute
	maxConfirm = time.Hour
	maxCA      = 64 << 10 // bytes
)

// sections are the keys of the file that are no flags.
func (r *fileReader) sections() map[string]func(*yaml.Node) {
	return map[string]func(*yaml.Node){
		"kubernetes": r.kubernetes, "aws": r.aws, "discovery": r.discovery, "mirrors": r.mirrorSection,
		"roles": r.roleSection, "proxies": r.proxySection, "hooks": r.hookSection, "prometheus": r.prometheusSection,
	}
}

// setting reads the value of one key of a group.
type setting func(value *yaml.Node)

// group reads a mapping: each key at most once, none that is not known. It says whether there was one.
func (r *fileReader) group(n *yaml.Node, what string, known map[string]setting) bool {
	if n.Kind != yaml.MappingNode {
		r.add(n, invalid("bad_setting", what, n.Value, "must be KEY: VALUE, with keys "+strings.Join(slices.Sorted(maps.Keys(known)), ", "), ""))
		return false
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read := known[key.Value]
		switch {
		case read == nil:
			r.add(key, invalid("unknown_key", what, key.Value, "is not a setting of "+what, didYouMean(key.Value, slices.Sorted(maps.Keys(known)))))
		case seen[key.Value]:
			r.add(key, invalid("duplicate_key", what, key.Value, "is there twice", ""))
		default:
			read(value)
		}
		seen[key.Value] = true
	}
	return true
}

func didYouMean(key string, known []string) string {
	if near := manifest.Nearest(key, known); len(near) > 0 {
		return "did you mean " + near[0] + "?"
	}
	return "settings are " + strings.Join(known, ", ")
}

// text reads a text that is not empty.
func (r *fileReader) text(field string, into *string) setting {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Value == "" {
			r.add(n, invalid("bad_setting", field, "", "needs a text", ""))
			return
		}
		*into = n.Value
	}
}

func (r *fileReader) duration(field string, into *time.Duration, from, to time.Duration) setting {
	return func(n *yaml.Node) {
		d, err := time.ParseDuration(n.Value)
		if err != nil || d < from || d > to {
			r.add(n, invalid("bad_setting", field, n.Value, fmt.Sprintf("must be a duration of %s to %s", from, to), "write for example 10s"))
			return
		}
		*into = d
	}
}

func (r *fileReader) number(field string, into *int, from, to int) setting {
	return func(n *yaml.Node) {
		v, err := strconv.Atoi(n.Value)
		if err != nil || v < from || v > to {
			r.add(n, invalid("bad_setting", field, n.Value, fmt.Sprintf("must be a whole number of %d to %d", from, to), ""))
			return
		}
		*into = v
	}
}

func (r *fileReader) discovery(n *yaml.Node) {
	r.group(n, "discovery", map[string]setting{
		"share":   r.number("discovery.share", &r.sources.rules.Share, 0, 100),
		"confirm": r.duration("discovery.confirm", &r.sources.rules.Confirm, time.Second, maxConfirm),
	})
}

func (r *fileReader) aws(n *yaml.Node) {
	a := &r.sources.aws
	r.group(n, "aws", map[string]setting{
		"region": r.text("aws.region", &a.region),
		"poll":   r.duration("aws.poll", &a.poll, minPoll, maxPoll),
		"endpoint": func(n *yaml.Node) {
			if u, err := url.Parse(n.Value); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
				r.add(n, invalid("bad_setting", "aws.endpoint", n.Value, "must be the URL of an emulator of AWS", "leave it out to ask AWS"))
				return
			}
			a.endpoint = n.Value
		},
	})
}

func (r *fileReader) kubernetes(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.add(n, invalid("bad_setting", "kubernetes", n.Value, "must be a list of clusters", "write `- name: NAME` and below it kubeconfig, inCluster or eks"))
		return
	}
	for i, item := range n.Content {
		r.cluster(item, fmt.Sprintf("kubernetes[%d]", i))
	}
}

func (r *fileReader) cluster(n *yaml.Node, field string) {
	var c kubernetes.Config
	given := 0
	if !r.group(n, field, map[string]setting{
		"name": r.text(field+".name", &c.Name),
		"kubeconfig": func(v *yaml.Node) {
			given, c.Kubeconfig = given+1, &kubernetes.Kubeconfig{}
			r.group(v, field+".kubeconfig", map[string]setting{
				"file": r.text(field+".kubeconfig.file", &c.Kubeconfig.File), "context": r.text(field+".kubeconfig.context", &c.Kubeconfig.Context),
			})
		},
		"inCluster": func(v *yaml.Node) {
			given, c.InCluster = given+1, &kubernetes.InCluster{}
			r.group(v, field+".inCluster", map[string]setting{"folder": r.text(field+".inCluster.folder", &c.InCluster.Folder)})
		},
		"eks": func(v *yaml.Node) { given, c.EKS = given+1, r.eks(v, field+".eks") },
	}) {
		return
	}
	switch {
	case !policy.ValidName(c.Name):
		r.add(n, invalid("bad_setting", field+".name", c.Name, "a cluster needs a name of lower-case letters, digits and dashes, by which origins call it", ""))
	case slices.ContainsFunc(r.sources.clusters, func(o kubernetes.Config) bool { return o.Name == c.Name }):
		r.add(n, invalid("duplicate_key", field+".name", c.Name, "two clusters have this name", ""))
	case given != 1:
		r.add(n, invalid("bad_setting", field, c.Name, "a cluster needs exactly one of kubeconfig, inCluster and eks", ""))
	default:
		r.sources.clusters = append(r.sources.clusters, c)
	}
}

func (r *fileReader) eks(n *yaml.Node, field string) *kubernetes.EKS {
	e := &kubernetes.EKS{}
	r.group(n, field, map[string]setting{
		"cluster": r.text(field+".cluster", &e.Cluster), "region": r.text(field+".region", &e.Region), "endpoint": r.text(field+".endpoint", &e.Endpoint),
		"ca": func(n *yaml.Node) {
			ca, err := base64.StdEncoding.DecodeString(n.Value)
			if err != nil || len(ca) == 0 {
				r.add(n, invalid("bad_setting", field+".ca", "", "must be base64, as `aws eks describe-cluster` prints certificateAuthority.data", "or name a file of PEM with caFile"))
			}
			e.CA = ca
		},
		"caFile": func(n *yaml.Node) {
			ca, err := os.ReadFile(n.Value)
			if err == nil && len(ca) > maxCA {
				err = fmt.Errorf("it has more than %d KiB, which is more than the certificate of one cluster", maxCA>>10)
			}
			if err != nil {
				r.add(n, invalid("bad_file", field+".caFile", n.Value, "cannot be read: "+reason(err), ""))
				return
			}
			e.CA = ca
		},
	})
	return e
}
