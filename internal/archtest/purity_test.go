package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"strconv"
	"testing"
)

// pure packages compute: the same input gives the same output, on every machine, at every time.
var pure = []string{"pkg/access", "pkg/policy", "pkg/policy/guard", "pkg/policy/rollout", "pkg/xds/translate", "pkg/discovery", "pkg/shadow", "pkg/shadow/tree", "pkg/shadow/rule", "pkg/shadow/endpoint", "pkg/shadow/stats", "pkg/shadow/name"}

// impure is what a pure package must not import, with the reason.
var impure = map[string]string{
	"log":          "pure packages log nothing: they return what is to be said",
	"log/slog":     "pure packages log nothing: they return what is to be said",
	"math/rand":    "chance is not a function of the input",
	"math/rand/v2": "chance is not a function of the input",
	"crypto/rand":  "chance is not a function of the input",
	"os":           "the environment is not a function of the input",
	"os/exec":      "pure packages start nothing",
	"net/http":     "pure packages ask nobody",
	"database/sql": "pure packages ask nobody",
	"unsafe":       "what depends on memory layout is not deterministic",
	"context":      "what can be cancelled waits for something, and pure packages wait for nothing",
}

// clockReaders are the functions of package time that read or wait for the clock.
var clockReaders = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true, "Tick": true, "NewTimer": true, "NewTicker": true,
}

func TestPurity(t *testing.T) {
	files := house(t)
	seen := false
	for _, f := range files {
		seen = seen || f.dir == "pkg/policy"
	}
	if !seen {
		t.Fatal("pkg/policy was not found: what does this test test?")
	}
	report(t, impurities(files, pure))
}

// impurities lists goroutines, clock readings and forbidden imports.
func impurities(files []file, pure []string) []string {
	var out []string
	for _, f := range files {
		if f.test || !within(f.dir, pure) {
			continue
		}
		for _, p := range f.imports() {
			if reason, ok := impure[p]; ok {
				out = append(out, fmt.Sprintf("%s imports %s: %s", f.name, p, reason))
			}
		}
		clock := localName(f, "time")
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				out = append(out, f.at(n)+" starts a goroutine: pure packages start none")
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && clock != "" && x.Name == clock && clockReaders[n.Sel.Name] {
					out = append(out, f.at(n)+" calls time."+n.Sel.Name+": pass now instead")
				}
			}
			return true
		})
	}
	return out
}

// localName is what a file calls an import, "" if it does not import it.
func localName(f file, importPath string) string {
	for _, spec := range f.syntax.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && p == importPath {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return path.Base(p)
		}
	}
	return ""
}
