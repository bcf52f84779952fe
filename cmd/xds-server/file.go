package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// maxFile bounds the settings file, in bytes.
const maxFile = 64 << 10

// fromFile sets the flags that neither the command line nor the environment does.
func fromFile(f *pflag.FlagSet, path string, c *config) error {
	c.fileSeen = stat(path) // before it is read: what changes later is seen to have changed
	data, err := readFile(path, maxFile)
	if err != nil {
		return policy.Errors{invalid("bad_file", "--config", path, "cannot be read: "+reason(err), "")}
	}
	r := fileReader{flags: f, path: path, seen: map[string]int{}, sources: &c.sources, mirrors: &c.mirrors, rollouts: &c.rollouts, roles: &c.roles, proxies: &c.proxies}
	root, err := r.root(data)
	if err != nil {
		return err
	}
	for i := 0; root != nil && i < len(root.Content); i += 2 {
		r.entry(root.Content[i], root.Content[i+1])
	}
	c.fileKeys = r.seen
	if len(r.found) > 0 {
		return r.found
	}
	return nil
}

// readFile reads a file of at most so many bytes.
func readFile(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("it has more than %d KiB", most>>10)
	}
	return data, err
}

// fileReader collects what is wrong with a settings file.
type fileReader struct {
	flags *pflag.FlagSet
	path  string
	seen  map[string]int // key → line
	found manifest.Errors

	sources  *sources // what the sections say
	mirrors  *mirrorSettings
	rollouts *rolloutSettings
	roles    *roles
	proxies  *[]proxyRule
}

func (r *fileReader) add(at *yaml.Node, e *policy.Error) {
	r.found = append(r.found, &manifest.Error{File: r.path, Line: at.Line, Column: at.Column, Err: e})
}

// root returns the mapping of the only document, nil if the file is empty.
func (r *fileReader) root(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		if again := decoder.Decode(&second); again == nil {
			r.add(&second, invalid("several_documents", "", "", "a settings file has one document", "remove the line `---` and what follows"))
			return nil, r.found
		} else if !errors.Is(again, io.EOF) {
			err = again
		}
	}
	if err != nil {
		return nil, manifest.Errors{{File: r.path, Err: invalid("bad_yaml", "", "", "is not YAML: "+strings.TrimPrefix(err.Error(), "yaml: "), "")}}
	}
	root := doc.Content[0]
	switch {
	case root.Kind == yaml.ScalarNode && root.Tag == "!!null":
		return nil, nil
	case root.Kind != yaml.MappingNode:
		r.add(root, invalid("bad_yaml", "", "", "must be a list of KEY: VALUE", "for example `api-listen: 127.0.0.1:18080`"))
		return nil, r.found
	}
	return root, nil
}

// entry takes one setting.
func (r *fileReader) entry(key, value *yaml.Node) {
	flag := r.flags.Lookup(key.Value)
	first, again := r.seen[key.Value]
	r.seen[key.Value] = key.Line
	section := r.sections()[key.Value]
	switch {
	case section != nil && !again:
		section(value)
	case section != nil:
		r.add(key, invalid("duplicate_key", "", key.Value, fmt.Sprintf("is in line %d already", first), ""))
	case key.Kind != yaml.ScalarNode || flag == nil || !isKey(key.Value):
		r.add(key, invalid("unknown_key", "", key.Value, "is not a setting", r.didYouMean(key.Value)))
	case again:
		r.add(key, invalid("duplicate_key", "", key.Value, fmt.Sprintf("is in line %d already", first), ""))
	case value.Kind != yaml.ScalarNode || value.Tag == "!!null":
		r.add(value, invalid("bad_setting", key.Value, "", "needs one value", ""))
	case !flag.Changed:
		if err := r.flags.Set(key.Value, value.Value); err != nil {
			r.add(value, invalid("bad_setting", key.Value, value.Value, wanted(flag), ""))
		}
	}
}

// isKey tells the flags that the file knows too: not those that say whether there is one, and what is read from it.
func isKey(flag string) bool {
	return isSetting(flag) && flag != "config" && flag != "role" && !comparatorOnly(flag)
}

func (r *fileReader) didYouMean(key string) string {
	var known []string
	r.flags.VisitAll(func(f *pflag.Flag) {
		if isKey(f.Name) {
			known = append(known, f.Name)
		}
	})
	return didYouMean(key, append(known, slices.Sorted(maps.Keys(r.sections()))...))
}

// reason is what went wrong with a file, without its name.
func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
