package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/internal/version"
)

const (
	// bundleRevisions is how much of the history is in a bundle.
	bundleRevisions = 200
	// bundleServices is how many documents are.
	bundleServices = 500
	// maxDiagnostics bounds what the server sends for a bundle, in bytes.
	maxDiagnostics = 256 << 20
)

func newSupportBundle(a *app) *cobra.Command {
	var force, dryRun bool
	var lines int
	cmd := &cobra.Command{
		Use: "support-bundle FILE.tar.gz", Short: "Gather what somebody needs who looks for a mistake of Crossfade",
		Long: `Gather into one file: versions, settings, proxies, services with their documents, the last 200 revisions, rollouts, experiments without
what they captured, metrics, what the server's goroutines do and where its memory is, and the last lines of its log.

Not in it: secrets, tokens and keys; values of headers, cookies and query parameters that documents ask for; paths of the URLs of hooks;
anything of requests and answers. Names of services, hosts and people, addresses, and reasons as they were written are in it: look at it
before you send it to somebody. --dry-run lists what would be in it and writes nothing.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if dryRun && len(args) == 0 {
				return nil
			}
			return exactly("FILE.tar.gz")(cmd, args)
		},
		RunE: a.do(func(ctx context.Context, args []string) error {
			b := &bundle{app: a, lines: int32(lines), dry: dryRun}
			if dryRun {
				return b.list(ctx)
			}
			return b.write(ctx, args[0], force)
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace FILE if it exists")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "list what would be in it, and write nothing")
	cmd.Flags().IntVar(&lines, "log-lines", 0, "only the last `N` lines of the log (default: all that the server has kept, at most 2,000)")
	return cmd
}

// bundle is a support bundle that is being made.
type bundle struct {
	*app
	lines int32
	dry   bool

	files []bundled
}

// bundled is a file of a bundle.
type bundled struct {
	name, about string
	data        []byte
}

// part is one thing that is asked for.
type part struct {
	name, about string
	get         func(context.Context) (*yaml.Node, error)
}

func (b *bundle) parts() []part {
	return []part{
		{"version.json", "versions of server and shadowctl, and where the server listens", b.versions},
		{"fleet.json", "every proxy: its state and its last refusal", b.proxies},
		{"services.json", "every service with its figures", b.services},
		{"documents.json", fmt.Sprintf("documents of the services (%d at most), without values of headers, cookies and query parameters", bundleServices), b.documents},
		{"history.json", fmt.Sprintf("the last %d revisions, likewise", bundleRevisions), b.history},
		{"rollouts.json", "rollouts, without paths of hooks", b.rollouts},
		{"mirrors.json", "experiments, without what they captured", b.mirrors},
	}
}

// gather asks for everything. What cannot be had must not hide the rest: the file says why.
func (b *bundle) gather(ctx context.Context) error {
	for _, p := range b.parts() {
		f := bundled{name: p.name, about: p.about}
		if !b.dry {
			tree, err := p.get(ctx)
			if err != nil {
				if ctx.Err() != nil || unreachable(err) {
					return err
				}
				tree = manifest.Map()
				manifest.Put(tree, "error", manifest.Str(b.failureOf(err).Error()))
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, manifest.JSON(tree), "", "  "); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			f.data = append(pretty.Bytes(), '\n')
		}
		b.files = append(b.files, f)
	}
	return b.diagnostics(ctx)
}

// diagnostics asks for what only the server knows.
func (b *bundle) diagnostics(ctx context.Context) error {
	c, err := b.admin()
	if err != nil {
		return err
	}
	stream, err := c.GetDiagnostics(ctx, &crossfadev1.GetDiagnosticsRequest{LogLines: b.lines, NamesOnly: b.dry})
	if err != nil {
		return err
	}
	total := 0
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if total += len(m.GetData()); total > maxDiagnostics {
			return &failure{exit: exitInternal, problems: []problem{{code: "too_large", message: fmt.Sprintf("the server sent more than %d MiB", maxDiagnostics>>20)}}}
		}
		if n := len(b.files); b.files[n-1].name != m.GetName() {
			b.files = append(b.files, bundled{name: m.GetName(), about: m.GetDescription()})
		}
		last := &b.files[len(b.files)-1]
		last.data = append(last.data, m.GetData()...)
	}
}

// list says what would be in it.
func (b *bundle) list(ctx context.Context) error {
	if err := b.gather(ctx); err != nil {
		return err
	}
	return b.show(b.tree(""), func() {
		t := &table{head: []string{"FILE", "WHAT"}}
		for _, f := range b.files {
			t.row(f.name, f.about)
		}
		b.app.write(t)
	})
}

func (b *bundle) tree(path string) *yaml.Node {
	tree, list := manifest.Map(), manifest.List()
	if path != "" {
		manifest.Put(tree, "file", manifest.Str(path))
	}
	for _, f := range b.files {
		item := manifest.Map()
		manifest.Put(item, "name", manifest.Str(f.name))
		manifest.Put(item, "what", manifest.Str(f.about))
		if path != "" {
			manifest.Put(item, "bytes", manifest.Int(len(f.data)))
		}
		list.Content = append(list.Content, item)
	}
	manifest.Put(tree, "items", list)
	return tree
}

func (b *bundle) write(ctx context.Context, path string, force bool) error {
	out, err := newOutput(path, force)
	if err != nil {
		return err
	}
	defer out.discard()
	if err := b.gather(ctx); err != nil {
		return err
	}
	if err := b.pack(out, b.now()); err != nil {
		return cannotWrite(path, err)
	}
	if err := out.keep(); err != nil {
		return err
	}
	return b.show(b.tree(path), func() {
		b.say("%s: %d files. It has no secrets of the settings and nothing of requests; names, addresses and reasons are in it:", path, len(b.files))
		b.say("look at it before you send it to somebody: tar -xzf %s", path)
	})
}

// pack writes the files, below one folder.
func (b *bundle) pack(w io.Writer, now time.Time) error {
	zip := gzip.NewWriter(w)
	archive := tar.NewWriter(zip)
	for _, f := range b.files {
		h := &tar.Header{Name: "crossfade-support/" + f.name, Mode: 0o600, Size: int64(len(f.data)), ModTime: now}
		if err := archive.WriteHeader(h); err != nil {
			return err
		}
		if _, err := archive.Write(f.data); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), zip.Close())
}

func (b *bundle) versions(ctx context.Context) (*yaml.Node, error) {
	tree := manifest.Map()
	manifest.Put(tree, "shadowctl", manifest.Str(version.String()))
	manifest.Put(tree, "made", manifest.Str(b.now().UTC().Format(time.RFC3339)))
	info, err := read(ctx, b.app, crossfadev1.CrossfadeServiceClient.GetServerInfo, &crossfadev1.GetServerInfoRequest{})
	if err != nil {
		return nil, err
	}
	manifest.Put(tree, "server", manifest.Answer(info))
	return tree, nil
}

func (b *bundle) proxies(ctx context.Context) (*yaml.Node, error) {
	items, origins, err := b.listProxies(ctx, "")
	if err != nil {
		return nil, err
	}
	tree := page(items, "")
	putOrigins(tree, origins)
	return tree, nil
}

func (b *bundle) services(ctx context.Context) (*yaml.Node, error) {
	items, err := b.listServices(ctx, "")
	return redactedPage(items), err
}

func (b *bundle) documents(ctx context.Context) (*yaml.Node, error) {
	items, err := b.listServices(ctx, "")
	if err != nil {
		return nil, err
	}
	var docs []*crossfadev1.Document
	for _, s := range items[:min(len(items), bundleServices)] {
		got, err := read(ctx, b.app, crossfadev1.CrossfadeServiceClient.Get, &crossfadev1.GetRequest{Kind: "service", Name: s.GetName()})
		if err != nil {
			return nil, err
		}
		docs = append(docs, got.GetDocument())
	}
	return redactedPage(docs), nil
}

func (b *bundle) history(ctx context.Context) (*yaml.Node, error) {
	got, err := read(ctx, b.app, crossfadev1.CrossfadeServiceClient.ListHistory, &crossfadev1.ListHistoryRequest{PageSize: bundleRevisions})
	return redactedPage(got.GetItems()), err
}

func (b *bundle) rollouts(ctx context.Context) (*yaml.Node, error) {
	items, err := b.listRollouts(ctx, "")
	return redactedPage(items), err
}

func (b *bundle) mirrors(ctx context.Context) (*yaml.Node, error) {
	items, err := b.listMirrors(ctx, "")
	return redactedPage(items), err
}

// redactedPage is the tree of a list without what a bundle must not have.
func redactedPage[M proto.Message](items []M) *yaml.Node {
	clean := make([]proto.Message, len(items))
	for i, m := range items {
		clean[i] = redact(m)
	}
	return page(clean, "")
}
