package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// ready is what the ready file says.
type ready struct {
	PID        int    `json:"pid"`
	Version    string `json:"version"`
	XDS        string `json:"xds,omitempty"`        // not of a comparator
	Comparator string `json:"comparator,omitempty"` // not of a server without one
	API        string `json:"api,omitempty"`
	HTTP       string `json:"http,omitempty"`
}

// write puts the file in its place whole: who sees it sees all of it.
func (r ready) write(path string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new*")
	if err != nil {
		return readyError(path, err)
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return readyError(path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// removeReady removes the file of this process, or of one that was killed.
func removeReady(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return readyError(path, err)
	}
	return nil
}

func readyError(path string, err error) error {
	return &policy.Error{Kind: policy.Unavailable, Code: "ready_file", Field: "--ready-file", Value: path, Message: "cannot be written: " + reason(err)}
}
