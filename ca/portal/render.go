package portal

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"certsign/ca"
	"certsign/internal/ades"
	"certsign/internal/keyorigin"
	"certsign/internal/pkix"
)

//go:embed html
var htmlFiles embed.FS

//go:embed static
var staticFiles embed.FS

// page is what every template gets.
type page struct {
	Lang    string
	Path    string // of the request, for the language switch
	Account *ca.Account
	Test    bool
	Mailbox bool
	Flash   string // text key
	// Problem is what went wrong with the form on this page, nil when nothing did.
	Problem *shown
	Data    any
}

// shown is a problem as a person reads it.
type shown struct {
	Code   string
	Title  string
	Remedy string
	// Field is the name of the input that it belongs to, or "".
	Field string
	// Reference joins the page to the log; only for faults of the portal itself.
	Reference string
}

// loadViews parses each page once per language, with that language's texts bound to the functions.
func loadViews(p *portal) (map[string]*template.Template, error) {
	views := map[string]*template.Template{}
	for _, lang := range languages {
		base, err := template.New("layout.html").Funcs(p.functions(lang)).ParseFS(htmlFiles, "html/layout.html", "html/parts.html")
		if err != nil {
			return nil, err
		}
		names, err := fs.Glob(htmlFiles, "html/page-*.html")
		if err != nil {
			return nil, err
		}
		documents, err := fs.Glob(htmlFiles, "html/docs/*."+lang+".html")
		if err != nil {
			return nil, err
		}
		for _, file := range append(names, documents...) {
			clone, err := base.Clone()
			if err != nil {
				return nil, err
			}
			if _, err := clone.ParseFS(htmlFiles, file); err != nil {
				return nil, err
			}
			name := strings.TrimPrefix(strings.TrimSuffix(path.Base(file), ".html"), "page-")
			views[lang+"/"+strings.TrimSuffix(name, "."+lang)] = clone
		}
	}
	return views, nil
}

func (p *portal) functions(lang string) template.FuncMap {
	c := p.texts[lang]
	return template.FuncMap{
		"t":     c.text,
		"count": func(key string, n int) string { return c.count(lang, key, n) },
		"asset": p.assets.url,
		"time": func(t time.Time) string {
			if t.IsZero() {
				return "–"
			}
			return t.In(warsaw).Format("2006-01-02 15:04 MST")
		},
		"date": func(t time.Time) string { return t.In(warsaw).Format("2006-01-02") },
		"utc":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"days": func(cert ca.Certificate) string {
			return c.count(lang, "days", cert.DaysLeft(p.Now()))
		},
		"soon": func(cert ca.Certificate) bool { return cert.DaysLeft(p.Now()) <= 30 },
		"size": func(n int) string {
			switch {
			case n < 1e3:
				return fmt.Sprintf("%d\u00a0B", n)
			case n < 1e6:
				return decimal(lang, float64(n)/1e3) + "\u00a0kB"
			default:
				return decimal(lang, float64(n)/1e6) + "\u00a0MB"
			}
		},
		"sha256": func(b []byte) string { sum := sha256.Sum256(b); return hex.EncodeToString(sum[:]) },
		"groups": pkix.Groups,
		"other": func() string {
			if lang == "pl" {
				return "en"
			}
			return "pl"
		},
		"dict":      dict,
		"publicURL": func() string { return p.PublicURL },
		"statusURL": func() string { return p.StatusURL },
		"caURL":     func() string { return p.CAURL },
		"policyOID": func() string { return p.PolicyOID },
		"versions": func() map[string]string {
			return map[string]string{"terms": RegulationsVersion, "cp": PolicyVersion, "cps": PracticeVersion, "all": TermsVersion}
		},
		"passed":  func(i ades.Indication) bool { return i == ades.TotalPassed },
		"failed":  func(i ades.Indication) bool { return i == ades.TotalFailed },
		"key":     keyDescription,
		"origin":  func(s *keyorigin.Statement) string { return statedOrigin(c, s) },
		"refusal": func(d ca.Document) *shown { return p.refusal(lang, d) },
		"optional": func(key, fallback string) string {
			if c.has(key) {
				return c.text(key)
			}
			return fallback
		},
		"masked": maskedID,
		"common": commonName,
		"scriptTexts": func(prefixes ...string) map[string]string {
			m := map[string]string{}
			for key, text := range c {
				for _, prefix := range prefixes {
					if strings.HasPrefix(key, prefix) {
						m[key] = text
					}
				}
			}
			return m
		},
	}
}

