package aws

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// unreachable explains that no answer came at all.
func (x explanation) unreachable() *policy.Error {
	const check = "check the network from here to AWS, and its DNS"
	var lookup *net.DNSError
	var certificate *tls.CertificateVerificationError
	var expired x509.CertificateInvalidError
	host := hostOf(x.err)
	say := func(next, format string, args ...any) *policy.Error {
		return x.say("aws_unreachable", next, "cannot be reached%s: %s", host, fmt.Sprintf(format, args...))
	}
	switch {
	case errors.As(x.err, &expired) && expired.Reason == x509.Expired:
		return say("correct the clock here if it is wrong", "its certificate is not valid now: %s", clean(expired.Error()))
	case errors.As(x.err, &certificate):
		return say("if a proxy reads along, give its certificate authority to this process (AWS_CA_BUNDLE)",
			"its certificate is not trusted: %s", clean(certificate.Err.Error()))
	case errors.As(x.err, &lookup):
		if lookup.IsTimeout || lookup.IsTemporary && !lookup.IsNotFound {
			return say(check, "its name could not be looked up in time")
		}
		return say(fmt.Sprintf("check that %s is the name of a region, and DNS", x.region), "no such host")
	case errors.Is(x.err, syscall.ECONNREFUSED):
		return say(check, "connection refused")
	case errors.Is(x.err, syscall.ECONNRESET):
		return say(check, "connection reset")
	case timedOut(x.err):
		return say(check, "no answer in time")
	}
	return say(check, "%s", clean(plain(x.err)))
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// hostOf names the host that was asked, without what was asked of it.
func hostOf(err error) string {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		if parsed, parseErr := url.Parse(u.URL); parseErr == nil && parsed.Host != "" {
			return " at " + parsed.Host
		}
	}
	return ""
}

// plain is the innermost error that says something: those around it repeat the address and the name of the action.
func plain(err error) string {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err.Error()
	}
	if op := (*smithy.OperationError)(nil); errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// noCredentials explains that nothing could be signed. What the SDK says of it is a chain of all that it tried.
func (x explanation) noCredentials() *policy.Error {
	text := x.err.Error()
	var api smithy.APIError
	var empty *credentials.StaticCredentialsEmptyError
	switch {
	case strings.Contains(text, "SSO session has expired"), strings.Contains(text, "refresh cached SSO token failed"):
		return x.say("aws_credentials_expired", "log in again with `aws sso login`", "cannot be asked: our SSO session has expired")
	case errors.As(x.err, &api) && (api.ErrorCode() == "ExpiredTokenException" || api.ErrorCode() == "ExpiredToken"):
		return x.say("aws_credentials_expired", "renew what our AWS role is assumed with; "+whoAmI,
			"cannot be asked: our AWS role cannot be assumed, for that which it is assumed with has expired (%s)", api.ErrorCode())
	case errors.As(x.err, &api) && !strings.Contains(text, "ec2imds"):
		return x.say("aws_credentials_missing", whoAmI, "cannot be asked: AWS does not give us credentials: %s: %s", api.ErrorCode(), clean(api.ErrorMessage()))
	case errors.As(x.err, &empty), strings.Contains(text, "ec2imds"), strings.Contains(text, "no identity"):
		return x.say("aws_credentials_missing", "give this process a role, a profile (AWS_PROFILE) or keys (AWS_ACCESS_KEY_ID); "+whoAmI,
			"cannot be asked: no AWS credentials are at hand")
	}
	return x.say("aws_credentials_missing", whoAmI, "cannot be asked: no AWS credentials could be had%s: %s", hostOf(x.err), clean(plainIdentity(x.err)))
}

// plainIdentity leaves out what is before the reason.
func plainIdentity(err error) string {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err.Error()
	}
	_, reason, _ := strings.Cut(err.Error(), "get identity: ")
	for _, noise := range []string{"get credentials: ", "failed to refresh cached credentials, "} {
		reason = strings.TrimPrefix(reason, noise)
	}
	return reason
}
