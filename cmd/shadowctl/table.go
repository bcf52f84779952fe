package main

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// table is text in columns. Only the last column is cut to the width of a terminal, or wrapped where all of it is wanted.
type table struct {
	head []string
	rows [][]cell
	wrap bool
}

// cell is a text with a colour.
type cell struct {
	text  string
	color color
}

// color is an ANSI colour; the zero value is none.
type color string

const (
	red    color = "31"
	green  color = "32"
	yellow color = "33"
	faint  color = "2"
)

// row adds a row of texts or cells.
func (t *table) row(cells ...any) {
	row := make([]cell, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case cell:
			row[i] = c
		case string:
			row[i] = cell{text: c}
		}
	}
	t.rows = append(t.rows, row)
}

// write prints the table.
func (a *app) write(t *table) {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = utf8.RuneCountInString(h)
	}
	for _, row := range t.rows {
		for i := range row {
			row[i].text = oneLine(row[i].text)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
	}
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i] = cell{h, faint}
	}
	a.writeRow(head, widths)
	for _, row := range t.rows {
		if t.wrap {
			a.writeWrapped(row, widths)
		} else {
			a.writeRow(row, widths)
		}
	}
}

// writeWrapped continues the last column in lines below: under itself, or where that is too narrow, a little from the left.
func (a *app) writeWrapped(row []cell, widths []int) {
	const indent, narrow = 4, 40
	last, column := len(row)-1, 0
	for _, w := range widths[:last] {
		column += w + 2
	}
	if a.width == 0 || column+utf8.RuneCountInString(row[last].text) <= a.width {
		a.writeRow(row, widths)
		return
	}
	first := slices.Clone(row)
	words := row[last]
	if a.width-column < narrow {
		column, first[last].text = indent, ""
		a.writeRow(first, widths)
	}
	for i, line := range wrapped(words.text, a.width-column) {
		if i == 0 && column != indent {
			first[last].text = line
			a.writeRow(first, widths)
			continue
		}
		a.say("%s%s", strings.Repeat(" ", column), a.paint(line, words.color))
	}
}

// wrapped breaks a text between words into lines of at most so many columns; a word that is longer has a line of its own.
func wrapped(text string, columns int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

func (a *app) writeRow(row []cell, widths []int) {
	var b strings.Builder
	column := 0
	for i, c := range row {
		text := c.text
		if i == len(row)-1 {
			text = a.cut(text, column)
		}
		b.WriteString(a.paint(text, c.color))
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+2))
			column += widths[i] + 2
		}
	}
	a.say("%s", strings.TrimRight(b.String(), " "))
}

// cut shortens a text that begins at a column so that it ends within the terminal.
func (a *app) cut(text string, column int) string {
	room := a.width - column
	if a.width == 0 || utf8.RuneCountInString(text) <= room {
		return text
	}
	if room < 8 {
		return text // there is no use in so little: the terminal wraps it
	}
	return string([]rune(text)[:room-1]) + "…"
}

// paint colours a text where the output takes colours.
func (a *app) paint(text string, c color) string {
	if !a.color || c == "" || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// oneLine makes a text safe for a table: no line breaks, no control characters from elsewhere.
func oneLine(s string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(clean)
}
