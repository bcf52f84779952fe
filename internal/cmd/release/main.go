// Command release builds what is handed out: for each platform a tree of files, which containers are built from, and an archive of it; and
// the checksums of all archives. The same source gives the same bytes, wherever it is built.
//
//	release -version v1.2.3 -out dist [-platforms linux/amd64,linux/arm64] [-beside bin/sbom]
//	release -version v1.2.3 -twice
//
// The second form shows that: it builds in two folders, with a compiler's cache that is empty each time, and compares.
//
// $SOURCE_DATE_EPOCH, in seconds, is the time of every file in the archives; without it that is the beginning of 1980.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const module = "github.com/crossfade-proxy/crossfade"

// plan is what to build.
type plan struct {
	root      string // of the repository
	out       string
	version   string
	platforms []string // OS/ARCHITECTURE
	when      time.Time
	beside    string   // folder whose files are handed out beside the archives; empty: none
	twice     bool     // build twice and compare, instead of keeping anything
	env       []string // more variables for the go command
}

// programs are the commands, and their names in an archive.
var programs = map[string]string{
	"cmd/xds-server":     "xds-server",
	"cmd/shadowctl":      "shadowctl",
	"internal/cmd/probe": "crossfade-probe",
}

// extras are the files and folders that go along.
var extras = []string{
	"LICENSE", "README.md", "docs", "deploy/aws", "deploy/ci", "deploy/container", "deploy/envoy", "deploy/kubernetes", "deploy/systemd",
}

func main() {
	p, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(2)
	}
	work := p.run
	if p.twice {
		work = p.runTwice
	}
	if err := work(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var (
	versionForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)
	platformForm = regexp.MustCompile(`^linux/(amd64|arm64)$`)
)

// parse reads flags and environment.
func parse(args []string) (plan, error) {
	p := plan{root: "."}
	f := flag.NewFlagSet("release", flag.ContinueOnError)
	f.StringVar(&p.version, "version", "", "what the programs and the archives are called")
	f.StringVar(&p.out, "out", "dist", "`folder` to write; what is in it is replaced")
	f.StringVar(&p.beside, "beside", "", "`folder` whose files are handed out beside the archives")
	f.BoolVar(&p.twice, "twice", false, "build twice and compare, instead of keeping anything")
	platforms := f.String("platforms", "linux/amd64,linux/arm64", "what to build for")
	if err := f.Parse(args); err != nil {
		return plan{}, err
	}
	if !versionForm.MatchString(p.version) {
		return plan{}, fmt.Errorf("-version must be letters, digits and . _ + -, for example v1.2.3, not %q", p.version)
	}
	p.platforms = strings.Split(*platforms, ",")
	for _, platform := range p.platforms {
		if !platformForm.MatchString(platform) {
			return plan{}, fmt.Errorf("-platforms: %q must be linux/amd64 or linux/arm64", platform)
		}
	}
	p.when = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	if text := os.Getenv("SOURCE_DATE_EPOCH"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds < 0 {
			return plan{}, fmt.Errorf("SOURCE_DATE_EPOCH must be seconds since 1970, not %q", text)
		}
		p.when = time.Unix(seconds, 0).UTC()
	}
	return p, nil
}

// run builds everything.
func (p plan) run(ctx context.Context) error {
	if err := p.clear(); err != nil {
		return err
	}
	completions, err := p.completions(ctx)
	if err != nil {
		return err
	}
	var archives []string
	for _, platform := range p.platforms {
		name := strings.ReplaceAll(platform, "/", "_")
		tree := filepath.Join(p.out, name)
		if err := p.fill(ctx, tree, platform, completions); err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		archive := fmt.Sprintf("crossfade_%s_%s.tar.gz", p.version, name)
		if err := pack(filepath.Join(p.out, archive), tree, fmt.Sprintf("crossfade-%s", p.version), p.when); err != nil {
			return err
		}
		archives = append(archives, archive)
	}
	more, err := p.copyBeside()
	if err != nil {
		return err
	}
	return writeSums(p.out, append(archives, more...))
}

// mark is in a folder that this program made: it replaces no other.
const mark = ".made-by-release"

// clear makes the output folder new.
func (p plan) clear() error {
	entries, err := os.ReadDir(p.out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(p.out, mark)); err != nil {
			return fmt.Errorf("%s has files that are not of a release: choose another folder with -out", p.out)
		}
		if err := os.RemoveAll(p.out); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.out, mark), nil, 0o644)
}
