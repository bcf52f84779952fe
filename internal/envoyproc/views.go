package envoyproc

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Host is an endpoint as Envoy sees it.
type Host struct {
	Cluster string
	Address string   // HOST:PORT
	Health  string   // "HEALTHY", "DRAINING", … as discovery said
	Failing []string // why Envoy itself holds it for bad: "failed_active_health_check", "failed_outlier_check", …; empty if it does not
}

// Hosts returns the endpoints of every cluster, by cluster and address.
func (a Admin) Hosts(ctx context.Context) ([]Host, error) {
	var answer struct {
		Statuses []struct {
			Name  string `json:"name"`
			Hosts []struct {
				Address socketAddress  `json:"address"`
				Health  map[string]any `json:"health_status"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := a.getJSON(ctx, "/clusters?format=json", &answer); err != nil {
		return nil, err
	}
	var hosts []Host
	for _, c := range answer.Statuses {
		for _, h := range c.Hosts {
			host := Host{Cluster: c.Name, Address: h.Address.String()}
			for key, value := range h.Health {
				if s, ok := value.(string); ok && key == "eds_health_status" {
					host.Health = s
				} else if value == true {
					host.Failing = append(host.Failing, key)
				}
			}
			slices.Sort(host.Failing)
			hosts = append(hosts, host)
		}
	}
	slices.SortFunc(hosts, func(x, y Host) int { return strings.Compare(x.Cluster+" "+x.Address, y.Cluster+" "+y.Address) })
	return hosts, nil
}

type socketAddress struct {
	Socket struct {
		Address string `json:"address"`
		Port    int    `json:"port_value"`
	} `json:"socket_address"`
}

// String is HOST:PORT.
func (s socketAddress) String() string {
	return net.JoinHostPort(s.Socket.Address, strconv.Itoa(s.Socket.Port))
}

// Listeners returns the address, HOST:PORT, of each listener by name; of several addresses the first.
func (a Admin) Listeners(ctx context.Context) (map[string]string, error) {
	var answer struct {
		Statuses []struct {
			Name    string        `json:"name"`
			Address socketAddress `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := a.getJSON(ctx, "/listeners?format=json", &answer); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, l := range answer.Statuses {
		out[l.Name] = l.Address.String()
	}
	return out, nil
}

// Runtime returns the final value of every runtime key, all layers merged.
func (a Admin) Runtime(ctx context.Context) (map[string]string, error) {
	var answer struct {
		Entries map[string]struct {
			Final string `json:"final_value"`
		} `json:"entries"`
	}
	if err := a.getJSON(ctx, "/runtime", &answer); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for key, entry := range answer.Entries {
		out[key] = entry.Final
	}
	return out, nil
}

// ModifyRuntime sets runtime keys in the admin layer, which wins over all others if the bootstrap has one; an empty value removes
// the key from it.
func (a Admin) ModifyRuntime(ctx context.Context, values map[string]string) error {
	query := url.Values{}
	for key, value := range values {
		query.Set(key, value)
	}
	if _, err := a.Post(ctx, "/runtime_modify?"+query.Encode()); err != nil {
		return fmt.Errorf("modifying the runtime: %w", err)
	}
	return nil
}
