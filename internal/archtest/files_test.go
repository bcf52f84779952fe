package archtest

import (
	"fmt"
	"go/ast"
	"strconv"
	"strings"
	"testing"
)

// maxLines is the length from which on a file is two files. Generated ones may be longer.
const maxLines = 500

func TestFilesAreShort(t *testing.T) {
	report(t, tooLong(house(t)))
}

func tooLong(files []file) []string {
	var out []string
	for _, f := range files {
		if f.lines > maxLines && !f.generated {
			out = append(out, fmt.Sprintf("%s has %d lines; at most %d: split it by what it is about", f.name, f.lines, maxLines))
		}
	}
	return out
}

func TestPackagesSayWhyTheyExist(t *testing.T) {
	report(t, undocumented(house(t)))
}

// undocumented lists packages without a package comment, and those whose comment does not begin as it should.
func undocumented(files []file) []string {
	docs := map[string]string{}
	for _, f := range files {
		if strings.HasSuffix(f.name, "_test.go") || f.generated {
			continue
		}
		docs[f.dir] += f.syntax.Doc.Text()
	}
	var out []string
	for dir, doc := range docs {
		switch {
		case doc == "":
			out = append(out, dir+" has no package comment: say the one reason why it exists")
		case !strings.HasPrefix(doc, "Package ") && !strings.HasPrefix(doc, "Command "):
			out = append(out, fmt.Sprintf("%s: its package comment begins %.30q, not with Package or Command", dir, doc))
		}
	}
	return out
}

func TestTestsWaitForEvents(t *testing.T) {
	report(t, sleepers(house(t)))
}

// sleepers lists tests that sleep or that can be skipped. Inside a bubble of testing/synctest sleeping is not waiting.
func sleepers(files []file) []string {
	var out []string
	for _, f := range files {
		if !strings.HasSuffix(f.name, "_test.go") {
			continue
		}
		clock := localName(f, "time")
		bubble := localName(f, "testing/synctest") != ""
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			switch {
			case !ok:
			case clock != "" && x.Name == clock && sel.Sel.Name == "Sleep" && !bubble:
				out = append(out, f.at(n)+" sleeps: wait for the event, or use testing/synctest")
			case (x.Name == "t" || x.Name == "tb" || x.Name == "b") && (sel.Sel.Name == "Skip" || sel.Sel.Name == "Skipf" || sel.Sel.Name == "SkipNow"):
				out = append(out, f.at(n)+" skips: a test that may not run proves nothing; install what it needs")
			}
			return true
		})
	}
	return out
}

func TestNoRegistriesByInit(t *testing.T) {
	var out []string
	for _, f := range house(t) {
		if f.generated {
			continue
		}
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, f.at(fn)+" is an init function: what runs is called from main")
			}
		}
		for _, spec := range f.syntax.Imports {
			if p, err := strconv.Unquote(spec.Path.Value); err == nil && spec.Name != nil && spec.Name.Name == "." {
				out = append(out, f.name+" imports "+p+" by a dot: name where things come from")
			}
		}
	}
	report(t, out)
}
