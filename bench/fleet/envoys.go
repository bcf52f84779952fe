package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/envoyproc"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// envoyTimeout bounds how long real Envoys take to be ready, and to show a flip.
const envoyTimeout = time.Minute

// startEnvoys starts the real Envoys among the proxies, and waits until each is ready.
func (r *runner) startEnvoys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, envoyTimeout)
	defer cancel()
	for i := range r.Envoys {
		ready, err := r.startEnvoy(ctx, fmt.Sprintf("envoy-%d", i+1))
		if err != nil {
			return err
		}
		p := r.envoys[i]
		if err := poll.Until(ctx, 10*time.Millisecond, func(ctx context.Context) error { return isReady(ctx, ready) }); err != nil {
			return fmt.Errorf("envoy is not ready: %w\n%s", err, p.LastLines(20))
		}
	}
	return nil
}

// startEnvoy starts one with the bootstrap that users have, and returns the URL of its readiness.
func (r *runner) startEnvoy(ctx context.Context, id string) (ready string, err error) {
	var at [2]string // of readiness and of the admin interface
	for i := range at {
		port, err := loopback.Reserve(r.Workload.host())
		if err != nil {
			return "", err
		}
		port.Release()
		at[i] = port.Addr()
	}
	var bootstrap bytes.Buffer
	if err := envoy.Render(&bootstrap, envoy.Bootstrap{
		Fleet: fleetName, NodeID: id, ListenAddress: r.Workload.host(), XDSAddress: r.address, ReadyAddress: at[0], AdminAddress: at[1], FlushInterval: r.flush,
	}); err != nil {
		return "", err
	}
	p, err := envoyproc.Start(ctx, envoyproc.Config{Binary: r.envoy, Bootstrap: bootstrap.Bytes(), Concurrency: 1})
	if err != nil {
		return "", err
	}
	r.envoys = append(r.envoys, p)
	return "http://" + at[0] + "/ready", nil
}

func isReady(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

// envoysFollowed waits until each real Envoy shows the weight that the last flip set.
func (r *runner) envoysFollowed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, envoyTimeout)
	defer cancel()
	flipped := r.Workload.service(r.at.Flip)
	s := r.Workload.compiled(flipped, r.at.Flip)
	key, want := policy.WeightKey(s.Name, s.Origins[1].Name), fmt.Sprint(r.Workload.share(flipped, r.at.Flip))
	for _, p := range r.envoys {
		if err := poll.Until(ctx, 10*time.Millisecond, func(ctx context.Context) error {
			runtime, err := p.Runtime(ctx)
			if err == nil && runtime[key] != want {
				err = fmt.Errorf("%s is %q, not %s", key, runtime[key], want)
			}
			return err
		}); err != nil {
			return fmt.Errorf("envoy does not follow: %w\n%s", err, p.LastLines(20))
		}
	}
	return nil
}
