package server

import (
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Watch implements the contract. A watcher that leaves events unread is cut off: it would otherwise hold them in memory.
func (a *API) Watch(r *crossfadev1.WatchRequest, stream grpc.ServerStreamingServer[crossfadev1.WatchResponse]) error {
	var p problems
	if p.optionalName("service", r.GetService()); p.Err() != nil {
		return p.Err()
	}
	sub := a.control.Watch(r.GetService())
	defer sub.Close()
	if err := stream.SendHeader(nil); err != nil { // from here on the watcher misses nothing
		return err
	}
	stall := time.NewTimer(a.watchStall)
	defer stall.Stop()
	see := a.sight(stream.Context())
	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case e, open := <-sub.C:
			if !open {
				return a.ended(sub.Err())
			}
			if e = see.event(e); e == nil {
				continue
			}
			if err := send(a, stream, e, stall); err != nil {
				return err
			}
		}
	}
}

// send sends one event, unless the watcher does not take it in time. The goroutine ends when the caller's stream has.
func send[E any](a *API, stream grpc.ServerStreamingServer[E], e *E, stall *time.Timer) error {
	sent := make(chan error, 1)
	go func() { sent <- stream.Send(e) }()
	stall.Reset(a.watchStall)
	select {
	case err := <-sent:
		return err
	case <-stream.Context().Done():
		return stream.Context().Err()
	case <-stall.C:
		return a.tooSlow(fmt.Sprintf("an event was not read within %s", a.watchStall))
	}
}

// ended says why the controller ended a subscription.
func (a *API) ended(err error) error {
	if err == nil {
		return newStatus(codes.Unavailable, policy.Errors{{Code: "server_stopping", Message: errStopping.Error(), Next: "watch again"}}, nil)
	}
	return a.tooSlow(err.Error())
}

func (a *API) tooSlow(why string) error {
	a.log.Info("a watcher was cut off", "reason", why)
	return newStatus(codes.ResourceExhausted, policy.Errors{{Code: "watch_too_slow", Message: why, Next: "watch again: the present state comes first"}}, nil)
}
