package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
)

// traefiks is a peer: processes that watch a file each. A rollback writes the files.
type traefiks struct {
	lab       *lab
	path      string
	processes []*traefik
}

type traefik struct {
	*process
	folder, address string
}

// throttle is Traefik's providersThrottleDuration: a change within it of another waits for its end.
const throttle = 2 * time.Second

const traefikStatic = `entryPoints: {in: {address: "%s"}}
providers: {file: {filename: "%s", watch: true}}
global: {checkNewVersion: false, sendAnonymousUsage: false}
log: {level: ERROR}
`

const traefikDynamic = `http:
  routers:
    orders: {rule: "PathPrefix(` + "`/`" + `)", service: orders}
  services:
    orders: {weighted: {services: [{name: ecs, weight: %d}, {name: eks, weight: %d}]}}
    ecs: {loadBalancer: {servers: [{url: "http://%s"}]}}
    eks: {loadBalancer: {servers: [{url: "http://%s"}]}}
`

// traefikVersion is what the command builds: the module replaces others, so that `go install` refuses it.
const (
	traefikVersion = "v3.6.12"
	getTraefik     = `(cd / && go mod download github.com/traefik/traefik/v3@` + traefikVersion +
		` && cd "$(go env GOMODCACHE)/github.com/traefik/traefik/v3@` + traefikVersion + `" && go build -ldflags '-s -w -X github.com/traefik/traefik/v3/pkg/version.Version=` +
		traefikVersion + `' -o "${XDG_CACHE_HOME:-$HOME/.cache}/crossfade/tools/traefik" ./cmd/traefik), five minutes`
)

// findTraefik finds it on PATH, or in the cache, where the command puts it that the error says.
func findTraefik() (string, error) {
	cache, err := envoybin.CacheDir()
	if err != nil {
		return "", err
	}
	return find("traefik", getTraefik, filepath.Join(cache, "tools"))
}

func startTraefiks(ctx context.Context, dir string, l *lab, n int) (*traefiks, error) {
	path, err := findTraefik()
	if err != nil {
		return nil, err
	}
	all := &traefiks{lab: l, path: path}
	for i := range n {
		p, err := startTraefik(ctx, path, filepath.Join(dir, fmt.Sprintf("traefik-%d", i+1)), l)
		if err != nil {
			all.close()
			return nil, err
		}
		all.processes = append(all.processes, p)
	}
	return all, nil
}

func startTraefik(ctx context.Context, path, folder string, l *lab) (*traefik, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &traefik{folder: folder, address: address}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	static := filepath.Join(folder, "static.yaml")
	if err := os.WriteFile(static, fmt.Appendf(nil, traefikStatic, address, p.file()), 0o600); err != nil {
		return nil, err
	}
	if err := p.set(l, 100, 0); err != nil {
		return nil, err
	}
	if p.process, err = startProcess(path, "--configFile="+static); err != nil {
		return nil, err
	}
	if err := awaitServing(ctx, p.process, address); err != nil {
		return nil, p.failed(err)
	}
	return p, nil
}

func (p *traefik) file() string { return filepath.Join(p.folder, "dynamic.yaml") }

// set writes the file with the weights of both origins.
func (p *traefik) set(l *lab, ecs, eks int) error {
	return replaceFile(p.file(), fmt.Sprintf(traefikDynamic, ecs, eks, l.ecs.Addr(), l.eks.Addr()))
}

func (t *traefiks) name() string { return "traefik" }

func (t *traefiks) note() string {
	return fmt.Sprintf("a rollback writes the files that are watched; at least %v after the change before, which would hold it back otherwise", throttle)
}

func (t *traefiks) version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, t.path, "version").Output()
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(out), "Version:")
	first, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(first)
}

func (t *traefiks) targets() (out []string) {
	for _, p := range t.processes {
		out = append(out, p.address)
	}
	return out
}

func (t *traefiks) pids() (out []int) {
	for _, p := range t.processes {
		out = append(out, p.pid())
	}
	return out
}

// rest is until a change is taken up at once.
func (t *traefiks) rest() (least, most time.Duration) { return throttle, throttle + time.Second }

func (t *traefiks) away(context.Context) error {
	return atOnce(t.processes, func(p *traefik) error { return p.set(t.lab, 0, 100) })
}

func (t *traefiks) back(context.Context, bool) (answer, error) {
	return answer{}, atOnce(t.processes, func(p *traefik) error { return p.set(t.lab, 100, 0) })
}

func (t *traefiks) close() {
	for _, p := range t.processes {
		p.close()
	}
}
