// Package archtest holds the rules of the house as tests: who may import whom and why, what a pure package must not do, how files
// look. It has no code of its own.
package archtest
