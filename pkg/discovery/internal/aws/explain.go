package aws

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// whoAmI is what to do where it is not clear who we are.
const whoAmI = "see which AWS identity is at hand with `aws sts get-caller-identity`"

// The codes by which AWS's services say the same; each protocol has words of its own.
var (
	expiredCodes = []string{"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
	invalidCodes = []string{
		"UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "InvalidToken", "AuthFailure",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException", "IncompleteSignature", "IncompleteSignatureException",
		"InvalidSignatureException", "SignatureDoesNotMatch", "InvalidSignature",
	}
	skewCodes   = []string{"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
	deniedCodes = []string{
		"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedException", "NotAuthorized", "AuthorizationError",
	}
	notEnabledCodes = []string{"OptInRequired", "SubscriptionRequiredException"}
)

// Explain says in a sentence why AWS did not answer a question, and what to do. The codes are part of the API. The service is as people
// call it, "ECS"; the action as IAM does, "ecs:ListTasks". What is a *policy.Error already stays as it is.
func Explain(err error, service, action, region string, now time.Time) *policy.Error {
	if known := (*policy.Error)(nil); errors.As(err, &known) {
		return known
	}
	x := explanation{service: service, action: action, region: region, now: now, err: err}
	if strings.Contains(err.Error(), "get identity: ") {
		return x.noCredentials()
	}
	x.answer = answerOf(err)
	var api smithy.APIError
	if errors.As(err, &api) {
		return x.ofAPI(api)
	}
	if x.answer != nil {
		return x.ofStatus("")
	}
	return x.unreachable()
}

// Throttled says that AWS refused a call because there were too many.
func Throttled(err error) bool {
	if (retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}).IsErrorThrottle(err).Bool() {
		return true
	}
	r := answerOf(err)
	return r != nil && r.status == http.StatusTooManyRequests
}

// OutcomeOf is how a look went that ended with an error of the SDK, or with nil.
func OutcomeOf(err error) Outcome {
	var api smithy.APIError
	switch {
	case err == nil:
		return Answered
	case Throttled(err):
		return WasThrottled
	case !errors.As(err, &api) || strings.Contains(err.Error(), "get identity: "):
		return Failed
	}
	if r := answerOf(err); r != nil && r.status >= http.StatusInternalServerError {
		return Failed
	}
	return Answered
}

// answer is what AWS answered to a call that failed, without its body: the SDK has read that.
type answer struct {
	status int
	header http.Header
}

// answerOf is the answer that an error is of, nil if there was none: the SDK then makes one up, without a status.
func answerOf(err error) *answer {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.HTTPStatusCode() != 0 {
		return &answer{response.HTTPStatusCode(), response.Response.Header}
	}
	return nil
}

// explanation is what a sentence is made of.
type explanation struct {
	service, action, region string
	now                     time.Time
	err                     error
	answer                  *answer // nil if there was none
}

func (x explanation) say(code, next, format string, args ...any) *policy.Error {
	return &policy.Error{
		Kind: policy.Unavailable, Code: code, Next: next,
		Message: fmt.Sprintf("%s in %s ", x.service, x.region) + fmt.Sprintf(format, args...),
	}
}

// ofAPI explains an answer that says what is wrong.
func (x explanation) ofAPI(api smithy.APIError) *policy.Error {
	code, message := api.ErrorCode(), api.ErrorMessage()
	is := func(codes []string) bool { return slices.Contains(codes, code) }
	switch {
	case Throttled(x.err):
		return x.throttled(code)
	case is(skewCodes), is(invalidCodes) && (strings.Contains(message, "Signature expired") || strings.Contains(message, "not yet current")):
		return x.skewed(code)
	case is(expiredCodes):
		return x.say("aws_credentials_expired", "renew them where this process takes them from; "+whoAmI,
			"does not let us in: our AWS credentials have expired (%s)", code)
	case is(invalidCodes):
		return x.say("aws_credentials_invalid", whoAmI+", and whether its account has the region enabled",
			"does not let us in: it does not accept our AWS credentials (%s)", code)
	case is(deniedCodes):
		return x.denied(message)
	case is(notEnabledCodes):
		return x.say("aws_region_disabled", "enable the region, or set another one in the origin",
			"is not enabled for our AWS account (%s)", code)
	}
	if x.answer != nil && x.answer.status >= http.StatusInternalServerError {
		return x.ofStatus(code)
	}
	if code == "" || code == "UnknownError" {
		return x.ofStatus(clean(message))
	}
	return x.say("aws_error", "", "answered %s with an error: %s: %s", x.action, code, clean(message))
}

// ofStatus explains an answer of which only the status says something.
func (x explanation) ofStatus(detail string) *policy.Error {
	if x.answer == nil {
		return x.say("aws_error", "", "answered %s with an error without a code: %s", x.action, detail)
	}
	status := x.answer.status
	if detail != "" {
		detail = " (" + detail + ")"
	}
	switch {
	case status == http.StatusTooManyRequests:
		return x.throttled("429 Too Many Requests")
	case status >= http.StatusInternalServerError:
		return x.say("aws_failing", "see health.aws.amazon.com", "fails: it answered %s with %d %s%s",
			x.action, status, http.StatusText(status), detail)
	}
	return x.say("aws_error", "check what AWS_ENDPOINT_URL and HTTPS_PROXY say, for AWS does not answer so",
		"answered %s with what we cannot read, and with %d %s%s", x.action, status, http.StatusText(status), detail)
}

func (x explanation) throttled(code string) *policy.Error {
	return x.say("aws_throttled", "we ask again more slowly; raise the quota or make the poll interval longer if it stays so",
		"says that %s is called too often from our account (%s)", x.action, code)
}

func (x explanation) skewed(code string) *policy.Error {
	there := ""
	if x.answer != nil {
		if date, err := http.ParseTime(x.answer.header.Get("Date")); err == nil {
			there = fmt.Sprintf(", and %s there", date.UTC().Format(time.RFC3339))
		}
	}
	return x.say("aws_clock_skew", "correct the clock here",
		"does not let us in: our clock differs from its own (%s): it is %s here%s", code, x.now.UTC().Format(time.RFC3339), there)
}
