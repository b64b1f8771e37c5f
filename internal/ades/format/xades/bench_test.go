package xades

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"certsign/internal/testpki"
)

// large returns a declaration of about the given size.
func large(size int) []byte {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<z:Zgloszenie xmlns:z="urn:z" xmlns:t="urn:t">` + "\n")
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "  <z:Pozycja nr=\"%d\" t:kod='8%07d'>\n    <z:Opis>Śruby żeliwne M%d</z:Opis>\n    <z:Masa jednostka=\"KGM\">%d.5</z:Masa>\n  </z:Pozycja>\n", i, i, i%40, i)
	}
	b.WriteString("</z:Zgloszenie>\n")
	return []byte(b.String())
}

func BenchmarkSign(b *testing.B) {
	for _, size := range []int{10 << 10, 300 << 10, 10 << 20} {
		for _, kind := range []testpki.KeyKind{testpki.RSA2048, testpki.P256} {
			b.Run(fmt.Sprintf("%dkB/%s", size>>10, kind), func(b *testing.B) {
				req := request(b, large(size), kind)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					var out bytes.Buffer
					if err := (Codec{}).Sign(context.Background(), &out, req); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, size := range []int{10 << 10, 300 << 10, 10 << 20} {
		b.Run(fmt.Sprintf("%dkB", size>>10), func(b *testing.B) {
			d := doc(signed(b, large(size), testpki.P256))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (Codec{}).Parse(context.Background(), d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
