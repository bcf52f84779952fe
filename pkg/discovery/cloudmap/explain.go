package cloudmap

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"

	"github.com/crossfade-proxy/crossfade/pkg/discovery/internal/aws"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// callError is an error of AWS, with the action that it answers.
type callError struct {
	action string // as IAM names it, without the prefix
	err    error
}

// Error gives the reason.
func (e *callError) Error() string { return e.action + ": " + e.err.Error() }

// Unwrap gives the cause.
func (e *callError) Unwrap() error { return e.err }

// errSlow is the cause of a look that took too long.
var errSlow = errors.New("no answer within " + lookTimeout.String())

// explain says in a sentence why the instances of a target could not be had, and what to do. The codes are part of the API.
func explain(err error, t Target, region string, now time.Time) *policy.Error {
	missing := func(code, next, format string, args ...any) *policy.Error {
		return &policy.Error{Kind: policy.NotFound, Code: code, Message: fmt.Sprintf(format, args...), Next: next}
	}
	var noNamespace *types.NamespaceNotFound
	var noService *types.ServiceNotFound
	switch {
	case errors.As(err, &noNamespace):
		return missing("cloudmap_namespace_missing", "check its name, the region, and the account (`aws servicediscovery list-namespaces`)",
			"Cloud Map in %s has no namespace %q", region, t.Namespace)
	case errors.As(err, &noService):
		return missing("cloudmap_service_missing", "check its name, or create it (`aws servicediscovery list-services`)",
			"Cloud Map in %s has no service %q in namespace %q", region, t.Service, t.Namespace)
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(err, errSlow):
		return &policy.Error{Kind: policy.Unavailable, Code: "aws_unreachable", Message: fmt.Sprintf("Cloud Map in %s did not tell the instances of %s in time: %v", region, t, errSlow)}
	}
	action := "DiscoverInstances"
	if call := (*callError)(nil); errors.As(err, &call) {
		action = call.action
	}
	return aws.Explain(err, "Cloud Map", "servicediscovery:"+action, region, now)
}
