package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// opens opens the token in a directory, and returns what is said then.
func opens(dir string) (token, said string) {
	var log bytes.Buffer
	token = openToken(dir, slog.New(slog.NewTextHandler(&log, nil))).reveal()
	return token, log.String()
}

// TestTheTokenIsMadeOnce: for the user of the server alone, and the same from then on.
func TestTheTokenIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, said := opens(dir)
	if len(first) != 2*tokenBytes || said != "" {
		t.Errorf("%d digits, said %s", len(first), said)
	}
	path := filepath.Join(dir, tokenFile)
	if at, err := os.Stat(path); err != nil || at.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", at, err)
	}
	if again, said := opens(dir); again != first || said != "" {
		t.Errorf("another at the second start, said %s", said)
	}
	if other, _ := opens(t.TempDir()); other == first {
		t.Error("two servers have one token")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestADamagedTokenIsMadeAnew(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut off": strings.Repeat("ab", tokenBytes-1), "longer": strings.Repeat("ab", tokenBytes+1), "not hexadecimal": strings.Repeat("xy", tokenBytes),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, tokenFile), content)
			first, said := opens(dir)
			if !strings.Contains(said, "made anew") || strings.Contains(said, first) || content != "" && strings.Contains(said, content) {
				t.Errorf("said %s", said)
			}
			if again, said := opens(dir); again != first || said != "" {
				t.Errorf("another at the second start, said %s", said)
			}
		})
	}
}

// TestATokenThatCannotBeReadNowIsNotReplaced: nor is the server kept from starting.
func TestATokenThatCannotBeReadNowIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, tokenFile)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if token, said := opens(dir); len(token) != 2*tokenBytes || !strings.Contains(said, "cannot be kept") || strings.Contains(said, token) {
		t.Errorf("%d digits, said %s", len(token), said)
	}
	if at, err := os.Stat(path); err != nil || !at.IsDir() {
		t.Errorf("%v, %v", at, err)
	}
}

func TestATokenFileThatHoldsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "s3cr3t of somebody else")
	for _, name := range []string{file, file + "-is-missing"} {
		_, err := (&config{tokenFile: name}).comparatorToken()
		if err == nil {
			t.Fatal("no error")
		}
		if text := err.Error(); !strings.Contains(text, "--token-file") || !strings.Contains(text, tokenFile) || strings.Contains(text, "s3cr3t") {
			t.Error(text)
		}
	}
}

// TestComparatorsElsewhereNeedTheToken of a real server, and nothing prints it.
func TestComparatorsElsewhereNeedTheToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := launch(t, dir, "--comparator-child=false")
	good, bad := filepath.Join(dir, tokenFile), filepath.Join(t.TempDir(), "other")
	token, err := readToken(good)
	if err != nil {
		t.Fatal(err)
	}
	write(t, bad, strings.Repeat("ab", tokenBytes))
	start := func(file string) *process {
		c := command(t, nil, "--role", "comparator", "--dev", "--server", p.ready.API, "--comparator-listen", net.JoinHostPort(loopback.Host(), "0"),
			"--token-file", file, "--ready-file", filepath.Join(t.TempDir(), "ready.json"))
		c.begin()
		c.await("the ready file", func() bool {
			b, err := os.ReadFile(c.Args[len(c.Args)-1])
			return err == nil && json.Unmarshal(b, &c.ready) == nil
		})
		return c
	}
	refused, taken := start(bad), start(good)
	refused.await("a refusal", func() bool { return strings.Contains(refused.stderr.String(), "the token of comparators is another") })
	welcomes(t, taken.ready.Comparator)
	write(t, bad, token.reveal()) // it is read again with each try
	welcomes(t, refused.ready.Comparator)
	for _, c := range []*process{p, refused, taken} {
		if text := c.stdout.String() + c.stderr.String(); strings.Contains(text, token.reveal()) {
			t.Errorf("it is printed:\n%s", text)
		}
	}
}
