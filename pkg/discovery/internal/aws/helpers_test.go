package aws

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
)

const region = "eu-central-1"

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// environment makes the SDK see no AWS but what a test gives it.
func environment(t *testing.T, values map[string]string) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ROLE_ARN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_ENDPOINT_URL",
		"AWS_ENDPOINT_URL_SERVICEDISCOVERY", "AWS_CA_BUNDLE",
	} {
		t.Setenv(name, "") // is put back after the test
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for name, value := range values {
		t.Setenv(name, value)
	}
}

// keys are credentials of nobody.
func keys() map[string]string {
	return map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE0000000", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test", "AWS_SESSION_TOKEN": "session-of-the-test"}
}

// load is Load for a test.
func load(t *testing.T, o Options) sdk.Config {
	t.Helper()
	if o.Region == "" {
		o.Region = region
	}
	cfg, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// ask sends a question with the SDK and returns its error. Retries come at once.
func ask(t *testing.T, o Options) error {
	t.Helper()
	client := servicediscovery.NewFromConfig(load(t, o), func(o *servicediscovery.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 2, time.Millisecond })
	})
	_, err := client.ListNamespaces(t.Context(), &servicediscovery.ListNamespacesInput{})
	return err
}

// answering is a server that answers everything so.
func answering(t *testing.T, status int, errorType, body string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if errorType != "" {
			w.Header().Set("X-Amzn-ErrorType", errorType)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("Date", at.Add(20*time.Minute).Format(http.TimeFormat))
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s
}