// dict builds a map for a sub-template from names and values in turn.
func dict(args ...any) (map[string]any, error) {
	if len(args)%2 != 0 {
		return nil, fmt.Errorf("dict: %d arguments", len(args))
	}
	m := make(map[string]any, len(args)/2)
	for i := 0; i < len(args); i += 2 {
		name, ok := args[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: name %v", args[i])
		}
		m[name] = args[i+1]
	}
	return m, nil
}

// commonName returns the CN of a name in RFC 4514 form, or all of it when there is none.
func commonName(name string) string {
	rest := name
	for rest != "" {
		var rdn strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != ',' && rest[i] != '+'; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			rdn.WriteByte(rest[i])
		}
		if kind, value, ok := strings.Cut(rdn.String(), "="); ok && strings.EqualFold(strings.TrimSpace(kind), "CN") {
			return value
		}
		rest = strings.TrimPrefix(strings.TrimPrefix(rest[i:], ","), "+")
	}
	return name
}

func decimal(lang string, f float64) string {
	s := fmt.Sprintf("%.1f", f)
	if lang == "pl" {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s
}

// show writes a page.
func (p *portal) show(w http.ResponseWriter, r *http.Request, status int, name string, data any, problems ...*shown) error {
	ctx := r.Context()
	lang := langOf(ctx)
	view, ok := p.views[lang+"/"+name]
	if !ok {
		return fmt.Errorf("no page %q in %q", name, lang)
	}
	d := page{
		Lang: lang, Path: r.URL.RequestURI(), Account: account(ctx), Test: p.Test, Mailbox: p.Mailbox, Data: data,
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		d.Path = backOf(r)
	}
	for _, s := range problems {
		if s != nil {
			d.Problem = s
		}
	}
	if d.Account != nil && d.Problem == nil {
		d.Flash = p.sessions.PopString(ctx, keyFlash)
	}
	var b bytes.Buffer
	if err := view.ExecuteTemplate(&b, "layout.html", d); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err
}

// backOf is where the language switch on the answer to a POST leads: the page with the form.
func backOf(r *http.Request) string {
	return ownPath(strings.TrimPrefix(r.Header.Get("Referer"), originOf(r)), "/")
}

func originOf(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || strings.HasPrefix(r.Header.Get("Referer"), "https://") {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// assets are the files below static/, each with a digest of its content in its address.
type assets struct {
	files  map[string][]byte
	digest map[string]string
}

func loadAssets() (*assets, error) {
	a := &assets{files: map[string][]byte{}, digest: map[string]string{}}
	err := fs.WalkDir(staticFiles, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := staticFiles.ReadFile(name)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, "static/")
		sum := sha256.Sum256(b)
		a.files[name], a.digest[name] = b, hex.EncodeToString(sum[:8])
		return nil
	})
	return a, err
}

func (a *assets) has(name string) bool { _, ok := a.files[name]; return ok }

func (a *assets) url(name string) string {
	if d, ok := a.digest[name]; ok {
		return "/static/" + name + "?v=" + d
	}
	return "/static/" + name
}

// types are the only kinds of file that static/ holds.
var types = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".map": "application/json",
}

func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	b, ok := a.files[name]
	kind, typed := types[path.Ext(name)]
	if !ok || !typed {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("ETag", `"`+a.digest[name]+`"`)
	if r.URL.Query().Get("v") == a.digest[name] {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}
