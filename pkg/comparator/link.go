package comparator

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"google.golang.org/grpc"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// link is how a comparator and the server know of each other.
type link struct {
	comparator *comparator
	client     crossfadev1.ComparatorServiceClient
	hello      *crossfadev1.ComparatorHello
	log        *slog.Logger
	sequence   int64 // of the last counts; only the goroutine of run has it
	leave      chan struct{}
	left       chan struct{} // closed when the server has all, or run has ended
}

func newLink(k *comparator, c Config) *link {
	return &link{
		comparator: k, client: crossfadev1.NewComparatorServiceClient(c.Server), log: c.Log, leave: make(chan struct{}), left: make(chan struct{}),
		hello: &crossfadev1.ComparatorHello{Instance: rand.Text(), Address: c.Advertise, Version: c.Version},
	}
}

// run keeps the link until ctx ends or goodbye was said.
func (l *link) run(ctx context.Context) {
	defer close(l.left)
	wait, said := firstBackoff, false
	for ctx.Err() == nil {
		began := time.Now()
		err := l.work(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil && !said {
			l.log.Warn("the server cannot be reached; counting goes on, asking ends with the lease", slog.Any("error", err))
		}
		said = true
		if time.Since(began) > longestBackoff {
			wait, said = firstBackoff, false
		}
		pause := time.NewTimer(wait/2 + mathrand.N(wait/2))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
		wait = min(2*wait, longestBackoff)
	}
}

// goodbye tells the server that what was counted is all, and waits until it has it or ctx ends.
func (l *link) goodbye(ctx context.Context) {
	close(l.leave)
	select {
	case <-l.left:
	case <-ctx.Done():
	}
}

var (
	errSilent = errors.New("no word of the server")
	errClosed = errors.New("the server closed the link")
)

type workStream = grpc.BidiStreamingClient[crossfadev1.WorkRequest, crossfadev1.WorkResponse]

// work is one stream. It returns nil when goodbye was said.
func (l *link) work(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	stream, err := l.client.Work(ctx, grpc.MaxCallRecvMsgSize(maxOrderBytes))
	if err != nil {
		cancel(nil)
		return err
	}
	heard, received := make(chan int64, 1), make(chan struct{})
	go func() {
		defer close(received)
		silent := time.AfterFunc(l.comparator.limits.silence, func() { cancel(errSilent) })
		defer silent.Stop()
		cancel(l.receive(stream, heard, silent))
	}()
	defer func() {
		cancel(nil)
		<-received
	}()
	if err := stream.Send(&crossfadev1.WorkRequest{Message: &crossfadev1.WorkRequest_Hello{Hello: l.hello}}); err != nil {
		return why(ctx, err)
	}
	l.comparator.forget()
	return l.report(ctx, stream, heard)
}

// why is the reason for which a stream ended, if it is known.
func why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// receive takes orders until the stream ends.
func (l *link) receive(stream workStream, heard chan int64, silent *time.Timer) error {
	for {
		orders, err := stream.Recv()
		if err != nil {
			return err
		}
		silent.Reset(l.comparator.limits.silence)
		l.comparator.obey(orders, time.Now())
		select {
		case <-heard:
		default:
		}
		heard <- orders.GetSequence()
	}
}

// report sends counts each second, and at the end the last ones.
func (l *link) report(ctx context.Context, stream workStream, heard <-chan int64) error {
	tick := time.NewTicker(l.comparator.limits.countsEvery)
	defer tick.Stop()
	for final := false; ; {
		if err := l.send(stream, final); err != nil {
			return why(ctx, err)
		}
		if final {
			return l.farewell(ctx, stream, heard)
		}
		var err error
		if final, err = l.pause(ctx, tick.C, heard); err != nil {
			return err
		}
	}
}

// pause waits until it is time for other counts, the last ones if final.
func (l *link) pause(ctx context.Context, tick <-chan time.Time, heard <-chan int64) (final bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return false, why(ctx, errClosed)
		case <-heard:
		case <-l.leave:
			return true, nil
		case <-tick:
			return false, nil
		}
	}
}

// farewell waits until the server has taken the last counts, or has closed the stream after them.
func (l *link) farewell(ctx context.Context, stream workStream, heard <-chan int64) error {
	_ = stream.CloseSend()
	for {
		select {
		case taken := <-heard:
			if taken >= l.sequence {
				return nil
			}
		case <-ctx.Done():
			if err := why(ctx, errClosed); !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		}
	}
}

// send sends the counts; to say goodbye, as many messages as the tallies need.
func (l *link) send(stream workStream, goodbye bool) error {
	for {
		l.sequence++
		counts, rest := l.comparator.counts(l.sequence, time.Now(), goodbye)
		counts.Goodbye = goodbye && !rest
		if err := stream.Send(&crossfadev1.WorkRequest{Message: &crossfadev1.WorkRequest_Counts{Counts: counts}}); err != nil {
			return err
		}
		if !goodbye || !rest {
			return nil
		}
	}
}
