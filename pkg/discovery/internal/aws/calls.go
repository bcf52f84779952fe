package aws

import (
	"context"
	"maps"
	"sync"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// Calls counts what was sent to AWS, by action: each attempt, for AWS counts and charges those. The zero value is ready. Its methods may
// be called from several goroutines.
type Calls struct {
	mu sync.Mutex
	by map[string]int64
}

// ByAction returns how often each action was asked for, by its name, for example "DiscoverInstances".
func (c *Calls) ByAction() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		return map[string]int64{}
	}
	return maps.Clone(c.by)
}

func (c *Calls) add(action string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]int64{}
	}
	c.by[action]++
}

// count adds the counter to a client, behind what retries and signs: what cannot be signed is not sent.
func (c *Calls) count(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("crossfade/Calls",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			c.add(awsmiddleware.GetOperationName(ctx))
			return next.HandleDeserialize(ctx, in)
		}), middleware.After)
}
