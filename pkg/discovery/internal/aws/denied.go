package aws

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

var (
	deniedUser   = regexp.MustCompile(`[Uu]ser:? (arn:[a-z-]+:[a-z0-9-]+::[0-9]*:[^\s,;"']{1,300})`)
	deniedAction = regexp.MustCompile(`perform:? ([a-z0-9-]{1,40}:[A-Za-z]{1,80})`)
	deniedOn     = regexp.MustCompile(`on resource: (arn:[^\s,;"']{1,300})`)
)

// denied explains that we may not do something. AWS mostly says who we are, and which rule it was.
func (x explanation) denied(message string) *policy.Error {
	who, action, on := "us", x.action, ""
	if m := deniedUser.FindStringSubmatch(message); m != nil {
		who = m[1]
	}
	if m := deniedAction.FindStringSubmatch(message); m != nil {
		action = m[1]
	}
	if m := deniedOn.FindStringSubmatch(message); m != nil {
		on = " on " + m[1]
	}
	next := fmt.Sprintf("allow %s in an IAM policy of this identity", action)
	switch {
	case strings.Contains(message, "explicit deny"):
		next = fmt.Sprintf("a policy denies %s by name%s: take the denial away, and allow it in an IAM policy of this identity", action, where(message))
	case strings.Contains(message, "service control policy"), strings.Contains(message, "permissions boundary"), strings.Contains(message, "VPC endpoint policy"):
		next = fmt.Sprintf("allow %s%s too", action, where(message))
	}
	return x.say("aws_access_denied", next, "forbids %s to call %s%s", who, action, on)
}

// where names the kind of policy that a message speaks of.
func where(message string) string {
	for _, kind := range []string{
		"service control policy", "resource control policy", "permissions boundary", "session policy", "VPC endpoint policy", "resource-based policy",
		"identity-based policy",
	} {
		if strings.Contains(message, kind) {
			return " in the " + kind
		}
	}
	return ""
}

// maxMessage is how much of AWS's own words is told, in bytes.
const maxMessage = 300

var (
	accessKey = regexp.MustCompile(`\b(A[KS]IA|ASCA|AROA|AIDA)[A-Z0-9]{12,}\b`)
	query     = regexp.MustCompile(`\?\S+`)
	secretish = regexp.MustCompile(`(?i)\b(x-amz-security-token|x-amz-signature|x-amz-credential|authorization|secret|token|signature|credential)(\s*[:=]\s*)\S+`)
	longWord  = regexp.MustCompile(`[A-Za-z0-9+/=_-]{64,}`)
)

// clean takes out of words of others what could be a secret, and what does not belong in a line.
func clean(message string) string {
	message = strings.Join(strings.Fields(strings.ToValidUTF8(message, "")), " ")
	message = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, message)
	message = query.ReplaceAllString(message, "?…")
	message = secretish.ReplaceAllString(message, "$1$2…")
	message = accessKey.ReplaceAllString(message, "$1…")
	message = longWord.ReplaceAllString(message, "…")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return message
}
