package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
)

const bothSections = "dev: true\ndata-dir: d\nproxies: [{fleet: default, name: a}]\nroles: {admin: [ann]}\n"

// reloading is a reloader of a file, without the clock, and what it took.
type reloading struct {
	*reloader
	t     *testing.T
	taken []*config
	log   bytes.Buffer
}

func newReloading(t *testing.T, text string, meanwhile func(path string)) *reloading {
	t.Helper()
	r := &reloading{t: t}
	path := filepath.Join(t.TempDir(), "settings.yaml")
	write(t, path, text)
	c, err := parse([]string{"--config", path}, in(nil))
	if err != nil {
		t.Fatal(err)
	}
	meanwhile(path)
	r.reloader = newReloader(c, nil, slog.New(slog.NewTextHandler(&r.log, nil)))
	r.take(func(c *config) { r.taken = append(r.taken, c) })
	return r
}

// looks looks so often, and wants so many files taken and refused since the beginning.
func (r *reloading) looks(times, taken int, failures int64) {
	r.t.Helper()
	for range times {
		r.look()
	}
	if len(r.taken) != taken || r.failures.Load() != failures {
		r.t.Fatalf("%d files were taken and %d refused, want %d and %d:\n%s", len(r.taken), r.failures.Load(), taken, failures, &r.log)
	}
}

// TestASettingsFileThatIsCaughtEmptyCutsOffNobody: nor does one without a section that lets people in, until it says so.
func TestASettingsFileThatIsCaughtEmptyCutsOffNobody(t *testing.T) {
	r := newReloading(t, bothSections, func(string) {})
	r.looks(3, 0, 0)
	failures := int64(0)
	for _, c := range []struct{ name, text, wants string }{
		{"empty", "", "is empty, and was not"},
		{"a comment alone", "# roles: later\n", "is empty, and was not"},
		{"without proxies", "dev: true\nroles: {admin: [ann]}\n", "proxies"},
		{"without roles", "dev: true\nproxies: [{fleet: default, name: a}]\n", "roles"},
		{"half", bothSections[:strings.Index(bothSections, "roles")], "roles"},
	} {
		r.log.Reset()
		write(t, r.path, c.text)
		failures++
		r.looks(3, 0, failures)
		if !strings.Contains(r.log.String(), c.wants) || !strings.Contains(r.log.String(), "was not read anew") {
			t.Errorf("%s: the log says %s", c.name, &r.log)
		}
	}
	write(t, r.path, "proxies: []\nroles: {}\n")
	r.looks(3, 1, failures)
	write(t, r.path, bothSections)
	r.looks(3, 2, failures)
	if last := r.taken[1]; len(last.proxies) != 1 || len(last.roles) != 1 {
		t.Errorf("%+v", last)
	}
	if err := os.Truncate(r.path, 0); err != nil {
		t.Fatal(err)
	}
	r.looks(1, 2, failures) // it may be on its way to be written
	write(t, r.path, "dev: false\n"+bothSections[len("dev: true\n"):])
	r.looks(1, 2, failures)
	r.looks(1, 3, failures)
}

// TestASettingsFileWithoutTheSectionsMayStaySo: who never had them loses nobody.
func TestASettingsFileWithoutTheSectionsMayStaySo(t *testing.T) {
	r := newReloading(t, "dev: true\ndata-dir: d\n", func(string) {})
	write(t, r.path, "dev: true\ndata-dir: ee\n")
	r.looks(3, 1, 0)
	write(t, r.path, bothSections)
	r.looks(3, 2, 0)
	write(t, r.path, "dev: true\ndata-dir: ee\n")
	r.looks(3, 2, 1)
}

// TestASettingsFileThatChangesWhileTheServerStartsIsRead: what was read at first may be what there was before.
func TestASettingsFileThatChangesWhileTheServerStartsIsRead(t *testing.T) {
	r := newReloading(t, bothSections, func(path string) {
		certtest.Replace(t, path, []byte(strings.Replace(bothSections, "ann", "bob", 1)))
	})
	r.looks(3, 1, 0)
	if got := r.taken[0].roles["admin"]; len(got) != 1 || got[0].Name != "bob" {
		t.Errorf("the roles are %v", got)
	}
}
