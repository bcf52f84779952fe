package aws

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Times and numbers of what is sent to AWS. Of a call, each attempt may take attemptTimeout, and between two of them pass up to
// maxBackoff.
const (
	connectTimeout = 3 * time.Second
	attemptTimeout = 10 * time.Second
	maxAttempts    = 3
	maxBackoff     = 2 * time.Second
	idleTimeout    = 30 * time.Second
	maxConnections = 16 // to one host at a time: many targets of one region share them
)

// product is how we name ourselves to AWS: its logs show "app/crossfade".
const product = "crossfade"

// Options say which AWS to ask.
type Options struct {
	// Region, for example "eu-central-1". Empty is that of the environment (AWS_REGION) or of the profile.
	Region string
	// Endpoint is the address of an emulator, which then gets all calls. Empty is AWS's own, or what AWS_ENDPOINT_URL says.
	Endpoint string
	// Calls counts what is sent; nil counts nothing.
	Calls *Calls
	// HTTP sends it; nil is a client that gives up within seconds. Tests give their own.
	HTTP sdk.HTTPClient
}

// Load makes the configuration of clients of one region. It reads the environment and the shared files, and asks nobody: credentials are
// sought with the first call. Its error is a *policy.Error.
func Load(ctx context.Context, o Options) (sdk.Config, error) {
	load := []func(*config.LoadOptions) error{
		config.WithAppID(product),
		config.WithHTTPClient(httpClient()),
		config.WithRetryer(newRetryer),
	}
	if o.HTTP != nil {
		load = append(load, config.WithHTTPClient(o.HTTP))
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.Endpoint != "" {
		load = append(load, config.WithBaseEndpoint(o.Endpoint))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return sdk.Config{}, &policy.Error{
			Kind: policy.Invalid, Code: "aws_config_invalid",
			Message: fmt.Sprintf("the AWS configuration of this process cannot be read: %v", err),
			Next:    "correct the AWS_ variables of its environment, or the files and the profile that they name",
		}
	}
	if cfg.Region == "" {
		return sdk.Config{}, &policy.Error{
			Kind: policy.Invalid, Code: "aws_region_missing", Field: "region",
			Message: "no AWS region is known", Next: "set the region in the origin, or AWS_REGION for all of them",
		}
	}
	if o.Calls != nil {
		cfg.APIOptions = append(cfg.APIOptions, o.Calls.count)
	}
	return cfg, nil
}

// httpClient gives up within seconds where AWS does not answer. It is of the SDK's own kind, so that the SDK can shorten its times
// further where it asks a machine for its role.
func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTimeout(attemptTimeout).
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = connectTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout = connectTimeout
			t.IdleConnTimeout = idleTimeout
			t.MaxConnsPerHost, t.MaxIdleConnsPerHost = maxConnections, maxConnections
		})
}

func newRetryer() sdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = maxAttempts, maxBackoff
	})
}

var regionForm = regexp.MustCompile(`^[a-z]{2,8}(-[a-z]{2,10}){1,3}-[0-9]{1,2}$`)

// CheckRegion says what is wrong with the name of a region, as an error of the field "region"; nil if nothing is, or if it is empty.
// Which regions there are, only AWS knows.
func CheckRegion(region string) *policy.Error {
	if region == "" || regionForm.MatchString(region) {
		return nil
	}
	e := &policy.Error{
		Kind: policy.Invalid, Code: "aws_region_invalid", Field: "region", Value: region,
		Message: "an AWS region is named like eu-central-1",
	}
	if zone := strings.TrimRight(region, "abcdefghijklmnopqrstuvwxyz"); zone != region && regionForm.MatchString(zone) {
		e.Next = fmt.Sprintf("this is an availability zone; its region is %s", zone)
	}
	return e
}
