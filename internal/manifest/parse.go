package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// MaxBytes is the size of the largest input that Parse takes. A server takes messages of at most this size.
const MaxBytes = 4 << 20

// MaxDocuments is how many documents Parse takes. A server takes as many at once.
const MaxDocuments = 1000

// Parsed is one document with the places where its fields are written.
type Parsed struct {
	File     string // as given to Parse
	Index    int    // from 0, within the input
	Document *crossfadev1.Document
	root     *yaml.Node
}

// Parse reads every YAML (or JSON) document of data; name is the file's name in errors. Documents without content are passed over.
// The error is an [Errors] with everything that is wrong in any of them; nothing is returned then.
func Parse(name string, data []byte) ([]Parsed, error) {
	if len(data) > MaxBytes {
		return nil, Errors{{File: name, Err: invalid("file_too_large", "", fmt.Sprintf("%d bytes", len(data)),
			fmt.Sprintf("at most %d MiB are read at once", MaxBytes>>20), "apply the documents in several files")}}
	}
	var (
		out  []Parsed
		errs Errors
		dec  = yaml.NewDecoder(bytes.NewReader(data))
	)
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, append(errs, syntaxError(name, data, err, len(out)))
		}
		if isBlank(&doc) {
			continue
		}
		if len(out) == MaxDocuments {
			return nil, append(errs, &Error{File: name, Line: doc.Line, Err: invalid("too_many_documents", "", "",
				fmt.Sprintf("there are more than %d documents", MaxDocuments), "apply them in several files")})
		}
		p, found := parseDocument(name, len(out), doc.Content[0])
		out, errs = append(out, p), append(errs, found...)
		if len(errs) > maxErrors {
			break
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	if len(out) == 0 {
		return nil, Errors{{File: name, Err: invalid("no_document", "", "", "there is no document in it", "`shadowctl example service` prints one to begin with")}}
	}
	return out, nil
}

func isBlank(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].Tag == "!!null"
}

// parseDocument reads one document by its kind.
func parseDocument(file string, index int, root *yaml.Node) (Parsed, Errors) {
	p := Parsed{File: file, Index: index, root: root}
	d := &decoder{file: file, document: index, json: isJSON(root)}
	if d.isMapping("", root) && d.header(root) {
		var object proto.Message
		p.Document, object = newDocument(child(root, "kind").Value)
		d.message("", root, object.ProtoReflect())
	}
	return p, d.errs
}

// isJSON tells JSON from YAML of people: in braces, with names in quotes.
func isJSON(root *yaml.Node) bool {
	return root.Kind == yaml.MappingNode && root.Style&yaml.FlowStyle != 0 && len(root.Content) > 0 && root.Content[0].Style&yaml.DoubleQuotedStyle != 0
}

// header checks apiVersion and kind: without them, no other field has a meaning.
func (d *decoder) header(root *yaml.Node) bool {
	kind, version := child(root, "kind"), child(root, "apiVersion")
	switch {
	case kind == nil:
		d.add(root, "kind_missing", "kind", "", "is missing: it says what the document describes, "+orList(kinds()), "add `kind: Service`")
	case kind.Kind != yaml.ScalarNode || !slices.Contains(kinds(), kind.Value):
		d.add(kind, "kind_unknown", "kind", kind.Value, "must be "+orList(kinds()), didYouMean(kind.Value, kinds()))
	}
	switch {
	case version == nil:
		d.add(root, "api_version_missing", "apiVersion", "", "is missing", "add `apiVersion: "+policy.APIVersion+"`")
	case version.Value != policy.APIVersion:
		d.add(version, "api_version_unknown", "apiVersion", version.Value, "must be "+policy.APIVersion, "")
	}
	return len(d.errs) == 0
}

// syntaxError puts the YAML library's complaint into our form, and explains tabs, its most common cause.
func syntaxError(file string, data []byte, err error, document int) *Error {
	line := 0
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if _, scanErr := fmt.Sscanf(text, "line %d:", &line); scanErr == nil {
		text = text[strings.Index(text, ":")+2:]
		if strings.HasPrefix(text, "did not find expected") {
			line++ // the library counts these from 0
		}
	}
	e := &Error{File: file, Line: line, Err: invalid("bad_yaml", "", "", "is not YAML: "+text, "")}
	e.Err.Document = document
	if tabLine, column := indentTab(data, line); tabLine > 0 {
		e.Line, e.Column = tabLine, column
		e.Err.Code, e.Err.Message, e.Err.Next = "tab", "a tab is used for indentation; YAML allows only spaces there", "replace the tab with spaces"
	}
	return e
}

// indentTab finds a tab in the indentation of a line at, or next to, the one that YAML complained of.
func indentTab(data []byte, near int) (line, column int) {
	for i, text := range strings.Split(string(data), "\n") {
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 && i+1 >= near-1 && i+1 <= near+1 && len(indent) < len(text) {
			return i + 1, tab + 1
		}
	}
	return 0, 0
}

func invalid(code, field, value, message, next string) *policy.Error {
	return &policy.Error{Kind: policy.Invalid, Code: code, Field: field, Value: value, Message: message, Next: next}
}
