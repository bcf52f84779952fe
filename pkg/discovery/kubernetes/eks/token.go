package eks

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	prefix        = "k8s-aws-v1."
	clusterHeader = "x-k8s-aws-id"
	// The cluster wants the time for which AWS accepts the request to be said, though it decides by its own rule, tokenLife.
	presignSeconds = "60"
	// tokenLife is how long a cluster takes a token: 15 minutes, less one for clocks that differ.
	tokenLife = 14 * time.Minute
)

// Token is what a cluster is shown.
type Token struct {
	Value   string
	Expires time.Time // the cluster may refuse it from then on
}

// Signer makes tokens for one cluster.
type Signer struct {
	cluster string
	client  *sts.Client
	creds   aws.CredentialsProvider
}

// NewSigner takes the AWS identity from where AWS's tools take it: the environment, the shared files and profile, the role of the
// task, pod or instance. It asks nobody yet.
func NewSigner(ctx context.Context, cluster, region string) (*Signer, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	return newSigner(cluster, c), nil
}

func newSigner(cluster string, c aws.Config) *Signer {
	return &Signer{cluster: cluster, client: sts.NewFromConfig(c), creds: c.Credentials}
}

// Sign makes a token. It asks AWS for credentials if those at hand have expired; the signature itself is computed here.
func (s *Signer) Sign(ctx context.Context, now time.Time) (Token, error) {
	if s.creds == nil {
		return Token{}, errors.New("no AWS credentials are configured")
	}
	creds, err := s.creds.Retrieve(ctx)
	if err != nil {
		return Token{}, fmt.Errorf("no AWS credentials: %w", err)
	}
	signed, err := sts.NewPresignClient(s.client).PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.PresignOptions) {
		o.ClientOptions = append(o.ClientOptions, sts.WithAPIOptions(
			smithyhttp.SetHeaderValue(clusterHeader, s.cluster),
			smithyhttp.SetHeaderValue("X-Amz-Expires", presignSeconds),
		))
	})
	if err != nil {
		return Token{}, fmt.Errorf("signing a request for our AWS identity: %w", err)
	}
	t := Token{Value: prefix + base64.RawURLEncoding.EncodeToString([]byte(signed.URL)), Expires: now.Add(tokenLife)}
	if creds.CanExpire && creds.Expires.Before(t.Expires) {
		t.Expires = creds.Expires // what is signed with credentials ends with them
	}
	return t, nil
}
