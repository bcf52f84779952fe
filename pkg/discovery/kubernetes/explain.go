package kubernetes

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/crossfade-proxy/crossfade/pkg/discovery/kubernetes/eks"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// explain says in a sentence why endpoint slices could not be listed or watched, and what to do. The codes are part of the API.
func (c *Cluster) explain(err error, verb, namespace string, now time.Time) *policy.Error {
	e := &policy.Error{Kind: policy.Unavailable}
	say := func(code, next, format string, args ...any) *policy.Error {
		e.Code, e.Next = code, next
		e.Message = fmt.Sprintf("Kubernetes cluster %q ", c.name) + fmt.Sprintf(format, args...)
		return e
	}
	var token *eks.TokenError
	switch {
	case errors.As(err, &token):
		return say("kubernetes_credentials", "see which AWS identity is at hand with `aws sts get-caller-identity`",
			"cannot be asked, for there is no AWS identity to show: %v", token)
	case strings.Contains(err.Error(), "getting credentials"):
		return say("kubernetes_credentials", "run the helper program that the kubeconfig names", "cannot be asked: %v", plain(err))
	case apierrors.IsUnauthorized(err):
		if expired := c.login.expired(now); expired != "" {
			return say("kubernetes_unauthorized", "renew it", "does not let us in: %s", expired)
		}
		return say("kubernetes_unauthorized", c.login.advice(), "does not let us in: it does not accept %s (Unauthorized)", c.login.what())
	case apierrors.IsForbidden(err):
		return say("kubernetes_forbidden", "grant list and watch of endpointslices, as deploy/kubernetes/rbac.yaml does",
			"forbids %s to %s %s.discovery.k8s.io in namespace %q", userIn(err), verb, resource, namespace)
	case apierrors.IsNotFound(err):
		return say("kubernetes_api_missing", "check the address of its API server; Kubernetes has had the API since 1.21",
			"does not know endpoint slices (discovery.k8s.io/v1)")
	case apierrors.IsTooManyRequests(err):
		return say("kubernetes_overloaded", "", "refuses requests for the moment (429 Too Many Requests)")
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return say("kubernetes_failing", "look at the log of its API server", "answered with an error (%d %s)", status.Status().Code, strings.ToValidUTF8(status.Status().Message, "\uFFFD"))
	}
	code, next, what := unreachable(err)
	return say(code, next, "%s", what)
}

// unreachable says why no answer came at all.
func unreachable(err error) (code, next, what string) {
	var lookup *net.DNSError
	var certificate *tls.CertificateVerificationError
	var invalid x509.CertificateInvalidError
	var timeout net.Error
	host := ""
	if u := (*url.Error)(nil); errors.As(err, &u) {
		if parsed, parseErr := url.Parse(u.URL); parseErr == nil {
			host = " at " + parsed.Host
		}
	}
	const check = "check the address of its API server and the network to it"
	code = "kubernetes_unreachable"
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "kubernetes_certificate", "renew the certificate of its API server, or correct the clock here",
			fmt.Sprintf("cannot be trusted%s: the certificate of its API server is not valid now: %v", host, invalid)
	case errors.As(err, &certificate):
		return "kubernetes_certificate", "check the certificate authority that is configured for it, and the address of its API server",
			fmt.Sprintf("cannot be trusted%s: %v", host, certificate.Err)
	case errors.As(err, &lookup):
		return code, check, fmt.Sprintf("cannot be reached%s: no such host", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return code, check, fmt.Sprintf("cannot be reached%s: connection refused", host)
	case errors.Is(err, errSlow), errors.As(err, &timeout) && timeout.Timeout():
		return code, check, fmt.Sprintf("cannot be reached%s: %s", host, errSlow)
	}
	return code, check, fmt.Sprintf("cannot be reached%s: %v", host, plain(err))
}

// plain strips the address that package net/http puts in front: it has the whole query.
func plain(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

var forbiddenUser = regexp.MustCompile(`User "([^"]*)" cannot`)

// userIn is who the API server takes us for.
func userIn(err error) string {
	m := forbiddenUser.FindStringSubmatch(err.Error())
	switch {
	case m == nil:
		return "us"
	case m[1] == "system:anonymous":
		return "us, who showed no credentials,"
	}
	return fmt.Sprintf("user %q", m[1])
}
