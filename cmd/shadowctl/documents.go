package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// files are the -f flags of a command, and the arguments after them.
type files struct{ names []string }

func (f *files) flag(cmd *cobra.Command, use string) {
	cmd.Flags().StringArrayVarP(&f.names, "filename", "f", nil, use+" `FILE`; - is standard input; may be repeated")
	_ = cmd.MarkFlagFilename("filename", "yaml", "yml", "json") // the flag exists
}

// readDocuments reads every document of the files, or none. Errors in several files come together.
func (a *app) readDocuments(names []string) ([]*crossfadev1.Document, error) {
	if len(names) == 0 {
		f := usage("usage", "no file is given")
		f.problems[0].next = "name one with -f FILE, or - for standard input"
		return nil, f
	}
	var (
		docs []*crossfadev1.Document
		all  manifest.Errors
	)
	for _, name := range names {
		parsed, err := a.readFile(name)
		var errs manifest.Errors
		switch {
		case errors.As(err, &errs):
			all = append(all, errs...)
		case err != nil:
			return nil, err
		}
		for _, p := range parsed {
			a.docs = append(a.docs, p)
			docs = append(docs, p.Document)
		}
	}
	if len(all) > 0 {
		return nil, all
	}
	if size := proto.Size(&crossfadev1.ApplyRequest{Documents: docs}); size > manifest.MaxBytes {
		return nil, usage("message_too_large", "the documents have %d bytes together; at most %d can be sent at once", size, manifest.MaxBytes)
	}
	return docs, nil
}

func (a *app) readFile(name string) ([]manifest.Parsed, error) {
	from, shown := a.in, "stdin"
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fileFailure(name, err)
		}
		defer file.Close()
		from, shown = file, name
	}
	data, err := io.ReadAll(io.LimitReader(from, manifest.MaxBytes+1))
	if err != nil {
		return nil, fileFailure(name, err)
	}
	return manifest.Parse(shown, data)
}

func fileFailure(name string, err error) *failure {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return badValue("file_unreadable", "--filename", name, fmt.Sprintf("cannot be read: %s", err))
}
