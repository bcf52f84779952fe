package deploys

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// kubeClient writes objects. It is not client-go, which only its adapter may import.
type kubeClient struct {
	url, token string
	http       *http.Client
}

// newKubeClient reads the first cluster and the first user of a kubeconfig.
func newKubeClient(path string) (*kubeClient, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string
				CA     []byte `json:"certificate-authority-data"`
			}
		}
		Users []struct{ User struct{ Token string } }
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(config.Clusters) == 0 || len(config.Users) == 0 {
		return nil, fmt.Errorf("%s has no cluster or no user", path)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.Clusters[0].Cluster.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 16}
	return &kubeClient{
		url: config.Clusters[0].Cluster.Server, token: config.Users[0].User.Token,
		http: &http.Client{Timeout: 10 * time.Second, Transport: transport},
	}, nil
}

// do writes an object. While the server cannot be reached, or is not well, it tries again until ctx ends, as controllers do.
func (c *kubeClient) do(ctx context.Context, method, path string, object any) (status int, err error) {
	const again = 100 * time.Millisecond
	text, err := json.Marshal(object)
	if err != nil {
		return 0, err
	}
	for {
		status, err := c.try(ctx, method, path, text)
		if err == nil || status/100 == 4 && status != http.StatusTooManyRequests {
			return status, err
		}
		if waitErr := poll.Pause(ctx, again); waitErr != nil {
			return status, fmt.Errorf("%w: %w", waitErr, err)
		}
	}
}

func (c *kubeClient) try(ctx context.Context, method, path string, body []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return resp.StatusCode, err
}
