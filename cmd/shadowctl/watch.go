package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// Pauses between attempts to connect again: each is twice the one before.
const (
	firstPause = 250 * time.Millisecond
	longPause  = 10 * time.Second
)

func newWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "watch [SERVICE]", Short: "Show changes as they happen, after the present state, until interrupted",
		Long: `Show changes of services, proxies and revisions as they happen, after the present state. When the server goes away it
connects again, and says so on standard error; the present state then comes once more.
With -o json each line is one object: {"type","time","object"}.`,
		Args: exactly("[SERVICE]"), ValidArgsFunction: a.completeArgs(completeService, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			req := &crossfadev1.WatchRequest{Service: strings.Join(args, "")}
			return a.keepWatching(ctx, func(c crossfadev1.CrossfadeServiceClient) (int, error) {
				stream, err := c.Watch(ctx, req)
				return showAll(stream, err, func(e *crossfadev1.WatchResponse) error {
					return a.showEvent(e.GetType(), e.GetTime(), eventObject(e), func() string { return a.eventWords(e) })
				})
			})
		}),
	}
}

// keepWatching follows one stream after another: once follows one to its end, and counts its events. It ends when it is interrupted, or with
// an error that another attempt would not mend. The first connection has to succeed.
func (a *app) keepWatching(ctx context.Context, once func(crossfadev1.CrossfadeServiceClient) (events int, err error)) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	wait := firstPause
	for connected := false; ; {
		events, err := once(c)
		if ctx.Err() != nil {
			return nil
		}
		connected = connected || events > 0
		if !connected && unreachable(err) || !mendable(err) {
			return err
		}
		if events > 0 {
			wait = firstPause
		}
		a.note("connection lost (%s); trying again in %s", lostWords(err), wait)
		if !pause(ctx, wait) {
			return nil
		}
		wait = min(2*wait, longPause)
	}
}

// showAll shows the events of a stream to its end, and counts them. err is that of the call.
func showAll[E any](stream grpc.ServerStreamingClient[E], err error, show func(*E) error) (events int, _ error) {
	for err == nil {
		var event *E
		if event, err = stream.Recv(); err == nil {
			events++
			err = show(event)
		}
	}
	return events, err
}

// mendable tells errors that go away by themselves: the server restarts, or closed the stream because we were slow.
func mendable(err error) bool {
	if errors.Is(err, io.EOF) {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted:
		return true
	}
	return false
}

func lostWords(err error) string {
	if errors.Is(err, io.EOF) {
		return "the server ended it"
	}
	return status.Convert(err).Message()
}

// showEvent writes an event in one line, in words for people; as YAML, in a document. A nil object is left out.
func (a *app) showEvent(kind string, at *timestamppb.Timestamp, object proto.Message, words func() string) error {
	if a.output == "table" {
		a.say("%s  %-8s  %s", at.AsTime().Local().Format("15:04:05.000"), kind, oneLine(words()))
		return nil
	}
	var tree *yaml.Node
	if object != nil {
		tree = manifest.Answer(object)
	}
	return a.showTree(kind, at, tree)
}

// showTree writes an event as one line of JSON, or as a document of YAML. A nil object is left out.
func (a *app) showTree(kind string, at *timestamppb.Timestamp, object *yaml.Node) error {
	tree := manifest.Answer(&crossfadev1.WatchResponse{Type: kind, Time: at})
	if object != nil {
		manifest.Put(tree, "object", object)
	}
	if a.output == "json" {
		return a.print(string(manifest.JSON(tree)) + "\n")
	}
	if err := a.print("---\n"); err != nil {
		return err
	}
	return a.show(tree, nil)
}

func eventObject(e *crossfadev1.WatchResponse) proto.Message {
	switch o := e.GetObject().(type) {
	case *crossfadev1.WatchResponse_Service:
		return o.Service
	case *crossfadev1.WatchResponse_Revision:
		return o.Revision
	case *crossfadev1.WatchResponse_Proxy:
		return o.Proxy
	}
	return nil
}

func (a *app) eventWords(e *crossfadev1.WatchResponse) string {
	switch o := e.GetObject().(type) {
	case *crossfadev1.WatchResponse_Service:
		return o.Service.GetName() + "  " + splitWords(o.Service.GetSplit()) + trafficWords(o.Service)
	case *crossfadev1.WatchResponse_Revision:
		r := o.Revision
		words := objectName(r) + "  revision " + manifest.Int(int(r.GetRevision())).Value + " by " + dash(r.GetWho()) + ": " + r.GetAction() + ", " + revisionChange(r)
		if r.GetReason() != "" {
			words += ` "` + r.GetReason() + `"`
		}
		return words
	case *crossfadev1.WatchResponse_Proxy:
		return o.Proxy.GetProxy() + "  " + o.Proxy.GetState() + ", revision " + revisionWords(o.Proxy) + "  " + o.Proxy.GetDetail() + "  " + refusalWords(o.Proxy)
	}
	return ""
}

// trafficWords are the figures of the origins that have any.
func trafficWords(s *crossfadev1.ServiceStatus) string {
	var b strings.Builder
	for _, o := range byWeight(s.GetSplit()) {
		if t := s.GetTraffic()[o]; t.GetRequests() > 0 {
			rps, errs, p99 := trafficCells(t)
			b.WriteString("  " + o + ": " + rps.text + " req/s, " + errs.text + " errors, p99 " + p99.text)
		}
	}
	return b.String()
}
