package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profile writes a CPU profile of the control plane for so long, if that is wanted. It takes time itself. The channel gets one error, or nil.
func (s *site) profile(ctx context.Context, length time.Duration) <-chan error {
	out := make(chan error, 1)
	if s.b.profiles == "" {
		out <- nil
		return out
	}
	go func() { out <- s.writeProfile(ctx, length) }()
	return out
}

func (s *site) writeProfile(ctx context.Context, length time.Duration) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.Server.HTTP, max(1, int(length.Seconds())))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	name := fmt.Sprintf("%d-proxies-%v-%d-rollouts-%s.pprof", s.proxies, s.interval, len(s.traffic.Half), time.Now().UTC().Format("150405"))
	f, err := os.Create(filepath.Join(s.b.profiles, name))
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
