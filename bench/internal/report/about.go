package report

import (
	"go/doc/comment"
	"go/parser"
	"go/token"
	"html/template"
	"path/filepath"
)

// about is what a benchmark says of itself: how it measures, and what each of its metrics is. It is the comment of its package, in doc.go, as that
// is now; nil where there is no source of it. Pages say how to read that of an older report.
func about(bench string) *comment.Doc {
	root, err := Root()
	if err != nil {
		return nil
	}
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "bench", bench, "doc.go"), nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		return nil
	}
	return new(comment.Parser).Parse(f.Doc.Text())
}

// printer writes headings below those of a page, without names that only some renderers understand.
var printer = comment.Printer{HeadingLevel: 3, HeadingID: func(*comment.Heading) string { return "" }}

// aboutTitle stands above it.
const aboutTitle = "What is measured, and what each metric is, as of now"

// Then is how to read what it was when the report was made.
func (o origin) Then() string {
	if o.then == "" {
		return ""
	}
	return "Of this report: git show " + o.then + ":bench/" + o.Bench + "/doc.go"
}

func (o origin) aboutMarkdown() string { return string(printer.Markdown(o.about)) }

// AboutHTML is nothing where nothing is known.
func (o origin) AboutHTML() template.HTML {
	if o.about == nil {
		return ""
	}
	return template.HTML(printer.HTML(o.about)) //nolint:gosec // of a comment of this repository, escaped by the printer
}
