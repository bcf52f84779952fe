package main

import (
	"errors"
	"fmt"
)

// result is what a run found.
type result struct {
	Seed    uint64   `json:"seed"`
	Minutes int      `json:"minutes"`
	Wall    string   `json:"wall"`
	Took    string   `json:"took"`
	Counts  counts   `json:"counts"`
	Samples []sample `json:"samples"`
}

// mostGrowth is how much anything may grow over the second half of a run by its regression line, as a share of its mean, and so much
// besides in its own unit: what comes and goes at the moment of a sample.
const mostGrowth = 0.05

// judge returns an error that names what grew. The store's file holds the history, which is kept for a day at least: it may grow with the
// revisions, but no revision may take more than the earlier ones did.
func (r *result) judge() error {
	half := r.Samples[len(r.Samples)/2:]
	if len(half) < 4 {
		return fmt.Errorf("only %d samples", len(r.Samples))
	}
	var errs []error
	for _, m := range []struct {
		name  string
		of    func(sample) float64
		slack float64
	}{
		{"heap", func(s sample) float64 { return s.Heap }, 2 << 20},
		{"goroutines", func(s sample) float64 { return s.Goroutines }, 20},
		{"descriptors", func(s sample) float64 { return s.Descriptors }, 10},
		{"the store's bytes for each revision", func(s sample) float64 { return s.PerRevision }, 0},
		{"other files of the data directory, in bytes", func(s sample) float64 { return s.Others }, 64 << 10},
		{"files of the data directory", func(s sample) float64 { return s.Files }, 2},
	} {
		mean, growth := trend(half, m.of)
		if growth > mostGrowth*mean+m.slack {
			errs = append(errs, fmt.Errorf("%s grew by %.0f over the second half, on average there were %.0f", m.name, growth, mean))
		}
	}
	return errors.Join(errs...)
}

// trend is the mean of something, and by how much its regression line grows from the first sample to the last.
func trend(samples []sample, of func(sample) float64) (mean, growth float64) {
	n := float64(len(samples))
	var sx, sy, sxx, sxy float64
	for _, s := range samples {
		x, y := float64(s.Minute), of(s)
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	slope := (n*sxy - sx*sy) / (n*sxx - sx*sx)
	return sy / n, slope * float64(samples[len(samples)-1].Minute-samples[0].Minute)
}
