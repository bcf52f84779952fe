package cloudmap

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/internal/aws"
)

// lookTimeout is how long a look may take: at most three attempts of a call, or many pages.
const lookTimeout = 2 * time.Minute

// pagePause is how much time there is for each page on average, so that one large service does not use up what AWS allows for all.
const pagePause = 200 * time.Millisecond

// watcher is one call of [Source.Watch]. All of it belongs to that goroutine.
type watcher struct {
	source *Source
	target Target
	tell   func(discovery.Look)
	pace   aws.Pace

	large   bool   // there are too many instances for one answer
	service string // its ID, once it was needed
	failing bool
}

// look looks once, and tells what it saw unless it was interrupted.
func (w *watcher) look(ctx context.Context) aws.Outcome {
	at := time.Now()
	bounded, cancel := context.WithTimeoutCause(ctx, lookTimeout, errSlow)
	defer cancel()
	region := w.target.Region
	var found []instance
	c, err := w.source.client(bounded, region)
	if err == nil {
		region = c.region
		found, err = w.find(bounded, c)
	}
	if ctx.Err() != nil {
		return aws.Failed
	}
	if err != nil {
		if bounded.Err() != nil {
			err = errors.Join(bounded.Err(), errSlow)
		}
		why := explain(err, w.target, region, time.Now())
		if c != nil && strings.HasPrefix(why.Code, "aws_credentials_") {
			w.source.renew(w.target.Region, c, time.Now())
		}
		w.failed(at, why)
		return aws.OutcomeOf(err)
	}
	endpoints, err := endpointsOf(found, w.target)
	if err != nil {
		w.failed(at, err)
		return aws.Answered
	}
	if w.failing {
		w.failing = false
		w.source.log.Info("a Cloud Map service can be looked at again", "namespace", w.target.Namespace, "service", w.target.Service)
	}
	w.tell(discovery.Look{At: at, Endpoints: endpoints})
	return aws.Answered
}

func (w *watcher) failed(at time.Time, err error) {
	if !w.failing {
		w.failing = true
		w.source.log.Warn("a Cloud Map service cannot be looked at; what is known of it stays",
			"namespace", w.target.Namespace, "service", w.target.Service, "error", err)
	}
	w.tell(discovery.Look{At: at, Err: err})
}

// find returns all instances, by one question if one answer holds them.
func (w *watcher) find(ctx context.Context, c *client) ([]instance, error) {
	if !w.large {
		found, err := discover(ctx, c.Client, w.target)
		if err != nil || len(found) < maxDiscovered {
			return found, err
		}
		w.large = true
	}
	found, err := w.list(ctx, c)
	if gone := (*types.ServiceNotFound)(nil); errors.As(err, &gone) {
		w.service = "" // it may be there again under another ID
	}
	if err == nil && len(found) < maxDiscovered {
		w.large, w.pace.Every = false, w.source.poll
	}
	return found, err
}

// list returns all instances by pages.
func (w *watcher) list(ctx context.Context, c *client) ([]instance, error) {
	if w.service == "" {
		id, err := serviceID(ctx, c.Client, w.target)
		if err != nil {
			return nil, err
		}
		w.service = id
	}
	found, calls, err := list(ctx, c.Client, w.service)
	w.pace.Every = max(w.source.poll, time.Duration(calls)*pagePause)
	return found, err
}
