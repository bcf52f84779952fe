package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/crossfade-proxy/crossfade/pkg/discovery/kubernetes/eks"
)

// Config says where a cluster is and who we are to it: exactly one of Kubeconfig, InCluster and EKS.
type Config struct {
	// Name is what origins and messages call the cluster.
	Name       string
	Kubeconfig *Kubeconfig
	InCluster  *InCluster
	EKS        *EKS

	// Again is how long after a look the same is told again while the watch is well: it confirms shrinks and shows that the source lives.
	// 0 means 5 s.
	Again time.Duration
	// Settle is how long changes are gathered before they are told: Kubernetes changes the slices of a service one after the other, and
	// a large change should be seen as what it is. 0 means 50 ms.
	Settle time.Duration
	// Log gets what is for operators; nil means slog.Default().
	Log *slog.Logger
}

// Kubeconfig takes server and credentials from a file as kubectl does; helper programs that the file names are run.
type Kubeconfig struct {
	File    string // empty: what $KUBECONFIG names, or ~/.kube/config
	Context string // empty: the file's current one
}

// InCluster uses the service account of the pod that this runs in. Its token is read again as Kubernetes renews it.
type InCluster struct {
	Folder string // empty: /var/run/secrets/kubernetes.io/serviceaccount
}

// EKS proves an AWS identity, from where AWS's tools take it, to a cluster of EKS.
type EKS struct {
	Cluster  string // its name in EKS
	Region   string
	Endpoint string // https://….eks.amazonaws.com, as `aws eks describe-cluster` says
	CA       []byte // certificate in PEM, decoded from what the same command says
}

// restConfig makes what client-go needs. The context bounds only reading the AWS configuration.
func (c Config) restConfig(ctx context.Context) (*rest.Config, error) {
	given := 0
	for _, is := range []bool{c.Kubeconfig != nil, c.InCluster != nil, c.EKS != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		return nil, fmt.Errorf("%d ways to log in are configured; exactly one of kubeconfig, in-cluster and EKS is needed", given)
	}
	var r *rest.Config
	var err error
	switch {
	case c.Kubeconfig != nil:
		r, err = c.Kubeconfig.restConfig()
	case c.InCluster != nil:
		r, err = c.InCluster.restConfig()
	default:
		r, err = c.EKS.restConfig(ctx)
	}
	if err != nil {
		return nil, err
	}
	r.Timeout = 0 // it would end watches
	r.QPS, r.Burst = 50, 100
	r.UserAgent = "crossfade"
	return r, nil
}

func (k *Kubeconfig) restConfig() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = k.File
	r, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: k.Context}).ClientConfig()
	switch {
	case err == nil:
		return r, nil
	case clientcmd.IsEmptyConfig(err) && k.File == "":
		return nil, errors.New("no kubeconfig: neither $KUBECONFIG nor ~/.kube/config names a cluster")
	case clientcmd.IsEmptyConfig(err):
		return nil, fmt.Errorf("kubeconfig %s names no cluster", k.File)
	}
	return nil, fmt.Errorf("kubeconfig: %w", err)
}

// serviceAccount is where Kubernetes puts the service account of a pod.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

func (in *InCluster) restConfig() (*rest.Config, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("not in a pod of Kubernetes: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
	}
	folder := in.Folder
	if folder == "" {
		folder = serviceAccount
	}
	r := &rest.Config{
		Host:            "https://" + net.JoinHostPort(host, port),
		BearerTokenFile: filepath.Join(folder, "token"),
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(folder, "ca.crt")},
	}
	for _, file := range []string{r.BearerTokenFile, r.CAFile} {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("the pod has no service account: %w; is automountServiceAccountToken off?", err)
		}
	}
	return r, nil
}

func (e *EKS) restConfig(ctx context.Context) (*rest.Config, error) {
	for name, value := range map[string]string{"cluster": e.Cluster, "region": e.Region, "endpoint": e.Endpoint, "CA": string(e.CA)} {
		if value == "" {
			return nil, fmt.Errorf("the %s of the EKS cluster is missing: `aws eks describe-cluster` says it", name)
		}
	}
	signer, err := eks.NewSigner(ctx, e.Cluster, e.Region)
	if err != nil {
		return nil, err
	}
	source := eks.NewSource(signer)
	return &rest.Config{
		Host:            e.Endpoint,
		TLSClientConfig: rest.TLSClientConfig{CAData: e.CA},
		WrapTransport:   func(next http.RoundTripper) http.RoundTripper { return &eks.Transport{Source: source, Next: next} },
	}, nil
}
