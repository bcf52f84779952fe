// Command go is a canary job in Go, by the generated client: it starts a rollout, waits for its verdict through lost connections, and takes everything
// back when it is interrupted. Exit codes are those of `shadowctl rollout run`: 0 passed, 8 rolled back, 9 aborted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// lease is for how long the rollout goes on if this program is gone, and for how long it looks for a server that is.
const lease = time.Minute

func main() {
	server := flag.String("server", "127.0.0.1:18080", "`HOST:PORT` of the server")
	service := flag.String("service", "", "the `SERVICE` whose traffic moves")
	to := flag.String("to", "", "the `ORIGIN` that it moves to")
	steps := flag.String("steps", "10", "`WEIGHTS` in percent")
	bake := flag.Duration("bake", 5*time.Minute, "how `LONG` each step is watched")
	key := flag.String("key", "", "`NAME` of this attempt of the job: with the same one, the same rollout is waited for")
	flag.Parse()
	conn, err := grpc.NewClient(*server, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second})) // notices a connection that is silently gone
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	j := &job{api: crossfadev1.NewCrossfadeServiceClient(conn), request: &crossfadev1.RunCanaryRequest{
		Rollout: &crossfadev1.Rollout{
			ApiVersion: "crossfade/v1", Kind: "Rollout", Name: *service + "-canary", Service: *service, To: *to, Preset: *steps, Bake: durationpb.New(*bake),
			Guards: []*crossfadev1.RolloutGuard{{Name: "errors", Metric: "errorRate", Max: "0.5%"}, {Name: "latency", Metric: "p99", Max: "10s"}},
		},
		Lease:   durationpb.New(lease),
		Options: &crossfadev1.ChangeOptions{IdempotencyKey: *key, Actor: "ci"},
	}}
	verdict, err := j.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("verdict:", verdict)
	os.Exit(map[string]int{"Pass": 0, "Fail": 8, "Inconclusive": 9}[verdict])
}

// job is a rollout that is waited for.
type job struct {
	api     crossfadev1.CrossfadeServiceClient
	request *crossfadev1.RunCanaryRequest
	abort   bool // as soon as it is seen
	said    string
}

// run starts the rollout and returns its verdict. When ctx ends, the rollout is aborted, and its end is waited for all the same.
func (j *job) run(ctx context.Context) (string, error) {
	verdict, err := j.wait(ctx)
	if ctx.Err() == nil || verdict != "" {
		return verdict, err
	}
	fmt.Println("interrupted: the rollout is aborted")
	j.abort = true
	return j.wait(context.WithoutCancel(ctx))
}

// wait returns the verdict. A lost connection is made again: the same key is the same rollout.
func (j *job) wait(ctx context.Context) (string, error) {
	for seen := time.Now(); ; {
		verdict, err := j.follow(ctx, &seen)
		if status.Code(err) != codes.Unavailable || time.Since(seen) > lease {
			return verdict, err
		}
		fmt.Fprintln(os.Stderr, "the connection was lost and is made again:", err)
		time.Sleep(time.Second)
	}
}

// follow reads one stream to its end.
func (j *job) follow(ctx context.Context, seen *time.Time) (string, error) {
	stream, err := j.api.RunCanary(ctx, j.request)
	if err != nil {
		return "", err
	}
	for {
		e, err := stream.Recv()
		if err != nil {
			return "", fmt.Errorf("no verdict yet: %w", err)
		}
		*seen = time.Now()
		s := e.GetStatus()
		if line := fmt.Sprintf("%s step %d: %s", s.GetState(), s.GetStep(), s.GetReason()); line != j.said {
			fmt.Println(line)
			j.said = line
		}
		if e.GetVerdict() != "" {
			return e.GetVerdict(), nil
		}
		if j.abort {
			j.abort = false
			if err := j.takeBack(ctx, s.GetName()); err != nil {
				return "", err
			}
		}
	}
}

func (j *job) takeBack(ctx context.Context, name string) error {
	_, err := j.api.ActOnRollout(ctx, &crossfadev1.ActOnRolloutRequest{
		Name: name, Action: "abort", Options: &crossfadev1.ChangeOptions{Reason: "the job was cancelled", Actor: "ci"},
	})
	if status.Code(err) == codes.FailedPrecondition { // it goes back already
		fmt.Fprintln(os.Stderr, err)
		return nil
	}
	return err
}
