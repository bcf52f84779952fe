package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/crossfade-proxy/crossfade/internal/version"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// newAdmin makes what operators ask.
func newAdmin(c *config, d *disk, metrics http.Handler, log *slog.Logger) *server.Admin {
	return server.NewAdmin(server.AdminConfig{
		Version: version.String(), Log: log, Levels: c.operation.logs, Export: d.store.Export, Redact: c.redact,
		Journal: func() [][]byte {
			var out [][]byte
			for _, e := range d.journal.Pending() {
				out = append(out, e.Data)
			}
			return out
		},
		Diagnostics: []server.DiagnosticFile{
			{Name: "settings.yaml", Description: "flags and the settings file; secrets are in other files, which are not read", Write: c.writeSettings},
			{Name: "data-directory.txt", Description: "the files of the data directory with their sizes, and how full the store's file is", Write: d.describe(c.dataDir)},
			{Name: "metrics.txt", Description: "what /metrics says", Write: scrape(metrics)},
			{Name: "goroutines.txt", Description: "what each goroutine does", Write: profileText("goroutine")},
			{Name: "heap.txt", Description: "where memory was taken", Write: profileText("heap")},
			{Name: "log.txt", Description: fmt.Sprintf("the last %d lines of the log at most", keptLines), Write: func(_ context.Context, w io.Writer, lines int) error {
				_, err := io.WriteString(w, c.operation.logs.lines.last(lines))
				return err
			}},
		},
	})
}

// redact takes the secrets of the settings out of what leaves the server, should any have come into it.
func (c *config) redact(b []byte) []byte {
	known := []secret{c.token, c.rollouts.hooks.key}
	for _, id := range c.mirrors.identities {
		known = append(known, id.value)
	}
	for _, s := range known {
		if text := s.reveal(); text != "" {
			b = bytes.ReplaceAll(b, []byte(text), []byte(hidden))
		}
	}
	return b
}

// writeSettings writes the flags as they hold, and below them the sections of the file. A comment may hold anything and is left out.
func (c *config) writeSettings(_ context.Context, w io.Writer, _ int) error {
	fmt.Fprintln(w, "# flags, as they hold")
	flags(&config{}).VisitAll(func(f *pflag.Flag) {
		if value, ok := c.values[f.Name]; ok && isSetting(f.Name) {
			fmt.Fprintf(w, "%s: %q\n", f.Name, value)
		}
	})
	if c.file == "" {
		return nil
	}
	fmt.Fprintln(w, "\n# the file, without comments")
	data, err := readFile(c.file, maxFile)
	if err != nil {
		return fmt.Errorf("the settings file cannot be read: %s", reason(err))
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("the settings file is not YAML")
	}
	withoutComments(&doc, 0)
	out, err := yaml.Marshal(&doc)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// withoutComments removes them, and what aliases could unfold to.
func withoutComments(n *yaml.Node, depth int) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	if depth > 100 {
		n.Content = nil
	}
	for _, child := range n.Content {
		withoutComments(child, depth+1)
	}
}

// describe lists a data directory.
func (d *disk) describe(dir string) func(context.Context, io.Writer, int) error {
	return func(_ context.Context, w io.Writer, _ int) error {
		if u, err := d.store.Usage(); err == nil {
			fmt.Fprintf(w, "store: %d bytes, %d pages, %d of them free\n", u.Bytes, u.Pages, u.Free)
		}
		fmt.Fprintf(w, "rollback journal: %d entries that are not recorded\n\n", len(d.journal.Pending()))
		const most = 1000
		seen := 0
		return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil {
				fmt.Fprintf(w, "%s: %s\n", path, reason(err))
				return nil
			}
			if seen++; seen > most {
				fmt.Fprintf(w, "… and more\n")
				return filepath.SkipAll
			}
			if info, err := entry.Info(); err == nil && !entry.IsDir() {
				name, _ := filepath.Rel(dir, path) // it is below
				fmt.Fprintf(w, "%12d  %s  %s\n", info.Size(), info.ModTime().UTC().Format("2006-01-02T15:04:05Z"), name)
			}
			return nil
		})
	}
}

func profileText(name string) func(context.Context, io.Writer, int) error {
	return func(_ context.Context, w io.Writer, _ int) error { return pprof.Lookup(name).WriteTo(w, 1) }
}

// scrape asks the handler of metrics as Prometheus would.
func scrape(h http.Handler) func(context.Context, io.Writer, int) error {
	return func(ctx context.Context, w io.Writer, _ int) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil)
		if err != nil {
			return err
		}
		h.ServeHTTP(&answerTo{Writer: w, header: http.Header{}}, r)
		return nil
	}
}

// answerTo is an answer whose body goes to a writer.
type answerTo struct {
	io.Writer
	header http.Header
}

func (a *answerTo) Header() http.Header { return a.header }
func (*answerTo) WriteHeader(int)       {}

// valuesOf returns the values of flags, by name.
func valuesOf(f *pflag.FlagSet) map[string]string {
	out := map[string]string{}
	f.VisitAll(func(flag *pflag.Flag) { out[flag.Name] = flag.Value.String() })
	return out
}
