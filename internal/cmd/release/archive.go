package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// pack writes a folder as an archive whose paths begin with prefix. Its bytes depend on names, contents and who may execute, and on when:
// files belong to root, whoever packs.
func pack(archive, folder, prefix string, when time.Time) (err error) {
	f, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression) // its header has neither name nor time
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error { // in lexical order
		if err != nil || d.IsDir() {
			return err
		}
		return packFile(t, path, folder, prefix, when)
	})
	if err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}

// packFile adds one file.
func packFile(t *tar.Writer, path, folder, prefix string, when time.Time) error {
	relative, err := filepath.Rel(folder, path)
	if err != nil {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if err := t.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: prefix + "/" + filepath.ToSlash(relative), Size: info.Size(), Mode: int64(modeOf(info.Mode())),
		ModTime: when, Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
	}); err != nil {
		return err
	}
	_, err = io.Copy(t, in)
	return err
}

// sumsFile is what `sha256sum -c` reads.
const sumsFile = "SHA256SUMS"

// writeSums writes the checksums of files of a folder.
func writeSums(folder string, names []string) error {
	var out strings.Builder
	for _, name := range names {
		f, err := os.Open(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%x  %s\n", h.Sum(nil), name)
	}
	return os.WriteFile(filepath.Join(folder, sumsFile), []byte(out.String()), 0o644)
}
