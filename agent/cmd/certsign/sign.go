package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/internal/ades"
	"certsign/internal/problem"
)

func (c *command) signCommand() *cobra.Command {
	var s struct {
		cert, format, packaging, level, profile, pinFile, out string
		force                                                 bool
	}
	cmd := &cobra.Command{
		Use:   "sign --cert ID FILE...",
		Short: "sign files; the call is the consent, and is journaled",
		Example: `  certsign sign --cert 5f3a declaration.xml
  certsign sign --cert 5f3a --pin-file pin.txt -o signed.xml declaration.xml`,
		Args: atLeastOne("FILE"),
	}
	f := cmd.Flags()
	f.StringVar(&s.cert, "cert", "", "the certificate: serial number or SHA-256 fingerprint in hex, or how it begins")
	f.StringVar(&s.format, "format", "xades", "signature format: xades, so far")
	f.StringVar(&s.packaging, "packaging", "enveloped", "where the signature stands: enveloped (in the document), so far")
	f.StringVar(&s.level, "level", "B-B", "baseline level: B-B, so far")
	f.StringVar(&s.profile, "profile", "", "named profile, such as puesc")
	f.StringVar(&s.pinFile, "pin-file", "", "file with the PIN or password")
	f.StringVarP(&s.out, "output", "o", "", "signed file; - is standard output (default: beside the file, with .signed in its name)")
	f.BoolVar(&s.force, "force", false, "replace signed files that are there")
	cmd.RunE = c.do(func(ctx context.Context, args []string) error {
		if s.cert == "" {
			return usagef("--cert is needed; see certsign list", "brak --cert; zobacz certsign list")
		}
		if s.out != "" && len(args) > 1 {
			return usagef("-o is for one file", "-o jest dla jednego pliku")
		}
		order := agent.SignOrder{Format: s.format, Packaging: ades.Packaging(s.packaging), Level: ades.Level(s.level), Profile: s.profile}
		for _, path := range args {
			to := cmp.Or(s.out, filepath.Join(filepath.Dir(path), order.ResultName(filepath.Base(path))))
			if err := mayWrite(to, s.force, append(args, s.pinFile)...); err != nil {
				return err
			}
		}
		sh := &shell{}
		a, err := c.agent(sh, c.pins(s.pinFile))
		if err != nil {
			return err
		}
		who, err := findIdentity(ctx, a, s.cert)
		if err != nil {
			return err
		}
		sh.cert = who.Key.Store + "/" + who.Key.ID
		for _, path := range args {
			doc, file, err := openDocument(path)
			if err != nil {
				return err
			}
			defer file.Close()
			order.Documents = append(order.Documents, doc)
		}
		results, _, err := a.SignLocal(ctx, order)
		if err != nil {
			return err
		}
		return c.writeResults(args, s.out, s.force, results)
	})
	return cmd
}

// openDocument makes a file a document; its name is the file's own, without the folder.
func openDocument(path string) (ades.Document, *os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return ades.Document{}, nil, unreadable(path, err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errors.New("not a file")
	}
	if err != nil {
		_ = f.Close()
		return ades.Document{}, nil, unreadable(path, err)
	}
	name := filepath.Base(path)
	return ades.Document{Name: name, MIME: mime.TypeByExtension(filepath.Ext(name)), Content: io.NewSectionReader(f, 0, fi.Size())}, f, nil
}

func (c *command) writeResults(paths []string, out string, force bool, results []agent.Signed) error {
	var first error
	type line struct {
		File   string `json:"file"`
		Signed string `json:"signed,omitempty"`
		SHA256 string `json:"sha256,omitempty"`
		Error  string `json:"error,omitempty"`
	}
	var lines []line
	for n, r := range results {
		if r.Err != nil {
			lines = append(lines, line{File: paths[n], Error: string(problem.CodeOf(r.Err))})
			if len(results) > 1 {
				if !c.json {
					fmt.Fprintf(c.errs, "certsign: %s:\n", plain(paths[n]))
				}
				c.complain(r.Err)
			}
			if first == nil {
				first = r.Err
			}
			continue
		}
		to := cmp.Or(out, filepath.Join(filepath.Dir(paths[n]), r.Name))
		b, err := io.ReadAll(io.NewSectionReader(r.Content, 0, r.Content.Size()))
		if err == nil {
			err = c.writeFile(to, force, b)
		}
		r.Remove()
		if err != nil {
			return err
		}
		lines = append(lines, line{File: paths[n], Signed: to, SHA256: r.SHA256})
	}
	if c.json {
		if err := c.printJSON(map[string]any{"documents": lines}); err != nil {
			return err
		}
	} else if out != "-" {
		for _, l := range lines {
			if l.Signed != "" {
				fmt.Fprintln(c.out, l.Signed)
			}
		}
	}
	if first != nil && len(results) > 1 {
		return exitStatus(exitProblem)
	}
	return first
}
