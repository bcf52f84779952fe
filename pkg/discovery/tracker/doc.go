// Package tracker runs the sources of all origins and keeps what is believed of each, over a restart too.
//
// What to believe is decided by [discovery.Set], which is pure. Here are the goroutines around it: one for each watch, two that tell what
// has changed, and one that writes a note. None of them waits for another: a watch that ends is begun again, a reader that is slow hears of
// the latest only, and a disk that is full makes the note older.
package tracker
