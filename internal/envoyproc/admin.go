package envoyproc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// Admin asks the admin interface of an Envoy. Every call ends with its ctx, or after 10 s.
type Admin struct {
	Address string // HOST:PORT
}

// Get returns the body of an admin page, for example "/clusters".
func (a Admin) Get(ctx context.Context, path string) (string, error) {
	return a.do(ctx, http.MethodGet, path)
}

// Post posts to an admin page, for example "/drain_listeners?graceful".
func (a Admin) Post(ctx context.Context, path string) (string, error) {
	return a.do(ctx, http.MethodPost, path)
}

func (a Admin) do(ctx context.Context, method, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.Address+path, nil)
	if err != nil {
		return "", err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("admin %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("admin %s: %s: %s", path, resp.Status, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}

// getJSON fills into from an admin page.
func (a Admin) getJSON(ctx context.Context, path string, into any) error {
	body, err := a.Get(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		return fmt.Errorf("admin %s: %w", path, err)
	}
	return nil
}

// Ready returns nil once Envoy says LIVE; before that an error with its state.
func (a Admin) Ready(ctx context.Context) error {
	_, err := a.Get(ctx, "/ready")
	return err
}

// WaitReady waits until Envoy is ready, or ctx ends.
func (a Admin) WaitReady(ctx context.Context) error {
	return poll.Until(ctx, 10*time.Millisecond, a.Ready)
}

// ConfigDump returns the configuration as JSON. The query may narrow it: "?resource=dynamic_active_clusters", "?include_eds".
func (a Admin) ConfigDump(ctx context.Context, query string) (json.RawMessage, error) {
	body, err := a.Get(ctx, "/config_dump"+query)
	return json.RawMessage(body), err
}

// Stats returns the counters and gauges whose names match a regular expression of Envoy's (RE2); an empty one matches all.
func (a Admin) Stats(ctx context.Context, filter string) (map[string]uint64, error) {
	path := "/stats"
	if filter != "" {
		path += "?filter=" + url.QueryEscape(filter)
	}
	body, err := a.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	return parseStats(body), nil
}

// parseStats reads "name: 12" lines; histograms and texts are passed over.
func parseStats(body string) map[string]uint64 {
	stats := map[string]uint64{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		i := strings.LastIndex(line, ": ")
		if i < 0 {
			continue
		}
		if n, err := strconv.ParseUint(line[i+2:], 10, 64); err == nil {
			stats[line[:i]] = n
		}
	}
	return stats
}

// Stat returns one counter or gauge by its exact name. One that Envoy does not have is an error, not 0.
func (a Admin) Stat(ctx context.Context, name string) (uint64, error) {
	stats, err := a.Stats(ctx, "^"+regexpQuote(name)+"$")
	if err != nil {
		return 0, err
	}
	n, ok := stats[name]
	if !ok {
		return 0, fmt.Errorf("envoy has no statistic %q", name)
	}
	return n, nil
}

// WaitStat waits until ok holds for the value of a counter or gauge, or ctx ends.
func (a Admin) WaitStat(ctx context.Context, name string, ok func(uint64) bool) error {
	return poll.Until(ctx, 10*time.Millisecond, func(ctx context.Context) error {
		n, err := a.Stat(ctx, name)
		if err != nil {
			return err
		}
		if !ok(n) {
			return fmt.Errorf("%s is %d", name, n)
		}
		return nil
	})
}

// regexpQuote escapes what RE2 reads as an operator.
func regexpQuote(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`\.+*?()|[]{}^$`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
