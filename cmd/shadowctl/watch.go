package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

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
		RunE: a.do(func(ctx context.Context, args []string) error { return a.watch(ctx, strings.Join(args, "")) }),
	}
}

// watch ends when it is interrupted, or with an error that another attempt would not mend. The first connection has to succeed.
func (a *app) watch(ctx context.Context, service string) error {
	wait := firstPause
	for connected := false; ; {
		events, err := a.watchOnce(ctx, service)
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

// watchOnce follows one stream to its end, and counts its events.
func (a *app) watchOnce(ctx context.Context, service string) (events int, err error) {
	c, err := a.client()
	if err != nil {
		return 0, err
	}
	stream, err := c.Watch(ctx, &crossfadev1.WatchRequest{Service: service})
	for err == nil {
		var event *crossfadev1.WatchResponse
		if event, err = stream.Recv(); err == nil {
			events++
			err = a.showEvent(event)
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

func (a *app) showEvent(e *crossfadev1.WatchResponse) error {
	if a.output == "table" {
		a.say("%s  %-8s  %s", e.GetTime().AsTime().Local().Format("15:04:05.000"), e.GetType(), oneLine(a.eventWords(e)))
		return nil
	}
	tree := manifest.Answer(&crossfadev1.WatchResponse{Type: e.GetType(), Time: e.GetTime()})
	if o := eventObject(e); o != nil {
		manifest.Put(tree, "object", manifest.Answer(o))
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
