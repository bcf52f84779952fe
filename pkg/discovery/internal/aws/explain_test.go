package aws

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

const token = "IQoJb3JpZ2luX2VjEHMaCWV1LWNlbnRyYWwtMSJHMEUCIQDexampleexampleexampleexampleexampleexampleexample"

// TestExplainAnswers holds what is said of errors that AWS answers with, as the SDK gives them.
func TestExplainAnswers(t *testing.T) {
	environment(t, keys())
	body := func(code, message string) string {
		return fmt.Sprintf(`{"__type":"com.amazonaws.servicediscovery#%s","message":%q}`, code, message)
	}
	user := "User: arn:aws:sts::123456789012:assumed-role/crossfade/i-0123456789 is not authorized to perform: servicediscovery:ListNamespaces"
	for name, c := range map[string]struct {
		status     int
		body       string
		code, want string
		outcome    Outcome
	}{
		"expired": {400, body("ExpiredTokenException", "The security token included in the request is expired"), "aws_credentials_expired", "does not let us in: our AWS credentials have expired (ExpiredTokenException); renew them", Answered},
		"unknown": {400, body("UnrecognizedClientException", "The security token included in the request is invalid."), "aws_credentials_invalid", "it does not accept our AWS credentials (UnrecognizedClientException); see which", Answered},
		"wrong secret": {
			400, body("InvalidSignatureException", "The request signature we calculated does not match. The Canonical String was: x-amz-security-token:"+token),
			"aws_credentials_invalid", "it does not accept our AWS credentials (InvalidSignatureException)", Answered,
		},
		"skewed": {
			400, body("InvalidSignatureException", "Signature expired: 20260301T120000Z is now earlier than 20260301T121500Z (20260301T122000Z - 5 min.)"),
			"aws_clock_skew", "it is 2026-03-01T12:00:00Z here, and 2026-03-01T12:20:00Z there; correct the clock here", Answered,
		},
		"too skewed": {403, body("RequestTimeTooSkewed", "The difference is too large."), "aws_clock_skew", "our clock differs from its own (RequestTimeTooSkewed)", Answered},
		"denied": {
			400, body("AccessDeniedException", user+" on resource: * because no identity-based policy allows the servicediscovery:ListNamespaces action"), "aws_access_denied",
			"forbids arn:aws:sts::123456789012:assumed-role/crossfade/i-0123456789 to call servicediscovery:ListNamespaces; allow servicediscovery:ListNamespaces in an IAM policy of this identity", Answered,
		},
		"denied by name": {
			400, body("AccessDeniedException", user+" with an explicit deny in a service control policy"), "aws_access_denied",
			"a policy denies servicediscovery:ListNamespaces by name in the service control policy: take the denial away", Answered,
		},
		"denied by an organisation": {
			400, body("AccessDeniedException", user+" because no service control policy allows the servicediscovery:ListNamespaces action"), "aws_access_denied",
			"allow servicediscovery:ListNamespaces in the service control policy too", Answered,
		},
		"denied without a word": {403, body("AccessDenied", "Access denied"), "aws_access_denied", "forbids us to call servicediscovery:ListNamespaces; allow servicediscovery:ListNamespaces in an IAM policy", Answered},
		"region disabled":       {403, body("OptInRequired", "needs a subscription"), "aws_region_disabled", "is not enabled for our AWS account (OptInRequired); enable the region", Answered},
		"throttled":             {400, body("ThrottlingException", "Rate exceeded"), "aws_throttled", "says that servicediscovery:ListNamespaces is called too often from our account (ThrottlingException); we ask again more slowly", WasThrottled},
		"throttled by 429":      {429, "slow down", "aws_throttled", "is called too often", WasThrottled},
		"throttled, as modeled": {400, body("RequestLimitExceeded", "Rate"), "aws_throttled", "(RequestLimitExceeded)", WasThrottled},
		"failing":               {500, body("InternalFailure", ""), "aws_failing", "fails: it answered servicediscovery:ListNamespaces with 500 Internal Server Error (InternalFailure)", Failed},
		"failing without words": {503, "", "aws_failing", "with 503 Service Unavailable", Failed},
		"a page of a proxy":     {502, "<html>bad gateway</html>", "aws_failing", "with 502 Bad Gateway", Failed},
		"a page of a portal":    {200, "<html>log in</html>", "aws_error", "with what we cannot read", Failed},
		"something else":        {400, body("InvalidInput", "1 validation error at https://x.test/?X-Amz-Signature=abc"), "aws_error", "answered servicediscovery:ListNamespaces with an error: InvalidInput: 1 validation error at https://x.test/?…", Answered},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(t, Options{Endpoint: answering(t, c.status, "", c.body).URL})
			err := Explain(got, "Cloud Map", "servicediscovery:ListNamespaces", region, at)
			check(t, err, c.code, c.want)
			if o := OutcomeOf(got); o != c.outcome {
				t.Errorf("outcome %v, want %v", o, c.outcome)
			}
			if (c.outcome == WasThrottled) != Throttled(got) {
				t.Errorf("throttled: %v", Throttled(got))
			}
		})
	}
}

