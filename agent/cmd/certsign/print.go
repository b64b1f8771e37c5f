package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"
)

// printJSON prints v for programs.
func (c *command) printJSON(v any) error {
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// heads are the heads of columns in Polish.
var heads = map[string]string{
	"SERIAL": "NUMER", "SUBJECT": "PODMIOT", "STORE": "MAGAZYN", "WHERE": "MIEJSCE", "UNTIL": "WAŻNY DO", "DAYS": "DNI",
	"KEY": "KLUCZ", "LABEL": "NAZWA", "CEREMONY": "CEREMONIA", "SITE": "WITRYNA", "STATE": "STAN", "PLACE": "MIEJSCE",
	"DETAIL": "OPIS", "PIN": "PIN", "PROBLEM": "PROBLEM", "TIME": "CZAS", "EVENT": "ZDARZENIE", "ORIGIN": "POCHODZENIE",
	"WHAT": "CZEGO DOTYCZY", "CERTIFICATE": "CERTYFIKAT", "NAME": "NAZWA", "CA": "URZĄD", "MAY": "WOLNO",
}

// printTable prints rows under a head. What came from elsewhere is made harmless for a terminal.
func (c *command) printTable(head []string, rows [][]string) error {
	for i, h := range head {
		head[i] = c.say(h, cmp.Or(heads[h], h))
	}
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 4, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		for i := range row {
			row[i] = plain(row[i])
		}
		if _, err := fmt.Fprintln(w, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(c.out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// plain replaces what would steer a terminal or turn the direction of writing.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
