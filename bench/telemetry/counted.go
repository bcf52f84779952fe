package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// counted are requests, and those of them that were answered 5xx.
type counted struct{ requests, failed uint64 }

var totalLine = regexp.MustCompile(`^crossfade_requests_total\{class="(\dxx)",origin="([^"]*)",service="([^"]*)"\} ([0-9.e+]+)$`)

// counted is what the control plane says in its own metrics about services whose names begin so.
func (s *site) counted(ctx context.Context, prefix string) (c counted, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Server.HTTP+"/metrics", nil)
	if err != nil {
		return c, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		m := totalLine.FindStringSubmatch(lines.Text())
		if m == nil || !strings.HasPrefix(m[3], prefix) {
			continue
		}
		n, err := strconv.ParseFloat(m[4], 64)
		if err != nil {
			return c, err
		}
		c.requests += uint64(n)
		if m[1] == "5xx" {
			c.failed += uint64(n)
		}
	}
	return c, lines.Err()
}

// exact ends the flushes and returns what was sent of the simulated services, what the control plane counted of them, and how many flushes were not
// answered: these may have been counted or not.
func (s *site) exact(ctx context.Context) (sent, got counted, open uint64, err error) {
	if err := s.fleet.Call(ctx, "Flush", time.Duration(0), nil); err != nil {
		return sent, got, 0, err
	}
	m, err := s.moment(ctx)
	if err != nil {
		return sent, got, 0, err
	}
	c := m.read.Counts
	got, err = s.counted(ctx, "service-")
	return counted{c.Requests, c.Failed}, got, c.TimedOut + c.Refused, err
}

// countedBy waits until the control plane counted so many requests of a service, or says how many it counted.
func (s *site) countedBy(ctx context.Context, service string, want counted) (got counted, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second+3*s.interval)
	defer cancel()
	err = poll.Until(ctx, 200*time.Millisecond, func(ctx context.Context) (err error) {
		if got, err = s.counted(ctx, service); err == nil && got != want {
			err = fmt.Errorf("the control plane counted %+v of %s, and the origins had %+v", got, service, want)
		}
		return err
	})
	return got, err
}
