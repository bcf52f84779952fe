package ecs

import (
	"cmp"
	"context"
	"sync"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"

	"github.com/crossfade-proxy/crossfade/pkg/discovery/internal/aws"
)

// attemptTimeout is how long one attempt of a call may take.
const attemptTimeout = 10 * time.Second

// region is AWS in one region: its clients, which all clusters share, and how fast they may ask.
type region struct {
	name   string
	config Config
	calls  *aws.Calls
	// AWS counts these apart; see the package's documentation.
	resources, services, instances *rate.Limiter

	mu      sync.Mutex
	clients *clients // nil until the configuration could be loaded
}

// clients ask one region.
type clients struct {
	ecs  *ecs.Client
	ec2  *ec2.Client
	made time.Time
}

func newRegion(name string, c Config, calls *aws.Calls) *region {
	limit := func() *rate.Limiter { return rate.NewLimiter(rate.Limit(c.Rate), max(1, int(c.Rate*burst))) }
	return &region{name: name, config: c, calls: calls, resources: limit(), services: limit(), instances: limit()}
}

// get returns the clients, and makes them for the first who asks.
func (r *region) get(ctx context.Context) (*clients, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clients == nil {
		c, err := aws.Load(ctx, aws.Options{Region: r.name, Endpoint: r.config.Endpoint, Calls: r.calls, HTTP: r.config.http})
		if err != nil {
			return nil, err
		}
		c.APIOptions = append(c.APIOptions, r.pace)
		r.clients = &clients{ecs.NewFromConfig(c), ec2.NewFromConfig(c), time.Now()}
	}
	return r.clients, nil
}

// renewAfter is how old clients are at least that are made anew because AWS does not accept what they show.
const renewAfter = 30 * time.Second

// renew forgets clients whose credentials are no good, so that the files are read anew with the next call: somebody may have corrected
// them. The SDK itself renews only credentials that say when they end.
func (r *region) renew(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clients != nil && now.Sub(r.clients.made) >= renewAfter {
		r.clients = nil
	}
}

// pace makes each attempt of a call wait for its turn, and bounds it.
func (r *region) pace(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("crossfade/Pace",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			if err := r.limiter(awsmiddleware.GetOperationName(ctx)).Wait(ctx); err != nil {
				return middleware.FinalizeOutput{}, middleware.Metadata{}, cmp.Or(ctx.Err(), context.DeadlineExceeded)
			}
			ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
			defer cancel()
			return next.HandleFinalize(ctx, in)
		}), "Retry", middleware.After)
}

func (r *region) limiter(action string) *rate.Limiter {
	switch action {
	case "DescribeServices":
		return r.services
	case "DescribeInstances":
		return r.instances
	}
	return r.resources
}
