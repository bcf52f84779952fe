package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/crossfade-proxy/crossfade"

// file is one Go file of the house.
type file struct {
	name      string // path from the root
	dir       string // of its package, from the root
	test      bool   // belongs to tests: a _test.go file, or a package of test/ or one whose name ends in "test"
	generated bool
	lines     int
	syntax    *ast.File
	positions *token.FileSet
}

// imports lists the import paths; those of the house without the module's name, as "/pkg/policy".
func (f file) imports() []string {
	var out []string
	for _, spec := range f.syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser has accepted it
		}
		out = append(out, strings.TrimPrefix(p, module))
	}
	return out
}

// load parses every Go file of the module at root; nested modules and testdata are left out.
func load(root string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return leaveOut(root, p, d.Name())
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(name), string(text))
		files = append(files, f)
		return err
	})
	return files, err
}

// leaveOut returns fs.SkipDir for folders that are not of this module.
func leaveOut(root, p, name string) error {
	if p == root {
		return nil
	}
	if name == "testdata" || p == filepath.Join(root, "dist") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func parse(name, text string) (file, error) {
	positions := token.NewFileSet()
	syntax, err := parser.ParseFile(positions, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	dir := path.Dir(name)
	return file{
		name: name, dir: dir, syntax: syntax, positions: positions,
		lines:     strings.Count(text, "\n"),
		generated: ast.IsGenerated(syntax),
		test:      strings.HasSuffix(name, "_test.go") || strings.HasSuffix(dir, "test") || strings.HasPrefix(dir, "test/"),
	}, nil
}

// house loads this module.
func house(t *testing.T) []file {
	t.Helper()
	files, err := load(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d files found", len(files))
	}
	return files
}

// within is true if a path matches one of the patterns: "a/b" is exactly that, "a/b/..." also what is below.
func within(p string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if base, ok := strings.CutSuffix(pattern, "/..."); ok {
			return p == base || strings.HasPrefix(p, base+"/")
		}
		return p == pattern
	})
}

// report fails the test with each complaint, in order.
func report(t *testing.T, complaints []string) {
	t.Helper()
	slices.Sort(complaints)
	for _, c := range slices.Compact(complaints) {
		t.Error(c)
	}
}

// at says where something is.
func (f file) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.name, f.positions.Position(n.Pos()).Line)
}
