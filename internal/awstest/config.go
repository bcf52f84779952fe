package awstest

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// config asks one address for everything, once: tests see each failure.
func config(url, region string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: aws.String(url), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret", Source: "awstest"}, nil
		}),
	}
}