func check(t *testing.T, err *policy.Error, code, want string) {
	t.Helper()
	if err.Code != code || err.Kind != policy.Unavailable || !strings.HasPrefix(err.Error(), "Cloud Map in eu-central-1 ") || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v\nwant %s: %s", err.Code, err, code, want)
	}
	for _, secret := range []string{"secret-of-the-test", "session-of-the-test", token, "AKIDEXAMPLE0000000", "X-Amz-Signature=abc", "operation error"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("tells %q: %v", secret, err)
		}
	}
}

// TestExplainCredentials: what is said where nothing can be signed.
func TestExplainCredentials(t *testing.T) {
	fine := func(t *testing.T) string { return answering(t, 200, "", "{}").URL }
	refusing := func(code string) func(*testing.T) string {
		return func(t *testing.T) string {
			return answering(t, 400, "", `<ErrorResponse><Error><Code>`+code+`</Code><Message>Token `+token+` is no good</Message></Error></ErrorResponse>`).URL
		}
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	role := func(file string) map[string]string {
		return map[string]string{"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/crossfade", "AWS_WEB_IDENTITY_TOKEN_FILE": file}
	}
	for name, c := range map[string]struct {
		environment map[string]string
		endpoint    func(*testing.T) string
		code, want  string
	}{
		"none":                   {nil, fine, "aws_credentials_missing", "cannot be asked: no AWS credentials are at hand; give this process a role"},
		"a role that is refused": {role(file), refusing("AccessDenied"), "aws_credentials_missing", "AWS does not give us credentials: AccessDenied: Token"},
		"an expired token":       {role(file), refusing("ExpiredTokenException"), "aws_credentials_expired", "our AWS role cannot be assumed"},
		"nobody to ask for a role": {
			role(file), func(*testing.T) string { return "http://127.0.0.1:1" },
			"aws_credentials_missing", "no AWS credentials could be had at 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused; see which",
		},
		"no token file": {role("/nonexistent/token"), fine, "aws_credentials_missing", "no AWS credentials could be had: "},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t, c.environment)
			got := ask(t, Options{Endpoint: c.endpoint(t)})
			if got == nil {
				t.Fatal("no error")
			}
			err := Explain(got, "Cloud Map", "servicediscovery:ListNamespaces", region, at)
			check(t, err, c.code, c.want)
			if o := OutcomeOf(got); o != Failed {
				t.Errorf("outcome %v", o)
			}
		})
	}
}

// TestExplainUnreachable: what is said where no answer comes.
func TestExplainUnreachable(t *testing.T) {
	environment(t, keys())
	explain := func(err error) *policy.Error {
		t.Helper()
		if err == nil {
			t.Fatal("no error")
		}
		return Explain(err, "Cloud Map", "servicediscovery:ListNamespaces", region, at)
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	host := strings.TrimPrefix(closed.URL, "http://")
	check(t, explain(ask(t, Options{Endpoint: closed.URL})), "aws_unreachable", "cannot be reached at "+host+": connection refused; check the network")

	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(t.Output(), nil), slog.LevelInfo)
	untrusted.StartTLS()
	defer untrusted.Close()
	check(t, explain(ask(t, Options{Endpoint: untrusted.URL})), "aws_unreachable", "its certificate is not trusted: x509: certificate signed by unknown authority; if a proxy reads along")

	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	}))
	defer cut.Close()
	check(t, explain(ask(t, Options{Endpoint: cut.URL})), "aws_unreachable", "EOF")

	post := func(err error) error {
		return &smithy.OperationError{
			ServiceID: "ServiceDiscovery", OperationName: "ListNamespaces",
			Err: &url.Error{Op: "Post", URL: "https://servicediscovery.eu-central-1.amazonaws.com/?X-Amz-Signature=abc", Err: err},
		}
	}
	at := " at servicediscovery.eu-central-1.amazonaws.com: "
	check(t, explain(post(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}})), "aws_unreachable", at+"no such host; check that eu-central-1 is the name of a region")
	check(t, explain(post(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "timeout", IsTimeout: true}})), "aws_unreachable", at+"its name could not be looked up in time; check the network")
	check(t, explain(post(os.ErrDeadlineExceeded)), "aws_unreachable", at+"no answer in time; check the network")
	check(t, explain(post(syscall.ECONNRESET)), "aws_unreachable", at+"connection reset")
	check(t, explain(post(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired})), "aws_unreachable", "its certificate is not valid now")
	check(t, explain(errors.New("something\nelse")), "aws_unreachable", "something else")
}

func TestExplainKeepsWhatIsExplained(t *testing.T) {
	known := &policy.Error{Code: "aws_region_missing"}
	if got := Explain(fmt.Errorf("load: %w", known), "ECS", "ecs:ListTasks", "", at); got != known {
		t.Errorf("got %v", got)
	}
}

// FuzzClean: what is told of the words of others is short, is one line, and has no keys in it.
func FuzzClean(f *testing.F) {
	f.Add("User: AKIAIOSFODNN7EXAMPLE https://sts.amazonaws.com/?X-Amz-Security-Token=" + token)
	f.Add("x-amz-security-token:" + token + "\nhost")
	f.Fuzz(func(t *testing.T, message string) {
		got := clean(message)
		if len(got) > maxMessage+len("…") || strings.ContainsAny(got, "\n\r\x00") {
			t.Errorf("%q", got)
		}
		if accessKey.MatchString(got) || longWord.MatchString(got) {
			t.Errorf("%q", got)
		}
	})
}
