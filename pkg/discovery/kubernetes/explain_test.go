package kubernetes

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/crossfade-proxy/crossfade/pkg/discovery/kubernetes/eks"
)

// TestExplain holds the sentences for errors that are hard to bring about; those of the rest are held by tests that bring them about.
func TestExplain(t *testing.T) {
	group := schema.GroupResource{Group: "discovery.k8s.io", Resource: "endpointslices"}
	get := func(err error) error {
		return &url.Error{Op: "Get", URL: "https://k.test:6443/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?limit=500", Err: err}
	}
	for name, c := range map[string]struct {
		err        error
		code, want string
	}{
		"no such host":                         {get(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "k.test", IsNotFound: true}}), "kubernetes_unreachable", "cannot be reached at k.test:6443: no such host; check the address of its API server and the network to it"},
		"too slow":                             {errSlow, "kubernetes_unreachable", "cannot be reached: no answer within 30s; check"},
		"timeout":                              {get(context.DeadlineExceeded), "kubernetes_unreachable", "cannot be reached at k.test:6443: no answer within 30s; check"},
		"reset":                                {get(errors.New("connection reset by peer")), "kubernetes_unreachable", "cannot be reached at k.test:6443: connection reset by peer; check"},
		"certificate":                          {get(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired, Detail: "current time is after 2026"}), "kubernetes_certificate", "the certificate of its API server is not valid now"},
		"helper program":                       {get(errors.New("getting credentials: exec: executable aws not found")), "kubernetes_credentials", "cannot be asked: getting credentials: exec: executable aws not found; run the helper"},
		"no API":                               {apierrors.NewNotFound(group, ""), "kubernetes_api_missing", "does not know endpoint slices (discovery.k8s.io/v1); check the address of its API server"},
		"overloaded":                           {apierrors.NewTooManyRequests("later", 1), "kubernetes_overloaded", "refuses requests for the moment (429 Too Many Requests)"},
		"its own error":                        {apierrors.NewInternalError(errors.New("etcdserver: no leader")), "kubernetes_failing", "answered with an error (500 Internal error occurred: etcdserver: no leader); look at the log"},
		"bytes that are no text":               {&apierrors.StatusError{ErrStatus: metav1.Status{Code: 406, Message: "only \xff"}}, "kubernetes_failing", "(406 only \uFFFD)"},
		"forbidden, in words of somebody else": {apierrors.NewForbidden(group, "", errors.New("no")), "kubernetes_forbidden", `forbids us to list endpointslices.discovery.k8s.io in namespace "shop"; grant list and watch`},
	} {
		err := (&Cluster{name: "prod"}).explain(c.err, "list", "shop", at)
		if err.Code != c.code || !strings.HasPrefix(err.Error(), `Kubernetes cluster "prod" `) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %s: %v", name, err.Code, err)
		}
		if strings.Contains(err.Error(), "limit=500") {
			t.Errorf("%s: has the query: %v", name, err)
		}
	}
}

// TestEKSLogin: requests carry the token of the AWS identity; one that AWS does not give is told, and a cluster that refuses it is told
// with what to do.
func TestEKSLogin(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	tokens := make(chan string, 100)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens <- r.Header.Get("Authorization")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	ca := certificatePEM(server.Certificate())
	c := open(t, Config{EKS: &EKS{Cluster: "prod", Region: "eu-central-1", Endpoint: server.URL, CA: ca}})
	w := follow(t, c, orders("shop"))
	err := w.awaitError("kubernetes_unauthorized")
	if want := "does not accept our AWS identity (Unauthorized); give the AWS identity an access entry"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if token := <-tokens; !strings.HasPrefix(token, "Bearer k8s-aws-v1.") {
		t.Errorf("shown: %q", token)
	}
	w.stop()
	c.Close()

	none := &eks.Transport{Source: eks.NewSource(&eks.Signer{}), Next: http.DefaultTransport}
	_, client, err := connect(&rest.Config{Host: server.URL, WrapTransport: func(http.RoundTripper) http.RoundTripper { return none }})
	if err != nil {
		t.Fatal(err)
	}
	err = client.Get().Resource(resource).Do(t.Context()).Error()
	if told := c.explain(err, "list", "shop", time.Now()); told.Code != "kubernetes_credentials" || !strings.Contains(fmt.Sprint(told), "there is no AWS identity to show: no AWS credentials") {
		t.Errorf("got %v", told)
	}
}
